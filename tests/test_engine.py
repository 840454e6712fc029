"""Every engine of the table: the same values, whatever the batch and the engine."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reelscribe.encoders import ENGINES, engine
from reelscribe.encoders.backbone import Backbone, find_backbone
from reelscribe.encoders.engine import OnnxEngine, TorchEngine
from reelscribe.encoders.transform import crop


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backbone, Path]:
    return find_backbone(graphs=tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def frames_THWC() -> np.ndarray[Any, Any]:
    """Five frames of coloured stripes."""
    y, x = np.mgrid[0:120, 0:160]
    waves = [127 + 120 * np.sin((x * (c + 1) + y * i) / 9) for i in range(5) for c in range(3)]
    return np.stack(waves).reshape(5, 3, 120, 160).transpose(0, 2, 3, 1).astype(np.uint8)


@pytest.fixture(scope="module")
def expected_TD(
    lite0: tuple[Backbone, Path], frames_THWC: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    backbone, graph = lite0
    return np.concatenate(
        [OnnxEngine(graph, backbone, batch=1).encode(frame[None]) for frame in frames_THWC]
    )


def build(name: str, lite0: tuple[Backbone, Path], *, batch: int = 16) -> Any:
    module, _, attribute = ENGINES[name].partition(":")
    found = getattr(import_module(module), attribute)
    backbone, graph = lite0
    if found is TorchEngine:
        return TorchEngine(backbone, device="cpu", batch=batch)
    return found(graph, backbone, batch=batch)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("batch", [1, 2, 16])
def test_an_engine_gives_the_same_features_for_any_batch(
    name: str, batch: int, lite0: tuple[Backbone, Path], frames_THWC: Any, expected_TD: Any
) -> None:
    engine = build(name, lite0, batch=batch)
    got_TD = engine.encode(frames_THWC)
    assert (got_TD.shape, got_TD.dtype) == ((5, 1280), np.float32)
    assert engine.backbone is lite0[0]
    # Rounding: the features' largest value is about 5.
    np.testing.assert_allclose(got_TD, expected_TD, rtol=0, atol=1e-5 if name == "onnx" else 1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_tells_frames_apart_and_takes_none(
    name: str, lite0: tuple[Backbone, Path], frames_THWC: Any
) -> None:
    engine = build(name, lite0)
    got_TD = engine.encode(frames_THWC)
    assert min(np.abs(got_TD[i] - got_TD[i + 1]).max() for i in range(4)) > 0.1
    assert engine.encode(frames_THWC[:0]).shape == (0, 1280)


@pytest.mark.parametrize("name", ENGINES)
def test_a_batch_of_nothing_is_refused(name: str, lite0: tuple[Backbone, Path]) -> None:
    with pytest.raises(ValueError, match="batch is 0"):
        build(name, lite0, batch=0)


def test_threads_change_no_value(
    lite0: tuple[Backbone, Path], frames_THWC: Any, expected_TD: Any
) -> None:
    backbone, graph = lite0
    got_TD = OnnxEngine(graph, backbone, threads=2).encode(frames_THWC)
    np.testing.assert_allclose(got_TD, expected_TD, rtol=0, atol=1e-5)


def test_a_missing_gpu_is_said(lite0: tuple[Backbone, Path]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ValueError, match="torch sees no CUDA device; use the onnx engine"):
        TorchEngine(lite0[0])


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [2, 64])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_gpu_gives_the_features_of_the_cpu(
    lite0: tuple[Backbone, Path], frames_THWC: Any, expected_TD: Any, bf16: bool, batch: int
) -> None:
    gpu = TorchEngine(lite0[0], device="cuda", bf16=bf16, batch=batch)
    assert gpu.recorded
    got_TD = gpu.encode(frames_THWC)
    norms = np.linalg.norm(got_TD, axis=1) * np.linalg.norm(expected_TD, axis=1)
    assert ((got_TD * expected_TD).sum(axis=1) / norms).min() > (0.99 if bf16 else 0.9999)


@pytest.mark.gpu
def test_batches_on_their_way_do_not_overwrite_each_other(
    lite0: tuple[Backbone, Path], frames_THWC: Any, expected_TD: Any
) -> None:
    gpu = TorchEngine(lite0[0], device="cuda", batch=2)
    crops_TSSC = crop(frames_THWC, lite0[0])
    waits = [gpu.start(crops_TSSC[i : i + 1]) for i in range(5)]
    got_TD = np.concatenate([wait() for wait in waits])
    np.testing.assert_allclose(got_TD, expected_TD, rtol=0, atol=1e-3)


class Waiting(nn.Module):
    """A network that looks at its own numbers, which no recording can."""

    def forward(self, images_BCSS: torch.Tensor) -> torch.Tensor:
        found_BD = images_BCSS.mean(dim=(2, 3))
        return found_BD if float(found_BD.max()) > -1e9 else -found_BD


@pytest.mark.gpu
def test_a_network_that_cannot_be_recorded_runs_as_it_is(
    lite0: tuple[Backbone, Path], frames_THWC: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "load_model", lambda *about: Waiting())
    on_cpu, on_gpu = (TorchEngine(lite0[0], device=name, batch=4) for name in ("cpu", "cuda"))
    crops_TSSC = crop(frames_THWC, lite0[0])[:4]
    got_BD, expected_BD = on_gpu.start(crops_TSSC)(), on_cpu.start(crops_TSSC)()
    assert got_BD.shape == (4, 3)
    np.testing.assert_allclose(got_BD, expected_BD, rtol=0, atol=1e-5)
    assert not on_gpu.recorded
    # A recording that fails would leave torch's random numbers, or its stream, in its own state.
    assert torch.rand(1, device="cuda").device.type == "cuda"
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


@pytest.mark.gpu
def test_every_gpu_has_a_recording_of_its_own(
    lite0: tuple[Backbone, Path], frames_THWC: Any, expected_TD: Any
) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("this machine has one CUDA device")
    gpus = [TorchEngine(lite0[0], device=f"cuda:{n}", batch=2) for n in range(2)]
    assert torch.cuda.current_device() == 0
    for gpu in gpus:
        assert gpu.recorded
        np.testing.assert_allclose(gpu.encode(frames_THWC), expected_TD, rtol=0, atol=1e-3)


def test_a_worker_imports_no_torch(lite0: tuple[Backbone, Path], make_video: Any) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from reelscribe.datasets.sampling import Sampling\n"
        "from reelscribe.datasets.video import read_frames\n"
        "from reelscribe.encoders.backbone import find_backbone\n"
        "from reelscribe.encoders.engine import OnnxEngine\n"
        "video, graphs = map(Path, sys.argv[1:])\n"
        "backbone, graph = find_backbone(graphs=graphs)\n"
        "frames = read_frames(video, Sampling(count=4))\n"
        "feats = OnnxEngine(graph, backbone).encode(frames.frames_THWC)\n"
        "print(feats.shape, [m for m in ('torch', 'timm', 'ray') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(make_video()), str(lite0[1].parent)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "(4, 1280) []", done.stderr
