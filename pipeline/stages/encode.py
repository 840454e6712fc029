"""Encode: videos -> features, in parallel, into the feature store.

Reads the videos and the index of hashes; writes one entry of the feature store a video. What the
store has is left alone, so the stage resumes by being run again. T = frames, D = features a frame.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.encoders.backbone import Backbone, find_backbone
from reelscribe.encoders.engine import OnnxEngine
from reelscribe.pipeline.cache import CorruptEntry, Features, FeatureStore, HashIndex, hash_file
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.guard import Failed
from reelscribe.pipeline.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All that a worker needs to know: the recipe, and where graph and store lie."""

    sampling: Sampling
    backbone: Backbone
    graph: Path
    """The CNN as an ONNX graph."""
    store: Path

    @property
    def recipe(self) -> Recipe:
        """What the features are keyed by."""
        return Recipe.of(self.sampling, self.backbone)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What a worker says of one video that went well."""

    sha256: str
    size: int
    """Bytes of the file."""
    mtime_ns: int
    fresh: bool
    """False where the store had this content already, under whatever name."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How the videos of one run came out."""

    recipe: Recipe
    contents: Mapping[Path, str]
    """The sha256 of each video that has features."""
    failed: Mapping[Path, str]
    """The reason of each video that has none."""
    encoded: int
    """How many were decoded and encoded now; the others were in the store."""

    def to_json(self) -> dict[str, object]:
        """Return plain values, for programs."""
        return {
            "recipe": self.recipe.fingerprint,
            "encoded": self.encoded,
            "stored": len(self.contents) - self.encoded,
            "videos": {str(path): sha256 for path, sha256 in self.contents.items()},
            "failed": {str(path): reason for path, reason in self.failed.items()},
        }


def prepare(frames: FramesConfig, encoder: EncoderConfig, cache: Path) -> Encoding:
    """Find the backbone's graph (made and checked once) and put the recipe together."""
    backbone, graph = find_backbone(
        encoder.backbone, weights=encoder.weights, pool=encoder.pool, graphs=cache / "graphs"
    )
    return Encoding(sampling=frames.sampling(), backbone=backbone, graph=graph, store=cache)


def encode_video(encoding: Encoding, path: Path) -> Encoded:
    """Bring one video's features into the store. Runs in a worker process.

    Raises:
        ValueError: the video cannot be decoded, or changed while it was being read.
        OSError: it cannot be opened.
    """
    before = path.stat()
    sha256 = hash_file(path)
    store = FeatureStore(encoding.store)
    fresh = not _good(store, sha256, encoding.recipe)
    if fresh:
        features = _features(encoding, path)
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise ValueError("changed while it was being read; run again when it is whole")
        store.write(sha256, encoding.recipe, features)
    return Encoded(sha256=sha256, size=before.st_size, mtime_ns=before.st_mtime_ns, fresh=fresh)


def encode(
    videos: Iterable[Path],
    encoding: Encoding,
    runner: Runner,
    *,
    told: Callable[[Path, str | None], None] = lambda path, reason: None,
) -> Report:
    """Encode what the store does not have.

    Args:
        videos: paths; one given twice is done once.
        encoding: what to make of them.
        runner: where the work runs.
        told: called for each video as it ends, with the reason of a failure or None.
    """
    index = HashIndex(encoding.store / "index.sqlite")
    store, recipe = FeatureStore(encoding.store), encoding.recipe
    contents: dict[Path, str] = {}
    failed: dict[Path, str] = {}
    encoded = 0

    def missing() -> Iterator[Path]:
        for path in dict.fromkeys(videos):
            sha256 = index.lookup(path)
            if sha256 is not None and _good(store, sha256, recipe):
                contents[path] = sha256
                told(path, None)
            else:
                yield path

    try:
        for outcome in runner.run(functools.partial(encode_video, encoding), missing()):
            path = outcome.job
            if isinstance(outcome, Failed):
                failed[path] = outcome.reason
                told(path, outcome.reason)
                continue
            done = outcome.result
            index.remember(path, size=done.size, mtime_ns=done.mtime_ns, sha256=done.sha256)
            contents[path] = done.sha256
            encoded += done.fresh
            told(path, None)
    finally:
        index.close()
    return Report(recipe=recipe, contents=contents, failed=failed, encoded=encoded)


@functools.cache
def _engine(graph: Path, backbone: Backbone) -> OnnxEngine:
    """Load the graph once a worker, however many videos it gets."""
    return OnnxEngine(graph, backbone, threads=1)


def _features(encoding: Encoding, path: Path) -> Features:
    frames = read_frames(path, encoding.sampling)
    feats_TD = _engine(encoding.graph, encoding.backbone).encode(frames.frames_THWC)
    height, width = frames.frames_THWC.shape[1:3]
    about = {
        "duration": frames.duration,
        "decoder": frames.decoder,
        "width": width,
        "height": height,
        "source_bytes": path.stat().st_size,
        "versions": {name: version(name) for name in ("reelscribe", "onnxruntime", "av")},
    }
    return Features(feats_TD=feats_TD, pts_T=frames.pts_T, about=about)


def _good(store: FeatureStore, sha256: str, recipe: Recipe) -> bool:
    try:
        return store.read(sha256, recipe) is not None
    except CorruptEntry:
        return False
