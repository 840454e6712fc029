"""What a worker does with a job of encoding: videos and pieces of videos -> the feature store.

Reads videos; writes entries and pieces into the feature store. A video that takes long is not read
by whoever looks at it first: it is cut at key frames, and many workers share the pieces.
T = frames, D = features a frame.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from reelscribe.datasets.reading import Reading, plan_reading
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import stream_frames
from reelscribe.encoders.backbone import Backbone
from reelscribe.encoders.engine import OnnxEngine
from reelscribe.pipeline.cache import CorruptEntry, Features, FeatureStore
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.recipe import Recipe

CHUNK = 16
"""Frames that are decoded before they are encoded."""

CHUNK_BYTES = 2**27
"""What a chunk of large frames may take; one frame may take more."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All that a worker needs to know: the recipe, and where graph and store lie."""

    sampling: Sampling
    backbone: Backbone
    graph: Path
    """The CNN as an ONNX graph."""
    store: Path
    long: float = 20.0
    """Seconds of work, as estimated, from which a video is cut into pieces. Speed, not recipe."""
    piece: float = 8.0
    """Seconds of work a piece: enough to be worth a task, little to lose."""

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What the features are keyed by."""
        return Recipe.of(self.sampling, self.backbone)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video file as it was when it was hashed."""

    path: Path
    sha256: str
    size: int
    """Bytes."""
    mtime_ns: int

    def check(self) -> None:
        """Raise where the file is no longer the same.

        Raises:
            ValueError: it changed.
            OSError: it is gone.
        """
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ValueError("changed while it was being read; run again when it is whole")


@dataclass(frozen=True, kw_only=True)
class VideoJob:
    """One video, from the beginning."""

    path: Path
    pyav: bool = False
    """Read it with PyAV alone: decord took a worker down over it."""
    whole: bool = False
    """Read it in one go: a piece of it could not be read by itself."""


@dataclass(frozen=True, kw_only=True)
class PieceJob:
    """A part of a long video."""

    source: Source
    reading: Reading
    span: tuple[int, int]
    """Which of the video's T frames these are."""


@dataclass(frozen=True, kw_only=True)
class JoinJob:
    """The end of a long video: its pieces become one entry."""

    source: Source
    spans: tuple[tuple[int, int], ...]
    duration: float
    """Of the video, in seconds."""


Job = VideoJob | PieceJob | JoinJob


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A video has its features."""

    source: Source
    fresh: bool
    """False where the store had this content already, under whatever name."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A video is long; these are its pieces."""

    source: Source
    pieces: tuple[PieceJob, ...]
    duration: float


@dataclass(frozen=True, kw_only=True)
class PieceDone:
    """A piece has its features."""

    path: Path


Result = Encoded | Cut | PieceDone


def path_of(job: Job) -> Path:
    """Return the video that a job is about."""
    return job.path if isinstance(job, VideoJob) else job.source.path


def without_decord(job: Job) -> Job:
    """Return what a job becomes once it has taken a worker down twice."""
    return replace(job, pyav=True) if isinstance(job, VideoJob) else job


def do(encoding: Encoding, job: Job) -> Result:
    """Do one job. Runs in a worker process.

    Raises:
        ValueError: the video cannot be decoded, or changed while it was being read.
        OSError: it cannot be opened.
        Hopeless: the store cannot be written.
    """
    match job:
        case VideoJob():
            return _video(encoding, job)
        case PieceJob():
            return _piece(encoding, job)
        case JoinJob():
            return _join(encoding, job)


def look(path: Path) -> Source:
    """Hash a file; one that is none is refused before it is opened, for a pipe would block.

    Raises:
        ValueError: it is no regular file, or changed while it was being read.
        OSError: it is not there or cannot be opened.
    """
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise ValueError("a folder, not a file" if path.is_dir() else "no regular file")
    source = Source(
        path=path,
        sha256=hash_file(path),
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
    )
    source.check()
    return source


