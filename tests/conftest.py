"""Fixtures that many tests share. Videos are made here, so no test downloads or ships one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings

# The same cases each time, and no deadline: a busy machine must not decide what passes.
settings.register_profile("reelscribe", derandomize=True, deadline=None)
settings.load_profile("reelscribe")


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
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give each test a feature store of its own: none reads or fills the user's."""
    folder = tmp_path_factory.mktemp("cache")
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
        keyint: int = 250,
        grey: Callable[[int], int] = lambda i: 20 * i % 256,
    ) -> Path:
        path = path or tmp_path_factory.mktemp("videos") / "ramp.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=rate, options={"crf": "0", "g": str(keyint)})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv444p"
            for i in range(frames):
                image = np.full((size, size, 3), grey(i), dtype=np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode())
        return path

    return make


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Two small runs over the same made clips, for tests that need something trained."""

    clips: Path
    cache: Path
    action: Path
    caption: Path

    def settings(self, task: str) -> list[str]:
        """Return the ``--set`` values that the run of this task was trained with."""
        return [
            f"data.root={self.clips}",
            "data.clips=36",
            "frames.count=4",
            "encoder.pool=avg",
            "head.hidden=16",
            "training.epochs=2",
            f"output={self.action if task == 'action' else self.caption}",
        ]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, graphs: Path) -> Trained:
    """Train both heads on 36 theatre clips, without Ray: seconds, and no good scores."""
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.execute import Runner
    from reelscribe.pipeline.inputs import Place
    from reelscribe.pipeline.runs import train_run

    folder = tmp_path_factory.mktemp("trained")
    (folder / "cache").mkdir()
    (folder / "cache" / "graphs").symlink_to(graphs)
    made = Trained(
        clips=folder / "clips",
        cache=folder / "cache",
        action=folder / "action",
        caption=folder / "caption",
    )
    place = Place(cache=made.cache, runner=Runner(workers=2, local=True))
    train_run(load_config(Path("theatre"), made.settings("action")), place)
    train_run(load_config(Path("theatre_captions"), made.settings("caption")), place)
    return made


Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def reelscribe(tmp_path: Path) -> Reelscribe:
    """The command as a user runs it: a process of its own, from a folder that is not the repo."""

    def run(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).parent / "reelscribe", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
