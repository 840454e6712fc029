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

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from reelscribe.datasets import checks, tables
from reelscribe.datasets.clip import Clip, Finding, Source, Split
from reelscribe.datasets.ucf101_lists import OFFICIAL, ROOT_HOLDS, SPLITS, Entry, Lists, read_lists

log = logging.getLogger(__name__)

EACH = SPLITS
"""What ``data.split: all`` is the mean of."""

VAL_GROUPS = 3
"""UCF101 has no official validation part: of each class's groups in the train list, this many with
the highest numbers become it. Groups 22-25 are train in all three splits, so it is 23-25 in all."""


def load(source: Source) -> Split:
    """Read one official split, its validation part carved out of train by whole groups.

    Classes without a clip on disk leave ``Split.labels``: on a subset they are no answers.

    Raises:
        ValueError: a folder or list is not there or not in the format, the split has another name,
            a group is in both lists, or no listed clip is on disk.
    """
    lists = read_lists(source)
    on_disk = _scan(source, lists)
    if unknown := _unknown_folders(source, lists):
        log.warning("%s: no class of classInd.txt, left out: %s", source.root, ", ".join(unknown))
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
        lists = read_lists(source)
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


def _scan(source: Source, lists: Lists) -> dict[str, dict[str, Path]]:
    """Return class -> stem -> file, by one scan a class: not a stat for each of 13,320 names."""
    if source.features is not None:
        return dict.fromkeys(lists.classes, source.features.stems())
    return {name: tables.videos_in(source.root / name) for name in lists.classes}


def _unknown_folders(source: Source, lists: Lists) -> list[str]:
    """Return the folders of videos that are no class, each with the class it may have meant."""
    if source.features is not None:
        return []
    unknown = [
        folder.name
        for folder in sorted(source.root.iterdir())
        if folder.name not in lists.classes
        and folder.is_dir()
        and any(map(tables.is_video, os.listdir(folder)))
    ]
    near = {name: get_close_matches(name, lists.classes, n=1) for name in unknown}
    return [name + "".join(f" (did you mean {hit}?)" for hit in near[name]) for name in unknown]


def _validation(train: Sequence[Entry]) -> set[str]:
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


def _shared_groups(lists: Lists) -> list[str]:
    return sorted({e.group for e in lists.train} & {e.group for e in lists.test})


def _about_lists(source: Source, lists: Lists) -> Iterator[Finding]:
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
    source: Source, lists: Lists, on_disk: dict[str, dict[str, Path]]
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
    if unknown := _unknown_folders(source, lists):
        text = f"{len(unknown)} folders with videos are no class of classInd.txt"
        yield Finding(level="warning", text=text, examples=tuple(unknown[:5]))
    dropped = [name for name in lists.classes if not on_disk[name]]
    if dropped:
        text = f"{len(dropped)} classes have no clip on disk and are left out of the labels"
        yield Finding(level="warning", text=text, examples=tuple(dropped[:5]))