def _video(encoding: Encoding, job: VideoJob) -> Encoded | Cut:
    source = look(job.path)
    store = FeatureStore(encoding.store)
    if stored(store, source.sha256, encoding.recipe):
        return Encoded(source=source, fresh=False)
    store.check_writable()
    reading = plan_reading(job.path, encoding.sampling)
    if reading.work > encoding.long and not job.whole:
        pieces = _cut(source, reading, encoding.piece)
        if len(pieces) > 1:
            return Cut(source=source, pieces=pieces, duration=reading.duration)
    features = _features(encoding, reading, pyav=job.pyav)
    source.check()
    about = {**features.about, "duration": reading.duration, **_facts(source)}
    store.write(source.sha256, encoding.recipe, replace(features, about=about))
    return Encoded(source=source, fresh=True)


def _cut(source: Source, reading: Reading, seconds: float) -> tuple[PieceJob, ...]:
    jobs, first = [], 0
    for piece in reading.pieces(seconds):
        last = first + len(piece.rows_T)
        jobs.append(PieceJob(source=source, reading=piece, span=(first, last)))
        first = last
    return tuple(jobs)


def _piece(encoding: Encoding, job: PieceJob) -> PieceDone:
    store, sha256 = FeatureStore(encoding.store), job.source.sha256
    # What a run left that was killed is as good as new.
    recipe = encoding.recipe
    if not (store.has_piece(sha256, recipe, job.span) or store.has(sha256, recipe)):
        job.source.check()
        features = _features(encoding, job.reading, pyav=True)
        job.source.check()
        store.write_piece(sha256, recipe, job.span, features)
    return PieceDone(path=job.source.path)


def _join(encoding: Encoding, job: JoinJob) -> Encoded:
    store = FeatureStore(encoding.store)
    if not stored(store, job.source.sha256, encoding.recipe):
        about = {"duration": job.duration, "pieces": len(job.spans), **_facts(job.source)}
        store.join(job.source.sha256, encoding.recipe, job.spans, about)
    store.drop_pieces(job.source.sha256, encoding.recipe)
    return Encoded(source=job.source, fresh=True)


def stored(store: FeatureStore, sha256: str, recipe: Recipe) -> bool:
    """Say whether the store has these features, whole: every number is checked."""
    try:
        return store.read(sha256, recipe) is not None
    except CorruptEntry:
        return False


def _facts(source: Source) -> dict[str, Any]:
    return {"source_bytes": source.size, "versions": _versions()}


@functools.cache
def _versions() -> dict[str, str]:
    # Once a worker: looking them up takes a millisecond.
    return {name: version(name) for name in ("reelscribe", "onnxruntime", "av")}


def _features(encoding: Encoding, reading: Reading, *, pyav: bool) -> Features:
    """Decode and encode chunk by chunk; an hour of video takes no more memory than a minute."""
    engine = _engine(encoding.graph, encoding.backbone)
    feats: list[Any] = []
    pts: list[Any] = []
    decoders: set[str] = set()
    size: Sequence[int] = ()
    probe = reading.index.probe
    chunk = max(1, min(CHUNK, CHUNK_BYTES // max(1, 3 * probe.width * probe.height)))
    for frames in stream_frames(reading, decoder="pyav" if pyav else "auto", chunk=chunk):
        feats.append(engine.encode(frames.frames_THWC))
        pts.append(frames.pts_T)
        decoders.add(frames.decoder)
        size = frames.frames_THWC.shape[1:3]
    about = {"decoder": "+".join(sorted(decoders)), "height": size[0], "width": size[1]}
    return Features(feats_TD=np.concatenate(feats), pts_T=np.concatenate(pts), about=about)


@functools.cache
def _engine(graph: Path, backbone: Backbone) -> OnnxEngine:
    """Load the graph once a worker, however many videos it gets."""
    return OnnxEngine(graph, backbone, threads=1)
