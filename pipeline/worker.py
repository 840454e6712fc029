"""What a worker does with a job of encoding: videos and pieces of videos -> the feature store.

Reads videos; writes entries and pieces into the feature store. A video that takes long is not read
by whoever looks at it first: it is cut at key frames, and many workers share the pieces.
T = frames, D = features a frame.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.reading import Reading, plan_reading
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import stream_frames
from reelscribe.encoders.backbone import Backbone
from reelscribe.encoders.engine import OnnxEngine
from reelscribe.encoders.transform import crop
from reelscribe.pipeline.cache import CorruptEntry, Features, FeatureStore
from reelscribe.pipeline.guard import still_alive
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.jobs import (
    Cropped,
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
from reelscribe.pipeline.recipe import Precision, Recipe

CHUNK = 16
"""Frames that are decoded before they are encoded."""

MOST_CROPS = 2000
"""Crops that a worker hands over at once, 0.3 GB: of a video that has more and cannot be cut, the
worker makes the features itself."""

RARE = 200
"""Frames decoded for one that is wanted, from which on frames come one by one."""

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
    precision: Precision = "float32"
    mirrored: bool = False
    """Every frame with left and right exchanged."""
    crops: bool = False
    """Workers decode and crop alone; features are made elsewhere, by a GPU. Speed, not recipe."""
    long: float = 20.0
    """Seconds of work, as estimated, from which a video is cut into pieces. Speed, not recipe."""
    piece: float = 8.0
    """Seconds of work a piece: enough to be worth a task, little to lose."""

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What the features are keyed by."""
        return Recipe.of(self.sampling, self.backbone, self.precision, mirrored=self.mirrored)


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


def _video(encoding: Encoding, job: VideoJob) -> Encoded | Cut | Cropped:
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
    more = {"duration": reading.duration, **_facts(source)}
    few = len(reading.rows_T) <= MOST_CROPS or encoding.precision != "float32"
    if encoding.crops and few:
        return _crops(encoding, job, source, reading, more)
    features = _features(encoding, reading, pyav=job.pyav)
    source.check()
    store.write(source.sha256, encoding.recipe, replace(features, about={**features.about, **more}))
    return Encoded(source=source, fresh=True)


def _cut(source: Source, reading: Reading, seconds: float) -> tuple[PieceJob, ...]:
    jobs, first = [], 0
    for piece in reading.pieces(seconds):
        last = first + len(piece.rows_T)
        jobs.append(PieceJob(source=source, reading=piece, span=(first, last)))
        first = last
    return tuple(jobs)


def _piece(encoding: Encoding, job: PieceJob) -> PieceDone | Cropped:
    store, sha256 = FeatureStore(encoding.store), job.source.sha256
    # What a run left that was killed is as good as new.
    recipe = encoding.recipe
    if not (store.has_piece(sha256, recipe, job.span) or store.has(sha256, recipe)):
        job.source.check()
        if encoding.crops:
            return _crops(encoding, job, job.source, job.reading, {})
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
    encode = _engine(encoding.graph, encoding.backbone).encode
    seen = _mirrored(encode) if encoding.mirrored else encode
    feats_TD, pts_T, about = _each_chunk(reading, seen, pyav=pyav)
    return Features(feats_TD=feats_TD, pts_T=pts_T, about=about)


def _crops(
    encoding: Encoding,
    job: VideoJob | PieceJob,
    source: Source,
    reading: Reading,
    more: Mapping[str, Any],
) -> Cropped:
    backbone, pyav = encoding.backbone, isinstance(job, PieceJob) or job.pyav
    cut = functools.partial(crop, backbone=backbone)
    seen = _mirrored(cut) if encoding.mirrored else cut
    crops_TSSC, pts_T, about = _each_chunk(reading, seen, pyav=pyav)
    source.check()
    return Cropped(
        job=job, source=source, crops_TSSC=crops_TSSC, pts_T=pts_T, about={**about, **more}
    )


def _mirrored(
    make: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """Return ``make`` of frames (T, H, W, C) whose left is their right."""
    return lambda frames_THWC: make(frames_THWC[:, :, ::-1])


def _each_chunk(
    reading: Reading, make: Callable[[NDArray[np.uint8]], NDArray[Any]], *, pyav: bool
) -> tuple[NDArray[Any], NDArray[np.float64], dict[str, Any]]:
    """Decode chunk by chunk; an hour of video takes no more memory than a minute.

    Returns:
        All that ``make`` made, joined; the times of the frames; plain facts.
    """
    made: NDArray[Any] | None = None
    pts_T, at = np.empty(len(reading.rows_T)), 0
    decoders: set[str] = set()
    size: Sequence[int] = ()
    probe = reading.index.probe
    chunk = max(1, min(CHUNK, CHUNK_BYTES // max(1, 3 * probe.width * probe.height)))
    if reading.decodes > RARE * len(reading.rows_T):
        chunk = 1  # Minutes may lie between two of them, and a worker must show that it lives.
    for frames in stream_frames(reading, decoder="pyav" if pyav else "auto", chunk=chunk):
        some = make(frames.frames_THWC)
        if made is None:
            made = np.empty((len(pts_T), *some.shape[1:]), dtype=some.dtype)
        made[at : at + len(some)], pts_T[at : at + len(some)] = some, frames.pts_T
        at += len(some)
        still_alive()
        decoders.add(frames.decoder)
        size = frames.frames_THWC.shape[1:3]
    about = {"decoder": "+".join(sorted(decoders)), "height": size[0], "width": size[1]}
    assert made is not None
    assert at == len(pts_T), f"{at} of {len(pts_T)} frames came"
    return made, pts_T, about


@functools.cache
def _engine(graph: Path, backbone: Backbone) -> OnnxEngine:
    """Load the graph once a worker, however many videos it gets."""
    return OnnxEngine(graph, backbone, threads=1)
