"""Fixtures that many tests share. Videos are made here, so no test downloads or ships one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip gpu tests without CUDA, unless REQUIRE_CUDA says that this machine must have one."""
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu or os.environ.get("REQUIRE_CUDA"):
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def real_data() -> Path:
    """The folder of real clips and captions, which no repository may ship."""
    folder = os.environ.get("REELSCRIBE_TEST_DATA")
    if not folder:
        pytest.skip("REELSCRIBE_TEST_DATA is not set to a folder of real clips")
    return Path(folder)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of ONNX graphs for all tests: making one takes torch's exporter many seconds."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, graphs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a feature store of its own: none reads or fills the user's."""
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "graphs").symlink_to(graphs)
    monkeypatch.setenv("REELSCRIBE_CACHE", str(folder))
    return folder


MakeVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> MakeVideo:
    """A function that encodes a small lossless H.264 clip whose frame i is one grey level."""

    def make(
        path: Path | None = None,
        *,
        frames: int = 10,
        rate: int = 10,
        size: int = 64,
        grey: Callable[[int], int] = lambda i: 20 * i % 256,
    ) -> Path:
        path = path or tmp_path_factory.mktemp("videos") / "ramp.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=rate, options={"crf": "0"})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv444p"
            for i in range(frames):
                image = np.full((size, size, 3), grey(i), dtype=np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode())
        return path

    return make
