"""The encode stage: what it computes, what it leaves alone, and what a kill costs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reelscribe.pipeline import worker
from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.jobs import VideoJob
from reelscribe.pipeline.stages.encode import Encoding, Report, encode, prepare

MakeVideo = Callable[..., Path]
LOCAL = Runner(workers=1, local=True)


@pytest.fixture
def videos(tmp_path: Path, make_video: MakeVideo) -> list[Path]:
    """Three clips that differ, of 4 to 12 frames."""
    folder = tmp_path / "my videos"
    return [
        make_video(
            folder / f"clip {n}.mp4", frames=4 * n, grey=lambda i, n=n: (30 * n + 7 * i) % 256
        )
        for n in (1, 2, 3)
    ]


def encoding(cache: Path, count: int = 4) -> Encoding:
    return prepare(FramesConfig(count=count), EncoderConfig(), cache)


def features(cache: Path, report: Report, video: Path) -> NDArray[np.float32]:
    found = FeatureStore(cache).read(report.contents[video], report.recipe)
    assert found is not None
    return found.feats_TD


def test_a_second_run_does_nothing(videos: list[Path], own_cache: Path) -> None:
    first = encode(videos, encoding(own_cache), LOCAL)
    assert (first.encoded, len(first.contents), first.failed) == (3, 3, {})
    before = {e.path: e.path.stat().st_mtime_ns for e in FeatureStore(own_cache).entries()}
    second = encode(videos, encoding(own_cache), LOCAL)
    assert (second.encoded, second.contents) == (0, first.contents)
    after = {e.path: e.path.stat().st_mtime_ns for e in FeatureStore(own_cache).entries()}
    assert after == before


def test_a_moved_video_is_a_hit_and_a_changed_one_a_miss(
    videos: list[Path], own_cache: Path
) -> None:
    """Complaint 4 (v-iashin/video_features#54): two folders, same stem -> one cache file."""
    encode(videos, encoding(own_cache), LOCAL)
    other = videos[0].parent / "other"
    other.mkdir()
    moved = other / "renamed.mp4"
    videos[0].rename(moved)
    same_stem = Path(shutil.copy(videos[1], other / videos[2].name))
    assert encode([moved, same_stem], encoding(own_cache), LOCAL).encoded == 0
    shutil.copy(videos[1], videos[2])
    report = encode([videos[2], moved, same_stem], encoding(own_cache), LOCAL)
    assert report.encoded == 0, "its new content was encoded before, under another name"
    assert report.contents[videos[2]] == report.contents[same_stem]
    with moved.open("ab") as file:
        file.write(b"\0\0\0\x08free")  # An empty box at the end: still a video, other bytes.
    assert encode([moved], encoding(own_cache), LOCAL).encoded == 1


def test_another_recipe_is_a_miss(videos: list[Path], own_cache: Path) -> None:
    """Complaint 18 (pytorch/vision#8382): the same name, other settings, other features."""
    encode(videos, encoding(own_cache, 4), LOCAL)
    report = encode(videos, encoding(own_cache, 8), LOCAL)
    assert report.encoded == 3
    assert features(own_cache, report, videos[0]).shape == (8, 1280)


def test_the_size_and_the_crop_of_images_are_in_the_recipe(
    tmp_path: Path, own_cache: Path, make_video: MakeVideo
) -> None:
    """Complaint 18 (pytorch/vision#8382): the same name, other settings, other features."""
    video = make_video(tmp_path / "a.mp4", frames=4, grey=lambda i: 40 * i)
    frames, found = FramesConfig(count=2), {}
    for size, crop_pct in ((None, None), (224, 0.875), (256, None), (256, 1.0)):
        settings = EncoderConfig(size=size, crop_pct=crop_pct)
        asked = prepare(frames, settings, own_cache)
        assert asked.backbone.size == (size or 224)
        assert asked.backbone.crop_pct == (crop_pct or 0.875)
        report = encode([video], asked, LOCAL)
        found[size, crop_pct] = report.recipe.fingerprint
        assert report.encoded == int((size, crop_pct) != (224, 0.875)), "the network's own values"
    assert found[None, None] == found[224, 0.875]
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("size", 31, "greater than or equal to 32"),
        ("size", 2000, "less than or equal to 1024"),
        ("crop_pct", 1.5, "less than or equal to 1"),
        ("crop_pct", True, "takes no yes or no, got True"),
    ],
)
def test_images_that_cannot_be_are_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EncoderConfig.model_validate({key: value})


