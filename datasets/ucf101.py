"""UCF101: 13,320 clips of 101 human actions, with three official splits.

Reads ``root/<Class>/*.avi`` and, from the annotations folder, ``classInd.txt`` and
``trainlist0N.txt``, ``testlist0N.txt`` as published: CRLF, classes counted from 1, no numbers in
the test lists. Writes nothing.

The class of a clip is its folder: files of ``HandstandPushups`` spell it ``v_HandStandPushups``.
The order of classes is classInd's, which is not sorted: 35 Hammering comes before 36 HammerThrow.

Paper: K. Soomro, A. R. Zamir, M. Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos
in The Wild", 2012, https://arxiv.org/abs/1212.0402
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from reelscribe.datasets import checks, tables
from reelscribe.datasets.clip import Clip, Finding, Source, Split

SPLITS = ("1", "2", "3")
EACH = SPLITS
"""What ``data.split: all`` is the mean of."""

VAL_GROUPS = 3
"""UCF101 has no official validation part: of each class's groups in the train list, this many with
the highest numbers become it. Groups 22-25 are train in all three splits, so it is 23-25 in all."""

OFFICIAL = {"1": (9_537, 3_783), "2": (9_586, 3_734), "3": (9_624, 3_696)}
"""Clips in the train and test list of each split."""

ROOT_HOLDS = "one folder a class, as in Archery/v_Archery_g01_c01.avi"
LISTS_HOLD = "classInd.txt, trainlist01.txt and testlist01.txt (ucfTrainTestlist)"

CLIP = re.compile(
    r"(?P<folder>[^/]+)/(?P<stem>v_[^/]+_g(?P<group>\d+)_c\d+)\.\w+(?:\s+(?P<number>\d+))?\s*"
)
"""A line of a list. Test lists have no number."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A line of a list."""

    label: str
    stem: str
    """File name without its suffix, so that a copy converted to MP4 is found too."""
    number: int
    """Of the group: 1-25. Clips of one group show the same people in the same place."""

    @property
    def id(self) -> str:
        return f"{self.label}/{self.stem}"

    @property
    def group(self) -> str:
        return f"{self.label}_g{self.number:02d}"


@dataclass(frozen=True, kw_only=True)
class _Lists:
    classes: tuple[str, ...]
    train: tuple[_Entry, ...]
    test: tuple[_Entry, ...]


def load(source: Source) -> Split:
    """Read one official split, its validation part carved out of train by whole groups.

    Classes without a clip on disk leave ``Split.labels``: on a subset they are no answers.

    Raises:
        ValueError: a folder or list is not there or not in the format, the split has another name,
            a group is in both lists, or no listed clip is on disk.
    """
    lists = _read(source)
    on_disk = _scan(source, lists)
    held_out = _validation(lists.train)
    parts: dict[str, list[Clip]] = {"train": [], "val": [], "test": []}
    missing: list[str] = []
    tagged = [("val" if entry.group in held_out else "train", entry) for entry in lists.train]
    for part, entry in tagged + [("test", entry) for entry in lists.test]:
        path = on_disk[entry.label].get(entry.stem)
        if path is None:
            missing.append(entry.id)
            continue
        clip = Clip(id=entry.id, path=path, group=entry.group, label=entry.label)
        parts[part].append(clip)
    present = {clip.label for clips in parts.values() for clip in clips}
    if not present:
        raise tables.nothing_found(source.root, len(missing), ROOT_HOLDS)
    shared = _shared_groups(lists)
    if shared:
        raise ValueError(
            f"ucf101 split {source.split}: {len(shared)} groups are in train and test, first "
            f"{shared[0]}; a score on them means nothing, use the official lists"
        )
    return Split(
        dataset="ucf101",
        name=source.split,
        labels=tuple(name for name in lists.classes if name in present),
        train=tuple(parts["train"]),
        val=tuple(parts["val"]),
        test=tuple(parts["test"]),
        missing=tuple(missing),
    )


def examine(source: Source) -> Iterator[Finding]:
    """Compare a copy with the published one: counts, files, leaks, names."""
    try:
        lists = _read(source)
        on_disk = _scan(source, lists)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    yield from _about_lists(source, lists)
    entries = (*lists.train, *lists.test)
    missing = [e.id for e in entries if e.stem not in on_disk[e.label]]
    yield tables.about_missing(missing, len(entries))
    yield from _about_disk(source, lists, on_disk)
    try:
        split = load(source)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    # Files against the published lists: what validation takes from train stays train here.
    yield from checks.about_twins({"train": split.train + split.val, "test": split.test})


