"""What a run reads: the clips of its split, brought together with their features.

Reads the dataset and the feature store; writes nothing but what encoding adds to the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe.datasets.backwards import inside, with_reversed
from reelscribe.datasets.catalog import DATASETS
from reelscribe.datasets.clip import Clip, Part, Source, Split
from reelscribe.datasets.features import scan
from reelscribe.datasets.splitting import split_by_group
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.config import CATEGORY, Config, DataConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.leaks import guard_leaks
from reelscribe.pipeline.names import resolve
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.recipe import Recipe
from reelscribe.pipeline.stages.encode import (
    Encoding,
    Origin,
    encode_with_progress,
    origin,
    read_features,
)

if TYPE_CHECKING:
    from torch import Tensor

    from reelscribe.pipeline.holding import Room
    from reelscribe.pipeline.tasks import Example

HELD_OUT: Mapping[Part, float] = {"train": 0.75, "val": 0.25}
"""Shares of the training groups where a subset has lost its validation clips."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a command works: its feature store, and the processes that do the work."""

    cache: Path
    runner: Runner


@dataclass(frozen=True, kw_only=True)
class Material:
    """A split whose videos have been encoded."""

    split: Split
    encoding: Origin
    store: FeatureStore
    contents: Mapping[Path, str]
    """The sha256 of each video that has features."""
    failed: Mapping[Path, str]
    """The reason of each video that has none."""
    leaks: tuple[str, ...] = ()
    """A line for each clip whose bytes were found in two parts (see leaks.py)."""
    mirrored: Encoding | None = None
    """How the mirrored views were made, where training clips have them."""
    categories: bool = False
    """Whether a head is told the category of each clip: ``head.side: category``."""
    trim: float = 0.0
    """Seconds that are left out at both ends of each clip: ``data.trim``."""

    @property
    def recipe(self) -> Recipe:
        """What the features are keyed by."""
        return self.encoding.recipe

    def clips(self, part: Part) -> list[Clip]:
        """Return the clips of one part that have features."""
        return [clip for clip in self.split.part(part) if clip.path in self.contents]

    def features(self, clip: Clip) -> Features:
        """Read the features of a clip out of the store: of the frames that are not left out."""
        found = read_features(self.store, clip.path, self.contents[clip.path], self.encoding)
        kept = inside(found.pts_T, self.trim)
        return replace(found, feats_TD=found.feats_TD[kept], pts_T=found.pts_T[kept])

    def examples(
        self, clips: Sequence[Clip], room: Room | None = None, *, mirrors: bool = False
    ) -> list[Example]:
        """Read the features of ``clips`` out of the store, and hold those that ``room`` has.

        With ``mirrors`` each has its mirrored view beside it, where there are such.
        """
        if not mirrors or self.mirrored is None:
            return self._examples(clips, self.encoding, room)
        views = self._examples(clips, self.mirrored, room)
        return self._examples(clips, self.encoding, room, views)

    def _examples(
        self,
        clips: Sequence[Clip],
        encoding: Origin,
        room: Room | None,
        mirrors: Sequence[Example] | None = None,
    ) -> list[Example]:
        # Here, so that a command that only encodes loads no torch.
        import torch

        from reelscribe.pipeline.holding import Room

        room = room or Room()
        number = {label: i for i, label in enumerate(self.split.labels)}
        found = []
        for place, clip in enumerate(clips):
            sha256 = self.contents[clip.path]
            features = read_features(self.store, clip.path, sha256, encoding)
            kept = inside(features.pts_T, self.trim)
            found.append(
                room.example(
                    self.store.path(sha256, encoding.recipe),
                    torch.from_numpy(features.feats_TD),
                    change=partial(_as_shown, clip, self.categories, kept),
                    name=clip.id,
                    label=-1 if clip.label is None else number[clip.label],
                    captions=clip.captions,
                    group=clip.group,
                    mirror=mirrors[place] if mirrors else None,
                )
            )
        return found

    def digest(self, clips: Iterable[Clip]) -> str:
        """Return a hash of which videos these are and what they are said to show."""
        rows = sorted(
            (clip.id, self.contents[clip.path], clip.label, clip.captions, *self._told(clip))
            for clip in clips
        )
        if self.trim:
            rows.append((f"trim {self.trim}",))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def _told(self, clip: Clip) -> tuple[int | None, ...]:
        return (clip.category,) if self.categories else ()


def _as_shown(clip: Clip, categories: bool, kept: slice, feats_TD: Tensor) -> Tensor:
    """Return a video's features as a head is given the clip: cut, reversed, with its category."""
    from reelscribe.decoders.side import with_category

    feats_TD = feats_TD[kept]
    feats_TD = feats_TD.flip(0) if clip.backwards else feats_TD
    return with_category(feats_TD, clip.category) if categories else feats_TD


def source(data: DataConfig, precomputed: Path | None = None) -> Source:
    """Return the config's ``data`` section as the value that datasets take.

    Raises:
        ValueError: there are no features in ``precomputed``.
    """
    return Source(
        root=data.root,
        annotations=data.annotations,
        split=data.split,
        seed=data.seed,
        clips=data.clips,
        groups=data.groups,
        features=scan(precomputed) if precomputed is not None else None,
    )


