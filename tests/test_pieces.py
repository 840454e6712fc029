"""A long video is cut, shared out, joined, resumed; one whose pieces fail is read in one go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import plan_reading
from reelscribe.pipeline.cache import Features, FeatureStore, read_entry
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.guard import Done, Failed
from reelscribe.pipeline.housekeeping import prune
from reelscribe.pipeline.jobs import (
    Cut,
    Encoded,
    Job,
    JoinJob,
    PieceDone,
    PieceJob,
    Result,
    Source,
    VideoJob,
)
from reelscribe.pipeline.pieces import LongVideos
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare
from reelscribe.pipeline.worker import do

MakeVideo = Callable[..., Path]
PATH = Path("long.mp4")
SOURCE = Source(path=PATH, sha256="ab" * 32, size=1, mtime_ns=1)


@pytest.fixture(scope="module")
def video(make_video: MakeVideo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes with a key frame every third second."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return make_video(path, frames=1200, keyint=30, grey=lambda i: (3 * i) % 256)


@pytest.fixture
def encoding(tmp_path: Path, graphs: Path) -> Encoding:
    cache = tmp_path / "cut"
    cache.mkdir()
    (cache / "graphs").symlink_to(graphs)
    made = prepare(FramesConfig(fps=2.0), EncoderConfig(), cache)
    return replace(made, long=0.1, piece=0.5)


def cut(count: int) -> tuple[LongVideos, list[Any]]:
    """A video of ``count`` pieces that a worker has just cut; the jobs that this asks for."""
    reading: Any = None
    pieces = tuple(PieceJob(source=SOURCE, reading=reading, span=(n, n + 1)) for n in range(count))
    result = Cut(source=SOURCE, pieces=pieces, duration=9.0)
    long = LongVideos(at_once=2)
    jobs = list(long.more(Done[Job, Result](job=VideoJob(path=PATH), result=result)))
    return long, jobs


def test_pieces_go_out_few_at_a_time_and_are_joined_at_the_end() -> None:
    long, jobs = cut(4)
    assert [job.span for job in jobs] == [(0, 1), (1, 2)]
    out, told = list(jobs), []
    while isinstance(job := out.pop(0), PieceJob):
        done = Done[Job, Result](job=job, result=PieceDone(path=PATH))
        assert long.ends(done) is None
        told.append(long.progress(done))
        out += long.more(done)
    assert told == [f"long.mp4: piece {n} of 4" for n in (1, 2, 3, 4)]
    assert job == JoinJob(source=SOURCE, spans=((0, 1), (1, 2), (2, 3), (3, 4)), duration=9.0)
    end = Done[Job, Result](job=job, result=Encoded(source=SOURCE, fresh=True))
    assert long.ends(end) == end.result
    assert list(long.more(end)) == []


def test_where_a_piece_fails_the_video_is_read_once_more_in_one_go() -> None:
    long, jobs = cut(4)
    failed = Failed[Job](job=jobs[0], reason="damaged: no frame came")
    assert long.ends(failed) is None
    assert list(long.more(failed)) == [VideoJob(path=PATH, pyav=True, whole=True)]
    # The other piece that was out ends, whichever way: nobody waits for it, and it says nothing.
    assert long.ends(Done[Job, Result](job=jobs[1], result=PieceDone(path=PATH))) is None
    assert list(long.more(Done[Job, Result](job=jobs[1], result=PieceDone(path=PATH)))) == []
    late = Failed[Job](job=jobs[1], reason="damaged too")
    assert long.ends(late) is None
    assert list(long.more(late)) == []
    last = Failed[Job](job=VideoJob(path=PATH, pyav=True, whole=True), reason="damaged: for good")
    assert long.ends(last) == last
    assert list(long.more(last)) == []


def test_a_piece_that_takes_workers_down_costs_its_video() -> None:
    long, jobs = cut(4)
    died = Failed[Job](job=jobs[0], reason="took its worker process down", died=True)
    assert long.ends(died) == died
    assert list(long.more(died)) == []


@pytest.mark.slow
def test_pieces_change_no_value(video: Path, encoding: Encoding, own_cache: Path) -> None:
    """Complaints 3 and 8 (video_features#134, mmaction2#2850): long videos run out of memory."""
    whole = replace(encoding, store=own_cache, long=1e9)
    one = encode([video], whole, Runner(workers=1, local=True))
    heard: list[str] = []
    try:
        two = encode([video], encoding, Runner(workers=2), heard=heard.append)
    finally:
        stop()
    assert (one.contents, one.failed) == (two.contents, two.failed)
    assert len(heard) >= 3
    assert heard[-1] == f"long.mp4: piece {len(heard)} of {len(heard)}"
    (a,), (b,) = (FeatureStore(cache).entries() for cache in (own_cache, encoding.store))
    first, second = read_entry(a.path), read_entry(b.path)
    np.testing.assert_array_equal(first.pts_T, second.pts_T)
    np.testing.assert_allclose(first.feats_TD, second.feats_TD, atol=1e-5, rtol=0)
    assert second.about["pieces"] == len(heard)
    assert second.about["duration"] == first.about["duration"] == 120.0
    assert not list(encoding.store.rglob("*.pieces"))


def test_a_run_that_was_cut_short_goes_on_from_its_pieces(video: Path, encoding: Encoding) -> None:
    """Complaint 25 (Ray#45661): resume reads everything once more."""
    asked = do(encoding, VideoJob(path=video))
    assert isinstance(asked, Cut)
    assert len(asked.pieces) >= 3
    for piece in asked.pieces[:2]:
        do(encoding, piece)
    kept = sorted(encoding.store.rglob("*.pieces/*"))
    assert len(kept) == 2
    before = [path.stat().st_mtime_ns for path in kept]
    for piece in asked.pieces:
        do(encoding, piece)
    assert [path.stat().st_mtime_ns for path in kept] == before
    spans = tuple(piece.span for piece in asked.pieces)
    join = JoinJob(source=asked.source, spans=spans, duration=asked.duration)
    assert do(encoding, join) == Encoded(source=asked.source, fresh=True)
    features = FeatureStore(encoding.store).read(asked.source.sha256, encoding.recipe)
    assert features is not None
    np.testing.assert_array_equal(features.pts_T, plan_reading(video, Sampling(fps=2.0)).pts_T)


def test_a_damaged_piece_is_made_again(video: Path, encoding: Encoding) -> None:
    asked = do(encoding, VideoJob(path=video))
    assert isinstance(asked, Cut)
    do(encoding, asked.pieces[0])
    (kept,) = encoding.store.rglob("*.pieces/*")
    data = bytearray(kept.read_bytes())
    data[-5] ^= 1
    kept.write_bytes(data)
    report = encode([video], encoding, Runner(workers=1, local=True))
    assert list(report.contents) == [video], report.failed
    features = FeatureStore(encoding.store).read(asked.source.sha256, encoding.recipe)
    assert features is not None


def test_what_a_killed_run_left_of_a_long_video_is_pruned(encoding: Encoding) -> None:
    store, sha256 = FeatureStore(encoding.store), "cd" * 32
    features = Features(
        feats_TD=np.zeros((2, 1280), dtype=np.float32), pts_T=np.arange(2.0), about={}
    )
    store.write_piece(sha256, encoding.recipe, (0, 2), features)
    (piece,) = encoding.store.rglob("*.pieces/*")
    assert prune(store).paths == []
    assert piece.exists()
    yesterday = time.time() - 90_000
    os.utime(piece, (yesterday, yesterday))
    assert prune(store, dry_run=True).paths == [piece]
    assert piece.exists()
    assert prune(store).paths == [piece]
    assert not list(encoding.store.rglob("*.pieces"))


def test_the_pieces_of_a_recipe_go_with_it(encoding: Encoding) -> None:
    store, sha256 = FeatureStore(encoding.store), "cd" * 32
    features = Features(
        feats_TD=np.zeros((2, 1280), dtype=np.float32), pts_T=np.arange(2.0), about={}
    )
    store.write(sha256, encoding.recipe, features)
    store.write_piece("ef" * 32, encoding.recipe, (0, 2), features)
    assert len(prune(store, recipes=[encoding.recipe.fingerprint]).paths) == 2
    assert not list(encoding.store.rglob("*.safetensors"))
