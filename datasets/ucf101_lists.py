"""The official lists of UCF101: every line checked, nothing taken on trust.

Reads ``classInd.txt``, ``trainlist0N.txt`` and ``testlist0N.txt`` as published: CRLF, classes
counted from 1, no numbers in the test lists. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelscribe.datasets import tables
from reelscribe.datasets.clip import Source

SPLITS = ("1", "2", "3")

OFFICIAL = {"1": (9_537, 3_783), "2": (9_586, 3_734), "3": (9_624, 3_696)}
"""Clips in the train and test list of each split."""

TESTED = {"1": range(1, 8), "2": range(8, 15), "3": range(15, 22)}
"""Groups in the test list of each split."""

ROOT_HOLDS = "one folder a class, as in Archery/v_Archery_g01_c01.avi"
LISTS_HOLD = "classInd.txt, trainlist01.txt and testlist01.txt (ucfTrainTestlist)"

CLIP = re.compile(
    r"(?P<folder>[^/]+)/(?P<stem>v_[^/]+_g(?P<group>\d+)_c\d+)\.\w+(?:\s+(?P<number>\d+))?\s*"
)
"""A line of a list. Test lists have no number."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of a list."""

    label: str
    stem: str
    """File name without its suffix, so that a copy converted to MP4 is found too."""
    number: int
    """Of the group: 1-25. Clips of one group show the same people in the same place."""

    @property
    def id(self) -> str:
        """The clip's id."""
        return f"{self.label}/{self.stem}"

    @property
    def group(self) -> str:
        """What no split parts."""
        return f"{self.label}_g{self.number:02d}"


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The lists of one split, in their order."""

    classes: tuple[str, ...]
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]


def read_lists(source: Source) -> Lists:
    """Read the lists of one split.

    Raises:
        ValueError: a folder or list is not there, not in the format, or of another split.
    """
    tables.check_split("ucf101", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)
    folder = source.annotations or source.root
    tables.check_folder(folder, "data.annotations", LISTS_HOLD)
    names = ("classInd.txt", f"trainlist0{source.split}.txt", f"testlist0{source.split}.txt")
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(
                f"data.annotations {str(folder)!r} has no {name}; it should hold {LISTS_HOLD}"
            )
    classes = _read_classes(folder / names[0])
    lists = [_read_list(folder / name, classes) for name in names[1:]]
    seen: dict[str, str] = {}
    for name, entries in zip(names[1:], lists, strict=True):
        for entry in entries:
            if (other := seen.get(entry.id)) is not None:
                where = f"in {name}" if other == name else f"in {other} and {name}"
                raise ValueError(
                    f"{folder}: {entry.id} is listed twice, {where}; use the official lists"
                )
            seen[entry.id] = name
    _check_split(source.split, lists[1], folder / names[2])
    return Lists(classes=tuple(classes), train=lists[0], test=lists[1])


def _check_split(split: str, test: Sequence[Entry], path: Path) -> None:
    """Refuse the test list of another split under this one's name: its score is another's.

    Lists of one's own, over a few of the groups, are left alone.

    Raises:
        ValueError: all its groups are those that another split tests.
    """
    groups = {entry.number for entry in test}
    for other in SPLITS:
        if groups and other != split and groups == set(TESTED[other]):
            raise ValueError(
                f"{path} has groups {min(groups)} to {max(groups)} alone, which are those of split "
                f"{other}'s test list; put the official list back, or set data.split to {other}"
            )


def _read_classes(path: Path) -> dict[str, int]:
    """Return class -> number, in the order of the file."""
    classes: dict[str, int] = {}
    for i, line in tables.read_lines(path):
        number, _, name = line.strip().partition(" ")
        if not number.isdecimal() or not name:
            raise ValueError(f"{path} line {i}: {line[:60]!r} is not like '1 ApplyEyeMakeup'")
        name = tables.inside(name, f"{path} line {i}")
        if name in classes or int(number) in classes.values():
            raise ValueError(f"{path} line {i}: {line.strip()!r} repeats an earlier line")
        classes[name] = int(number)
    if not classes:
        raise ValueError(f"{path} is empty; it should hold lines like '1 ApplyEyeMakeup'")
    return classes


def _read_list(path: Path, classes: dict[str, int]) -> tuple[Entry, ...]:
    entries = []
    for i, line in tables.read_lines(path):
        match = CLIP.fullmatch(tables.inside(line.strip(), f"{path} line {i}"))
        if match is None:
            raise ValueError(
                f"{path} line {i}: {line[:80]!r} is not like 'Archery/v_Archery_g01_c01.avi 3'"
            )
        label, number = match["folder"], match["number"]
        if label not in classes:
            raise ValueError(
                f"{path} line {i}: class {label!r} is not in classInd.txt, which has "
                f"{len(classes)} classes; use lists of one release"
            )
        if number and int(number) != classes[label]:
            raise ValueError(
                f"{path} line {i}: {label} is {classes[label]} in classInd.txt and {number} here; "
                "use lists of one release"
            )
        entries.append(Entry(label=label, stem=match["stem"], number=int(match["group"])))
    return tuple(entries)