def load_split(config: Config) -> Split:
    """Load the clips that the config names.

    Raises:
        ValueError: clips are missing and the config does not allow that, or the split cannot be
            trained on.
    """
    config.refuse_apart()
    if config.head.task == "caption":
        config.training.refuse_for_captions()
    else:
        config.training.refuse_for_actions()
    dataset = resolve(DATASETS, config.data.dataset, "dataset")
    split: Split = dataset.load(source(config.data, config.encoder.precomputed))
    if split.missing:
        where = config.encoder.precomputed or config.data.root
        named = f"{', '.join(split.missing[:3])}{' ...' if len(split.missing) > 3 else ''}"
        if config.data.missing == "refuse":
            raise ValueError(
                f"{len(split.missing)} clips that the lists name are not under "
                f"{where} ({named}); bring them, or train on a subset with --set data.missing=skip"
            )
        say(f"a subset: {len(split.missing)} listed clips are not on disk ({named})")
    if split.train and not split.val:
        split = _with_val(split, config.data.seed)
    if config.data.reversed:
        split = with_reversed(split)
    _refuse_unusable(split, config)
    return split


def _with_val(split: Split, seed: int) -> Split:
    """Hold out a share of the training groups where the disk has no validation clip."""
    parts = split_by_group(split.train, seed=seed, shares=HELD_OUT)
    say(
        f"no validation clip is on disk: {len(parts['val'])} of {len(split.train)} training clips "
        "are held out by group for it"
    )
    return replace(split, train=parts["train"], val=parts["val"])


def gather(config: Config, split: Split, place: Place) -> Material:
    """Encode what the store lacks of the split, and return it with its features.

    Raises:
        ValueError: one video is in two parts, and ``data.leaks`` does not say what to do then.
    """
    encoding = origin(config.frames, config.encoder, place.cache)
    clips = list(split.clips())
    paths = [clip.path for clip in clips]
    report = encode_with_progress(paths, encoding, place.runner, what="encode", unit="clips")
    mirrored = encode_mirrored(config, split, encoding, report.contents, place.runner)
    stop()  # What trains next has the machine for itself.
    say(f"encode: {report.encoded} encoded, {len(report.contents) - report.encoded} from the store")
    split, leaks = guard_leaks(split, report.contents, config.data.leaks)
    return Material(
        split=split,
        encoding=encoding,
        store=FeatureStore(place.cache),
        contents=report.contents,
        failed=report.failed,
        leaks=leaks,
        mirrored=mirrored,
        categories=told_categories(config),
        trim=config.data.trim,
    )


def encode_mirrored(
    config: Config, split: Split, encoding: Origin, contents: Collection[Path], runner: Runner
) -> Encoding | None:
    """Encode the mirrored views of the clips that are learnt from, where the config wants them."""
    mirrored = mirrored_view(config, encoding)
    if mirrored is not None:
        paths = [path for path in learnt_from(config, split) if path in contents]
        encode_with_progress(paths, mirrored, runner, what="encode mirrored", unit="clips")
    return mirrored


def learnt_from(config: Config, split: Split) -> list[Path]:
    """Return the videos that a head learns from: with ``refit`` those of validation too."""
    clips = (*split.train, *(split.val if config.training.refit else ()))
    return list(dict.fromkeys(clip.path for clip in clips))


def told_categories(config: Config) -> bool:
    """Say whether the head is told the category of each clip."""
    return getattr(config.head, "side", None) == CATEGORY


def mirrored_view(config: Config, encoding: Origin) -> Encoding | None:
    """Return how the mirrored views of training clips are made, where the config wants them."""
    if not config.training.mirrored:
        return None
    if not isinstance(encoding, Encoding):
        raise ValueError(
            "training.mirrored needs features of mirrored videos, encoder.precomputed has none; "
            "take one of the two out"
        )
    return replace(encoding, mirrored=True)


def _refuse_unusable(split: Split, config: Config) -> None:
    task = config.head.task
    for part in ("train", "val", "test"):
        clips = split.part(part)
        if not clips:
            raise ValueError(
                f"{split.dataset} split {split.name} has no {part} clips under {config.data.root}; "
                "for train, val and test a class needs three clips of different groups"
            )
        bare = [c.id for c in clips if not (c.label if task == "action" else c.captions)]
        if bare:
            missing = "label" if task == "action" else "caption"
            raise ValueError(
                f"head.task is {task}, but {len(bare)} {part} clips have no {missing} "
                f"(first {bare[0]!r}); give them one, or set head.task to the other task"
            )
    if told_categories(config) and all(clip.category is None for clip in split.train):
        raise ValueError(
            f"head.side is {CATEGORY}, and no training clip of {split.dataset} has one; "
            "MSR-VTT's annotations do. Leave head.side out, or give the folder of an action run"
        )
    if task == "action" and len(split.labels) < 2:
        raise ValueError(
            f"one class only ({', '.join(split.labels) or 'none'}); an action head needs two"
        )