@pytest.mark.slow
def test_workers_and_ray_change_no_value(videos: list[Path], tmp_path: Path, graphs: Path) -> None:
    found = []
    runners = [LOCAL, Runner(workers=2, local=True), Runner(workers=1), Runner(workers=2)]
    for n, runner in enumerate(runners):
        cache = tmp_path / f"cache {n}"
        cache.mkdir()
        (cache / "graphs").symlink_to(graphs)
        report = encode(videos, encoding(cache), runner)
        assert report.encoded == 3
        found.append(np.stack([features(cache, report, video) for video in videos]))
    stop()
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-5, rtol=0)


def test_broken_videos_are_named_and_the_others_done(videos: list[Path], own_cache: Path) -> None:
    """Complaints 2 and 7 (video_feature_extractor#11, mmaction2#893).

    A failed probe wrote a zero feature and said "already processed"; nobody learnt which file.
    """
    folder = videos[0].parent
    empty, text, cut, gone = (folder / f"{name}.mp4" for name in ("empty", "text", "cut", "gone"))
    empty.touch()
    text.write_text("no video at all")
    cut.write_bytes(videos[2].read_bytes()[:400])
    report = encode([empty, *videos, text, cut, gone], encoding(own_cache), LOCAL)
    assert set(report.contents) == set(videos)
    assert set(report.failed) == {empty, text, cut, gone}
    assert all(reason and "\n" not in reason for reason in report.failed.values())
    assert len(list(FeatureStore(own_cache).entries())) == 3


def test_a_corrupt_entry_is_made_again_and_never_served(
    videos: list[Path], own_cache: Path
) -> None:
    first = encode(videos, encoding(own_cache), LOCAL)
    whole = features(own_cache, first, videos[0])
    path = FeatureStore(own_cache).path(first.contents[videos[0]], first.recipe)
    path.write_bytes(path.read_bytes()[:-5])
    (own_cache / "index.sqlite").unlink()  # So that the worker looks at every entry again.
    again = encode(videos, encoding(own_cache), LOCAL)
    assert again.encoded == 1
    np.testing.assert_array_equal(features(own_cache, again, videos[0]), whole)


@pytest.mark.slow
def test_a_killed_run_loses_only_what_was_in_flight(
    tmp_path: Path, own_cache: Path, make_video: MakeVideo
) -> None:
    """Complaint 25 (Ray#33627): resume re-reads all. Here kill -9, then only what was missing."""
    folder = tmp_path / "many"
    for n in range(60):
        make_video(
            folder / f"{n:02}.mp4", frames=24, size=128, grey=lambda i, n=n: (n * 4 + i) % 256
        )
    program = str(Path(sys.executable).parent / "reelscribe")
    command = [program, "encode", str(folder), "--workers", "2"]
    store = FeatureStore(own_cache)
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 120
        while len(list(store.entries())) < 10:
            assert time.monotonic() < deadline, "nothing was encoded"
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
    # Ray's workers are in sessions of their own: they end the video at hand, then themselves.
    kept, before = len(list(store.entries())), -1
    while kept != before:
        time.sleep(3)
        kept, before = len(list(store.entries())), kept
    assert 10 <= kept < 60
    ended = subprocess.run(
        [*command, "--json", "--local"], capture_output=True, text=True, check=True, timeout=120
    )
    again = json.loads(ended.stdout)
    # What was written and not yet noted in the index is found by content: nothing is made twice.
    assert again["encoded"] == 60 - kept
    assert len(list(store.entries())) == 60


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_number_of_frames_at_a_time_changes_no_value(
    make_video: MakeVideo, own_cache: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(frames=40)
    encoding = prepare(FramesConfig(count=20), EncoderConfig(), own_cache)
    store, sha256 = FeatureStore(own_cache), worker.look(video).sha256
    found = []
    for frames in (16, chunk):
        monkeypatch.setattr(worker, "CHUNK", frames)
        worker.do(encoding, VideoJob(path=video))
        features = store.read(sha256, encoding.recipe)
        assert features is not None
        found.append(features.feats_TD)
        store.path(sha256, encoding.recipe).unlink()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5, rtol=0)