def _read(source: Source) -> _Lists:
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
            if entry.id in seen:
                raise ValueError(
                    f"{folder}: {entry.id} is listed twice, in {seen[entry.id]} and {name}; "
                    "use the official lists"
                )
            seen[entry.id] = name
    return _Lists(classes=tuple(classes), train=lists[0], test=lists[1])


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


def _read_list(path: Path, classes: dict[str, int]) -> tuple[_Entry, ...]:
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
        entries.append(_Entry(label=label, stem=match["stem"], number=int(match["group"])))
    return tuple(entries)


def _scan(source: Source, lists: _Lists) -> dict[str, dict[str, Path]]:
    """Return class -> stem -> file, by one scan a class: not a stat for each of 13,320 names."""
    if source.features is not None:
        return dict.fromkeys(lists.classes, source.features.stems())
    return {name: tables.videos_in(source.root / name) for name in lists.classes}


def _validation(train: Sequence[_Entry]) -> set[str]:
    """Return the groups that become validation.

    They follow from the list alone: a clip that gets lost moves no other. Lists of a few groups,
    which no official one is, keep half of them for training.
    """
    by_class: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for entry in train:
        by_class[entry.label][entry.group] = entry.number
    held_out: set[str] = set()
    for numbers in by_class.values():
        ordered = sorted(numbers, key=numbers.__getitem__)
        take = min(VAL_GROUPS, len(ordered) // 2)
        held_out.update(ordered[len(ordered) - take :])
    return held_out


def _shared_groups(lists: _Lists) -> list[str]:
    return sorted({e.group for e in lists.train} & {e.group for e in lists.test})


def _about_lists(source: Source, lists: _Lists) -> Iterator[Finding]:
    train, test = OFFICIAL[source.split]
    found = (len(lists.classes), len(lists.train), len(lists.test))
    whole = found == (101, train, test)
    yield Finding(
        level="note" if whole else "warning",
        text=f"split {source.split} lists {found[0]} classes, {found[1]:,} train and {found[2]:,} "
        f"test clips; official: 101, {train:,} and {test:,} (13,320 in all)",
    )
    shared = _shared_groups(lists)
    if shared:
        text = f"{len(shared)} groups are in train and test: the score would measure memory"
        yield Finding(level="error", text=text, examples=tuple(shared[:5]))
    else:
        yield Finding(level="note", text="no group is in both train and test")
    odd = [e.id for e in (*lists.train, *lists.test) if not e.stem.startswith(f"v_{e.label}_")]
    if odd:
        text = f"{len(odd)} files spell their class unlike their folder; the folder counts"
        yield Finding(level="note", text=text, examples=tuple(odd[:2]))
    moved = [a for a, b in zip(lists.classes, sorted(lists.classes), strict=True) if a != b]
    if moved:
        text = f"{len(moved)} classes stand elsewhere when sorted; labels follow classInd.txt"
        yield Finding(level="note", text=text, examples=tuple(moved))
    if b"\r\n" in ((source.annotations or source.root) / "classInd.txt").read_bytes():
        yield Finding(level="note", text="the lists have CRLF line ends, as published")


def _about_disk(
    source: Source, lists: _Lists, on_disk: dict[str, dict[str, Path]]
) -> Iterator[Finding]:
    listed = {entry.id for entry in (*lists.train, *lists.test)}
    files = [path for videos in on_disk.values() for path in videos.values()]
    count = sum(map(bool, on_disk.values()))
    text = f"{len(files):,} videos of {count} classes on disk; official: 13,320 of 101"
    yield Finding(level="note" if len(files) == 13_320 else "warning", text=text)
    # The whole root, for videos in folders that are no class.
    stray = [
        str(path.relative_to(source.root))
        for path in tables.walk_videos(source.root)
        if f"{path.parent.name}/{path.stem}" not in listed
    ]
    if stray:
        text = f"{len(stray):,} videos on disk are in no list and will not be used"
        yield Finding(level="warning", text=text, examples=tuple(stray[:5]))
    yield from tables.about_files(files)
    folders = {path.parent.name for path in tables.walk_videos(source.root)}
    unknown = sorted(folders.difference(lists.classes))
    if unknown:
        text = f"{len(unknown)} folders with videos are no class of classInd.txt"
        hints = (get_close_matches(name, lists.classes, n=1) for name in unknown[:5])
        yield Finding(
            level="warning",
            text=text,
            examples=tuple(
                name + "".join(f": did you mean {near}?" for near in hint)
                for name, hint in zip(unknown[:5], hints, strict=True)
            ),
        )
    dropped = [name for name in lists.classes if not on_disk[name]]
    if dropped:
        text = f"{len(dropped)} classes have no clip on disk and are left out of the labels"
        yield Finding(level="warning", text=text, examples=tuple(dropped[:5]))
