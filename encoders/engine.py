"""What runs a backbone: onnxruntime on the CPU, torch on a GPU.

Reads an ONNX graph or weights; writes nothing. Engines, threads and batch sizes are speed: they
change no feature beyond rounding. A worker with :class:`OnnxEngine` imports no torch.

Shapes: T frames, H x W pixels, C = 3 channels, B frames of a batch, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelscribe.encoders.backbone import Backbone, load_model
from reelscribe.encoders.transform import prepare


class Engine(Protocol):
    """Frames (T, H, W, 3) in, features (T, D) out."""

    backbone: Backbone

    def encode(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (T, D) features of RGB frames."""
        ...


class OnnxEngine:
    """onnxruntime on the CPU."""

    def __init__(
        self, graph: Path, backbone: Backbone, *, threads: int = 1, batch: int = 16
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Errors alone: what is left is about the machine, on every worker's start.
        options.log_severity_level = 3
        self.backbone = backbone
        self.batch = _positive(batch)
        self._session = onnxruntime.InferenceSession(
            str(graph), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def encode(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (T, D) features of RGB frames."""
        feats_TD = np.empty((len(frames_THWC), self.backbone.dim), dtype=np.float32)
        for part in _batches(len(frames_THWC), self.batch):
            images_BCHW = prepare(frames_THWC[part], self.backbone)
            feats_TD[part] = self._session.run(None, {"images": images_BCHW})[0]
        return feats_TD


class TorchEngine:
    """torch on a device; by default one GPU in single precision, so that values stay the same."""

    def __init__(
        self, backbone: Backbone, *, device: str = "cuda", batch: int = 64, bf16: bool = False
    ) -> None:
        import torch

        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device {device!r}: torch sees no CUDA device; use the onnx engine")
        self.backbone = backbone
        self.batch = _positive(batch)
        self.bf16 = bf16
        self._device = torch.device(device)
        model = load_model(backbone.name, backbone.weights, backbone.pool)
        # Channels last is the layout that convolutions are fast in.
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (T, D) features of RGB frames."""
        import torch

        feats_TD = np.empty((len(frames_THWC), self.backbone.dim), dtype=np.float32)
        for part in _batches(len(frames_THWC), self.batch):
            images_BCHW = torch.from_numpy(prepare(frames_THWC[part], self.backbone))
            images_BCHW = images_BCHW.to(self._device, memory_format=torch.channels_last)
            with (
                torch.inference_mode(),
                torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self.bf16),
            ):
                feats_TD[part] = self._model(images_BCHW).float().cpu().numpy()
        return feats_TD


def _positive(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"batch is {batch}; it must be at least 1 frame")
    return batch


def _batches(count: int, batch: int) -> Iterator[slice]:
    for first in range(0, count, batch):
        yield slice(first, first + batch)
