"""HMDB51: 6,766 clips of 51 human actions from films and the web, with three official splits.

Reads ``root/<class>/*.avi`` and, from the annotations folder, ``<class>_test_split<N>.txt`` as
published (testTrainMulti_7030_splits): a file name and 1 (train), 2 (test) or 0 (not used). Writes
nothing.

Paper: H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre, "HMDB: A Large Video Database for
Human Motion Recognition", ICCV 2011, https://doi.org/10.1109/ICCV.2011.6126543
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reelscribe.datasets import checks, tables
from reelscribe.datasets.clip import Clip, Finding, Part, Source, Split
from reelscribe.datasets.splitting import split_by_group

SPLITS = ("1", "2", "3")
EACH = SPLITS
"""What ``data.split: all`` is the mean of."""

OFFICIAL = (51, 3_570, 1_530)
"""Classes, train clips and test clips of each split: 70 and 30 a class."""

SHARES: Mapping[Part, float] = {"train": 0.85, "val": 0.15}
"""HMDB51 has no official validation part: this much of train becomes it, by whole films."""

ROOT_HOLDS = "one folder a class, as in brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi"
LISTS_HOLD = "brush_hair_test_split1.txt and its like (testTrainMulti_7030_splits)"

LINE = re.compile(r"(?P<name>.+\.\w+)\s+(?P<part>[012])\s*")


def load(source: Source) -> Split:
    """Read one official split, its validation part carved out of train by film.

    Raises:
        ValueError: a folder or list is not there or not in the format, the split has another name,
            or no listed clip is on disk.
    """
    listed = _read(source)
    labels = {clip.label for _, clip in listed}
    stems = source.features.stems() if source.features else None
    found: dict[str, Path] = {}
    for label in sorted(name for name in labels if name):
        there = stems if stems is not None else tables.videos_in(source.root / label)
        found |= {f"{label}/{stem}": path for stem, path in there.items()}
    parts = {
        part: tuple(clip for number, clip in listed if number == wanted)
        for part, wanted in (("train", "1"), ("test", "2"))
    }
    # From the list alone, so that a clip that gets lost moves no other.
    carved = split_by_group(parts["train"], seed=0, shares=SHARES)
    there_are = {
        part: tuple(replace(clip, path=found[clip.id]) for clip in clips if clip.id in found)
        for part, clips in ({**carved, "test": parts["test"]}).items()
    }
    present = {clip.label for clips in there_are.values() for clip in clips}
    if not present:
        raise tables.nothing_found(source.root, len(listed), ROOT_HOLDS)
    used = (*parts["train"], *parts["test"])
    return Split(
        dataset="hmdb51",
        name=source.split,
        labels=tuple(sorted(label for label in present if label)),
        train=there_are["train"],
        val=there_are["val"],
        test=there_are["test"],
        missing=tuple(clip.id for clip in used if clip.id not in found),
    )


def examine(source: Source) -> Iterator[Finding]:
    """Compare a copy with the published one: counts, missing and empty files, leaks."""
    try:
        listed = _read(source)
        split = load(source)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    train, test = (sum(number == wanted for number, _ in listed) for wanted in ("1", "2"))
    counts = (len({clip.label for _, clip in listed}), train, test)
    yield Finding(
        level="note" if counts == OFFICIAL else "warning",
        text=f"split {source.split} lists {counts[0]} classes, {train:,} train and {test:,} test "
        "clips; official: 51, 3,570 and 1,530",
    )
    yield tables.about_missing(split.missing, train + test)
    yield from tables.about_files([clip.path for clip in split.clips()])
    yield from checks.about_twins({"train": split.train + split.val, "test": split.test})


def _read(source: Source) -> list[tuple[str, Clip]]:
    """Return (1, 2 or 0, clip) of every line, in the order of the classes' names."""
    tables.check_split("hmdb51", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)
    folder = source.annotations or source.root
    tables.check_folder(folder, "data.annotations", LISTS_HOLD)
    ending = f"_test_split{source.split}.txt"
    lists = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if not lists:
        raise ValueError(
            f"data.annotations {str(folder)!r} has no file *{ending}; it should hold {LISTS_HOLD}"
        )
    rows: list[tuple[str, Clip]] = []
    for path in lists:
        label = path.name.removesuffix(ending)
        for i, line in tables.read_lines(path):
            match = LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{path} line {i}: {line[:80]!r} is not like 'name.avi 1'")
            name = tables.inside(match["name"].strip(), f"{path} line {i}")
            stem = tables.fold(Path(name).stem)
            # April_09_brush_hair_u_nm_np1_ba_goo_0: the film, the class, how it is filmed.
            film = stem.partition(f"_{label}_")[0]
            clip = Clip(
                id=f"{label}/{stem}", path=source.root / label / name, group=film, label=label
            )
            rows.append((match["part"], clip))
    return rows
