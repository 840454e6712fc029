"""Encode: videos -> features, in parallel, into the feature store.

Reads the videos and the index of hashes; writes one entry of the feature store a video. What the
store has is left alone, so the stage resumes by being run again. T = frames, D = features a frame.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from reelscribe.encoders.backbone import find_backbone
from reelscribe.pipeline.cache import CorruptEntry, Features, FeatureStore
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.feeding import Feed
from reelscribe.pipeline.guard import Failed
from reelscribe.pipeline.index import HashIndex
from reelscribe.pipeline.jobs import (
    Encoded,
    Job,
    Result,
    Source,
    VideoJob,
    path_of,
    without_decord,
)
from reelscribe.pipeline.pieces import LongVideos
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.recipe import Recipe
from reelscribe.pipeline.schedule import AHEAD
from reelscribe.pipeline.stages.adopt import Adoption, adopt_each, prepare_adoption
from reelscribe.pipeline.stages.fate import Fate
from reelscribe.pipeline.worker import Encoding, do

__all__ = [
    "Encoding",
    "Fate",
    "Origin",
    "Report",
    "encode",
    "encode_each",
    "origin",
    "prepare",
    "read_features",
    "stored_as",
]


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


Origin = Encoding | Adoption
"""Where features come from: videos that are encoded, or files that others made."""


def origin(frames: FramesConfig, encoder: EncoderConfig, cache: Path) -> Origin:
    """Return where the features of a config come from.

    Raises:
        ValueError: as :func:`prepare` and :func:`adopt.prepare_adoption`.
    """
    if encoder.precomputed is not None:
        return prepare_adoption(encoder.precomputed, cache)
    return prepare(frames, encoder, cache)


def prepare(frames: FramesConfig, encoder: EncoderConfig, cache: Path) -> Encoding:
    """Find the backbone's graph (made and checked once) and put the recipe together.

    Raises:
        ValueError: there is no such backbone or no such weights.
    """
    backbone, graph = find_backbone(
        encoder.backbone,
        weights=encoder.weights,
        pool=encoder.pool,
        size=encoder.size,
        graphs=cache / "graphs",
    )
    if encoder.crop_pct is not None:
        backbone = replace(backbone, crop_pct=encoder.crop_pct)
    return Encoding(
        sampling=frames.sampling(),
        backbone=backbone,
        graph=graph,
        store=cache,
        precision=encoder.precision,
    )


def encode_each(
    videos: Iterable[Path],
    encoding: Encoding,
    runner: Runner,
    *,
    told: Callable[[Path, Fate], None],
    heard: Callable[[str], None] = lambda text: None,
    work: Callable[[Encoding, Job], Result] = do,
) -> None:
    """Encode what the store does not have, and keep nothing in memory.

    Args:
        videos: paths, each once; read one by one.
        encoding: what to make of them.
        runner: where the work runs.
        told: called for each video as it ends; those in the store end at once.
        heard: called with how far a long video is, in words.
        work: what a worker does with a job; another for measuring all that surrounds it.

    Raises:
        Hopeless: the store cannot be written.
    """
    index = HashIndex(encoding.store / "index.sqlite")
    store, recipe = FeatureStore(encoding.store), encoding.recipe
    long = LongVideos(at_once=runner.workers * AHEAD)
    feed, failed = Feed(encoding, runner.device), set[Path]()

    def missing() -> Iterator[Job]:
        for path in videos:
            sha256 = index.lookup(path)
            if sha256 is not None and store.has(sha256, recipe):
                told(path, Fate(sha256=sha256))
            else:
                feed.start()
                yield VideoJob(path=path)

    def tell(ended: Encoded | Failed[Job]) -> None:
        if isinstance(ended, Encoded):
            _remember(index, ended.source)
            told(ended.source.path, Fate(sha256=ended.source.sha256, fresh=ended.fresh))
        elif path_of(ended.job) not in failed:
            # Pieces of a long video may fail one by one; it fails once.
            failed.add(path_of(ended.job))
            told(path_of(ended.job), Fate(reason=ended.reason))

    doing = functools.partial(work, replace(encoding, crops=runner.device != "cpu"))
    with closing(index), closing(feed):
        more = feed.before_joins(long.more)
        for outcome in runner.run(doing, missing(), more=more, again=without_decord):
            feed.take(outcome)
            if (end := long.ends(outcome)) is not None:
                tell(end)
            elif text := long.progress(outcome):
                heard(text)
            for ended in feed.ready():
                tell(ended)
        for ended in feed.rest():
            tell(ended)


def _remember(index: HashIndex, source: Source) -> None:
    index.remember(source.path, size=source.size, mtime_ns=source.mtime_ns, sha256=source.sha256)


def encode(
    videos: Iterable[Path],
    encoding: Origin,
    runner: Runner,
    *,
    told: Callable[[Path, str | None], None] = lambda path, reason: None,
    heard: Callable[[str], None] = lambda text: None,
) -> Report:
    """Encode (or take over) what the store does not have, and report on every video.

    Args:
        videos: paths; one given twice is done once.
        encoding: what to make of them.
        runner: where the work runs.
        told: called for each video as it ends, with the reason of a failure or None.
        heard: called with how far a long video is, in words.

    Raises:
        Hopeless: the store cannot be written.
    """
    contents: dict[Path, str] = {}
    failed: dict[Path, str] = {}
    encoded = 0

    def note(path: Path, fate: Fate) -> None:
        nonlocal encoded
        if fate.reason is None:
            contents[path] = fate.sha256
            encoded += fate.fresh
        else:
            failed[path] = fate.reason
        told(path, fate.reason)

    once = dict.fromkeys(videos)
    if isinstance(encoding, Adoption):
        adopt_each(once, encoding, told=note)
    else:
        encode_each(once, encoding, runner, told=note, heard=heard)
    return Report(recipe=encoding.recipe, contents=contents, failed=failed, encoded=encoded)


def encode_with_progress(
    videos: Sequence[Path],
    encoding: Origin,
    runner: Runner,
    *,
    what: str,
    unit: str,
    name_failures: bool = True,
) -> Report:
    """Encode, shown on stderr; where it is interrupted, say what was done.

    Raises:
        Hopeless: the store cannot be written.
    """
    total = len(dict.fromkeys(videos))
    with Progress(what, total, unit) as progress:

        def told(path: Path, reason: str | None) -> None:
            if reason is not None and name_failures:
                progress.say(f"failed: {path}: {reason}")
            progress()

        try:
            return encode(videos, encoding, runner, told=told, heard=progress.note)
        except KeyboardInterrupt:
            progress.stop()
            say(f"{what}: interrupted, {progress.done} of {total} {unit} are done and kept")
            raise


def stored_as(path: Path, encoding: Origin, store: FeatureStore, index: HashIndex) -> str | None:
    """Return the sha256 of the content of a clip that the store has features of, else None."""
    sha256: str | None = None
    if not isinstance(encoding, Adoption):
        sha256 = index.lookup(path)
    else:
        with suppress(ValueError, OSError):
            sha256 = encoding.content(path, index)
    return sha256 if sha256 is not None and store.has(sha256, encoding.recipe) else None


def read_features(
    store: FeatureStore, path: Path, sha256: str, encoding: Origin, *, device: str = "cuda"
) -> Features:
    """Return a video's features; those that are damaged are made again, and never served.

    Raises:
        ValueError: they are damaged or gone, and the video cannot be encoded now.
    """
    try:
        features = store.read(sha256, encoding.recipe)
        why = "vanished from the store"
    except CorruptEntry as error:
        features, why = None, str(error)
    if features is None:
        say(f"{path}: encoded again: {why}")
        store.path(sha256, encoding.recipe).unlink(missing_ok=True)
        half = isinstance(encoding, Encoding) and encoding.precision != "float32"
        runner = Runner(workers=1, local=True, device=device if half else "cpu")
        report = encode([path], encoding, runner)
        if report.contents.get(path) == sha256:
            features = store.read(sha256, encoding.recipe)
    if features is None:
        raise ValueError(f"the features of {path} {why}, and the video is no longer what it was")
    return features
