"""Encoding on a device: workers decode, one network a device encodes, across videos and pieces."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelscribe.pipeline import feeding, worker
from reelscribe.pipeline.cache import FeatureStore, read_entry
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.guard import Hopeless
from reelscribe.pipeline.jobs import Cropped, Encoded, VideoJob
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare

MakeVideo = Callable[..., Path]
Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
DEVICE = "torch:cpu"
"""The path of GPUs on any machine: slow, and each of its lines runs."""


@pytest.fixture
def videos(tmp_path: Path, make_video: MakeVideo) -> list[Path]:
    return [
        make_video(tmp_path / "in" / f"{n}.mp4", frames=4 + n, grey=lambda i, n=n: 30 * n + 5 * i)
        for n in range(7)
    ]


@pytest.fixture
def fed_cache(tmp_path: Path, graphs: Path) -> Path:
    (tmp_path / "fed").mkdir()
    (tmp_path / "fed" / "graphs").symlink_to(graphs)
    return tmp_path / "fed"


def by_content(cache: Path) -> dict[str, Any]:
    return {entry.sha256: read_entry(entry.path) for entry in FeatureStore(cache).entries()}


def cosine(one_TD: np.ndarray[Any, Any], other_TD: np.ndarray[Any, Any]) -> float:
    return float((one_TD * other_TD).sum() / np.linalg.norm(one_TD) / np.linalg.norm(other_TD))


def assert_close(one_TD: np.ndarray[Any, Any], other_TD: np.ndarray[Any, Any]) -> None:
    """The same but for the order in which another library adds."""
    np.testing.assert_allclose(one_TD, other_TD, atol=2e-4)
    assert cosine(one_TD, other_TD) > 0.999999


def encoding(cache: Path) -> Encoding:
    return prepare(FramesConfig(count=5), EncoderConfig(), cache)


@pytest.mark.parametrize("local", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_device_gives_the_features_of_the_workers(
    videos: list[Path], own_cache: Path, fed_cache: Path, local: bool
) -> None:
    """Complaint 5 (v-iashin/video_features#16): one GPU fed by all cores, across videos."""
    broken = videos[0].with_name("broken.mp4")
    broken.write_text("no video")
    plain = encode([*videos, broken], encoding(own_cache), Runner(workers=2, local=True))
    runner = Runner(workers=2, local=local, device=DEVICE)
    try:
        told: list[tuple[Path, str | None]] = []
        fed = encode(
            [*videos, broken],
            encoding(fed_cache),
            runner,
            told=lambda path, reason: told.append((path, reason)),
        )
        assert (fed.contents, fed.failed) == (plain.contents, plain.failed)
        assert fed.recipe == plain.recipe
        assert sorted(path for path, _ in told) == sorted([*videos, broken])
        one, other = by_content(own_cache), by_content(fed_cache)
        assert one.keys() == other.keys()
        for sha256, features in one.items():
            np.testing.assert_array_equal(features.pts_T, other[sha256].pts_T)
            assert_close(features.feats_TD, other[sha256].feats_TD)
            assert other[sha256].about["decoder"] == features.about["decoder"]
        again = encode(videos, encoding(fed_cache), runner)
        assert (again.encoded, again.contents) == (0, {v: plain.contents[v] for v in videos})
    finally:
        stop()


def test_pieces_are_joined_once_they_are_in_the_store(
    tmp_path: Path, own_cache: Path, fed_cache: Path, make_video: MakeVideo
) -> None:
    video = make_video(tmp_path / "long.mp4", frames=600, keyint=30, grey=lambda i: (3 * i) % 256)
    whole = prepare(FramesConfig(fps=1.0), EncoderConfig(), own_cache)
    encode([video], whole, Runner(workers=1, local=True))
    cut = replace(whole, store=fed_cache, long=0.1, piece=0.2)
    heard: list[str] = []
    runner = Runner(workers=2, local=True, device=DEVICE)
    report = encode([video], cut, runner, heard=heard.append)
    assert report.encoded == 1, report.failed
    assert len(heard) >= 3
    (one,), (other,) = by_content(own_cache).values(), by_content(fed_cache).values()
    np.testing.assert_array_equal(one.pts_T, other.pts_T)
    assert_close(one.feats_TD, other.feats_TD)
    assert not list(fed_cache.rglob("*.pieces"))


def test_a_video_of_many_crops_is_encoded_where_it_is_decoded(
    videos: list[Path], fed_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of crops in one message would be gigabytes in the driver."""
    fed = replace(encoding(fed_cache), crops=True)
    assert isinstance(worker.do(fed, VideoJob(path=videos[0])), Cropped)
    monkeypatch.setattr(worker, "MOST_CROPS", 4)
    assert isinstance(worker.do(fed, VideoJob(path=videos[0])), Encoded)
    (features,) = by_content(fed_cache).values()
    assert features.feats_TD.shape == (5, 1280)


def test_features_that_are_no_numbers_cost_their_video(
    videos: list[Path],
    fed_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken:
        batch, recorded = 4, False

        def start(self, crops_BSSC: Any) -> Any:
            return lambda: np.full((len(crops_BSSC), 1280), np.nan, dtype=np.float32)

    monkeypatch.setattr(feeding, "engines_on", lambda device, encoding: [Broken()])
    report = encode(videos[:2], encoding(fed_cache), Runner(workers=1, local=True, device="cuda"))
    assert report.contents == {}
    assert set(report.failed.values()) == {"the encoder gave features that are not finite numbers"}
    # Such a network was not recorded either, and that is said.
    assert "waits for the GPU within; it runs as it is" in capsys.readouterr().err


def test_a_device_that_fails_ends_the_run_and_says_how_to_go_on(
    videos: list[Path], fed_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        batch, recorded = 4, True

        def start(self, crops_BSSC: Any) -> Any:
            raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(feeding, "engines_on", lambda device, encoding: [Full()])
    with pytest.raises(Hopeless, match=r"the GPU cannot go on \(RuntimeError: CUDA out of memory"):
        encode(videos, encoding(fed_cache), Runner(workers=1, local=True, device="cuda"))


def test_a_store_that_cannot_be_written_ends_the_run(videos: list[Path], fed_cache: Path) -> None:
    made = encoding(fed_cache)
    (fed_cache / "features").write_text("a file where the folder should be")
    with pytest.raises(Hopeless, match="cannot be written"):
        encode(videos, made, Runner(workers=1, local=True, device=DEVICE))


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("gpu", "--device 'gpu'; allowed: cpu, cuda (every GPU), cuda:N (one)"),
        ("cuda:x", "--device 'cuda:x'; allowed: cpu, cuda (every GPU), cuda:N (one)"),
    ],
)
def test_a_device_has_a_name(
    videos: list[Path], reelscribe: Reelscribe, device: str, reason: str
) -> None:
    refused = reelscribe("encode", videos[0], "--local", "--device", device)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith(f"error: {reason}")


def test_where_there_is_no_gpu_it_says_so(videos: list[Path], reelscribe: Reelscribe) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    refused = reelscribe("encode", videos[0], "--local", "--device", "cuda")
    assert refused.returncode == 2
    assert "--device cuda: torch sees no CUDA device; take --device cpu" in refused.stderr


def test_half_precision_is_another_recipe_and_for_gpus(
    videos: list[Path], own_cache: Path, reelscribe: Reelscribe
) -> None:
    half = prepare(FramesConfig(count=5), EncoderConfig(precision="bf16"), own_cache)
    assert half.recipe.settings["encoder"]["precision"] == "bf16"
    assert "precision" not in encoding(own_cache).recipe.settings["encoder"]
    refused = reelscribe(
        "encode", videos[0], "--local", "--set", "encoder.precision=bf16", "--set", "frames.count=5"
    )
    assert refused.returncode == 2
    assert (
        "encoder.precision bf16 is for GPUs; add --device cuda, or take float32" in refused.stderr
    )
    # Features that are there need no GPU.
    runner = Runner(workers=1, local=True, device=DEVICE)
    assert encode(videos[:1], half, runner).encoded == 1
    assert encode(videos[:1], half, Runner(workers=1, local=True)).encoded == 0
    report = encode(videos[:1], encoding(own_cache), Runner(workers=1, local=True))
    (sha256,) = report.contents.values()
    store = FeatureStore(own_cache)
    one, other = store.read(sha256, half.recipe), store.read(sha256, report.recipe)
    assert one is not None
    assert other is not None
    # Flat grey frames are the hardest: rounding is all that varies in them.
    assert 0.95 < cosine(one.feats_TD, other.feats_TD) < 0.99999


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_gives_the_features_of_the_cpu(
    videos: list[Path], own_cache: Path, fed_cache: Path, device: str
) -> None:
    encode(videos, encoding(own_cache), Runner(workers=2, local=True))
    report = encode(videos, encoding(fed_cache), Runner(workers=2, local=True, device=device))
    assert report.encoded == len(videos), report.failed
    one, other = by_content(own_cache), by_content(fed_cache)
    for sha256, features in one.items():
        assert_close(features.feats_TD, other[sha256].feats_TD)
