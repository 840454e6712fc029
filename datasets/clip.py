"""The values every dataset yields: clips, the split they form, and what a doctor finds.

Reads and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from reelscribe.datasets.features import FeatureFolder

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One video file with its label or its captions."""

    id: str
    """Unique in its dataset, for example ``Archery/v_Archery_g01_c01``. Never used as a path."""
    path: Path
    """The video file."""
    group: str = ""
    """Clips of one group share a source (a YouTube video, a UCF101 group): no split parts them."""
    label: str | None = None
    """A name out of ``Split.labels``, or None where the dataset has captions alone."""
    captions: tuple[str, ...] = ()
    """Reference captions as published, or empty where the dataset has labels alone."""
    category: int | None = None
    """Its number among the dataset's categories, where the dataset has some (MSR-VTT's 20)."""
    backwards: bool = False
    """Whether its frames are taken from the last to the first (see datasets/backwards.py)."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a dataset lies on disk, and which of its splits is wanted."""

    root: Path
    """The folder of the videos."""
    annotations: Path | None = None
    """The folder or file of lists, labels or captions, where the dataset keeps them apart."""
    split: str = "1"
    """The name of a split, as the dataset calls it: ``1``, ``official``, ``source`` ..."""
    seed: int = 0
    """For datasets that are made or split at random."""
    clips: int | None = None
    """For datasets that are made: how many."""
    groups: str | None = None
    """For folders of one's own: a regular expression whose first group is a clip's group."""
    features: FeatureFolder | None = None
    """Features that others made: the clips that have some are there, whatever videos are."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split of one dataset: every clip in exactly one part."""

    dataset: str
    name: str
    labels: tuple[str, ...] = ()
    """The class names in the dataset's own order; a class's index in it is its number."""
    twins: tuple[tuple[str, str], ...] = ()
    """Pairs of labels that the order of the frames alone tells apart; scored by themselves."""
    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]
    missing: tuple[str, ...] = ()
    """Ids that the dataset's lists name and the disk does not have."""

    def __post_init__(self) -> None:
        counts = Counter(clip.id for clip in self.clips())
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(
                f"{self.dataset} split {self.name}: {len(twice)} clips are listed twice, "
                f"first {twice[0]!r}; list each clip once"
            )

    def part(self, part: Part) -> tuple[Clip, ...]:
        """Return the clips of one part."""
        parts: dict[Part, tuple[Clip, ...]] = {
            "train": self.train,
            "val": self.val,
            "test": self.test,
        }
        return parts[part]

    def clips(self) -> Iterator[Clip]:
        """Yield every clip: train, then val, then test."""
        yield from self.train
        yield from self.val
        yield from self.test

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {len(self.part(part))}" for part in PARTS)
        return f"Split({self.dataset} {self.name}: {sizes}, missing {len(self.missing)})"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a dataset's doctor has to say."""

    level: Level
    """``error``: do not train on this; ``warning``: know this; ``note``: as it should be."""
    text: str
    """One line with the count and what is expected."""
    examples: tuple[str, ...] = ()
    """A few names, where the line is about files or ids."""
