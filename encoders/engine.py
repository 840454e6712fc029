"""What runs a backbone: onnxruntime on the CPU, torch on a GPU.

Reads an ONNX graph or weights; writes nothing. Engines, threads and batch sizes are speed: they
change no feature beyond rounding. A worker with :class:`OnnxEngine` imports no torch.

Shapes: T frames, H x W pixels, C = 3 channels, B frames of a batch, D features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from reelscribe.encoders.backbone import Backbone, load_model
from reelscribe.encoders.transform import crop, prepare

if TYPE_CHECKING:
    from torch import Tensor


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
        self,
        backbone: Backbone,
        *,
        device: str = "cuda",
        batch: int = 64,
        bf16: bool = False,
        compiled: bool = False,
    ) -> None:
        """Load the weights onto the device.

        Args:
            backbone: the network.
            device: torch's name of it, for example ``cuda:1``.
            batch: frames at a time.
            bf16: half the bits where torch thinks it safe; faster, and other features.
            compiled: through torch.compile: a minute at the start, for long runs.

        Raises:
            ValueError: there is no such device, or ``batch`` is less than 1.
        """
        import torch

        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device {device!r}: torch sees no CUDA device; use the onnx engine")
        self.backbone = backbone
        self.batch = _positive(batch)
        self.bf16 = bf16
        self._device = torch.device(device)
        if self._device.type == "cuda":
            # TF32 rounds single precision to 10 bits: its features would not be those of the CPU.
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        model = load_model(backbone.name, backbone.weights, backbone.pool, backbone.size)
        # Channels last is the layout that convolutions are fast in.
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            self._model = torch.compile(self._model)
        self._mean_C = torch.tensor(backbone.mean, device=self._device).view(-1, 1, 1)
        self._std_C = torch.tensor(backbone.std, device=self._device).view(-1, 1, 1)
        self._replay = self._recorded() if self._device.type == "cuda" else None
        # What is compiled or recorded is of one shape.
        self._fixed = compiled or self.recorded

    @property
    def recorded(self) -> bool:
        """Whether the network's kernels are recorded and start together; on a CPU never."""
        return self._replay is not None

    def encode(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (T, D) features of RGB frames."""
        crops_TSSC = crop(frames_THWC, self.backbone)
        feats_TD = np.empty((len(crops_TSSC), self.backbone.dim), dtype=np.float32)
        for part in _batches(len(crops_TSSC), self.batch):
            feats_TD[part] = self.start(crops_TSSC[part])()
        return feats_TD

    def start(self, crops_BSSC: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """Begin to encode up to ``batch`` crops; on a GPU this returns at once.

        One thread at a time: all batches go through one place on the GPU, one after the other.

        Returns:
            A function that waits for the (B, D) features. Crops must stay as they are until then.
        """
        import torch

        count = len(crops_BSSC)
        if self._fixed and count < self.batch:
            crops_BSSC = np.concatenate([crops_BSSC, crops_BSSC[-1:].repeat(self.batch - count, 0)])
        # A copy of what may not be written to, as it comes from another process: torch wants none.
        bytes_BSSC = torch.from_numpy(np.require(crops_BSSC, requirements=["C", "W"]))
        with torch.inference_mode():
            if self._device.type != "cuda":
                feats_BD = self._network(bytes_BSSC)[:count]
                return lambda: np.asarray(feats_BD.numpy(), dtype=np.float32)
            with torch.cuda.device(self._device):
                bytes_BSSC = bytes_BSSC.pin_memory()
                if self._replay is not None:
                    feats_BD = self._replay(bytes_BSSC)[:count]
                else:
                    there_BSSC = bytes_BSSC.to(self._device, non_blocking=True)
                    feats_BD = self._network(there_BSSC)[:count]
                here_BD = torch.empty(feats_BD.shape, pin_memory=True)
                here_BD.copy_(feats_BD, non_blocking=True)
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()

        def wait() -> NDArray[np.float32]:
            done.synchronize()
            return np.array(here_BD.numpy(), dtype=np.float32)

        return wait

    def _network(self, bytes_BSSC: Tensor) -> Tensor:
        """Return the (B, D) features of crops on the device."""
        import torch

        images_BCSS = bytes_BSSC.permute(0, 3, 1, 2).float() / 255
        images_BCSS = (images_BCSS - self._mean_C) / self._std_C
        images_BCSS = images_BCSS.contiguous(memory_format=torch.channels_last)
        # No cache of weights in bf16: a recording would go on to read it once it is gone.
        half = torch.autocast(
            self._device.type, dtype=torch.bfloat16, enabled=self.bf16, cache_enabled=False
        )
        with half:
            feats_BD: Tensor = self._model(images_BCSS)
        return feats_BD.float()

    def _recorded(self) -> Callable[[Tensor], Tensor] | None:
        """Record the network's kernels once, to start them all together (a CUDA graph).

        Starting some hundred kernels one by one takes longer than running them on a small batch,
        and the Python between them wants the lock that whoever hands over crops holds
        (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). What comes back is
        overwritten by the next batch; one stream keeps that in order.

        Returns:
            What runs a batch; None for a network that waits for the GPU within, which cannot be
            recorded.
        """
        import torch

        size = self.backbone.size
        shape = (self.batch, size, size, 3)
        with torch.cuda.device(self._device), torch.inference_mode():
            given_BSSC = torch.zeros(shape, dtype=torch.uint8, device=self._device)
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):  # Libraries choose their kernels and take their memory.
                    self._network(given_BSSC)
                waits = _waits(lambda: self._network(given_BSSC))
            torch.cuda.current_stream().wait_stream(aside)
            if waits:
                return None
            graph = torch.cuda.CUDAGraph()
            try:
                # Not torch's own stream for it, which is the first GPU's for all of them.
                with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                    feats_BD = self._network(given_BSSC)
            except RuntimeError:  # It waits in a way that torch does not tell.
                return None

        def replay(bytes_BSSC: Tensor) -> Tensor:
            given_BSSC.copy_(bytes_BSSC, non_blocking=True)
            graph.replay()
            return feats_BD

        return replay


def _waits(work: Callable[[], object]) -> bool:
    """Say whether ``work`` waits for the GPU; asked before, as a recording that fails does harm."""
    import torch

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns that it does not tell of all ways to wait.
        try:
            torch.cuda.set_sync_debug_mode("error")
            work()
        except RuntimeError:
            return True
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return False


def _positive(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"batch is {batch}; it must be at least 1 frame")
    return batch


def _batches(count: int, batch: int) -> Iterator[slice]:
    for first in range(0, count, batch):
        yield slice(first, first + batch)
