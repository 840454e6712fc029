"""Kinetics-style CSVs: a row a clip of ten seconds, cut out of a YouTube video.

Reads ``train.csv`` and ``val.csv`` or ``validate.csv`` (for split ``test`` also ``test.csv``) with
the columns ``label``, ``youtube_id``, ``time_start``, ``time_end``, and the videos
``<youtube_id>_<start>_<end>.mp4`` (six digits each), anywhere below the root. Writes nothing.

Paper: W. Kay et al., "The Kinetics Human Action Video Dataset", 2017,
https://arxiv.org/abs/1705.06950
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reelscribe.datasets import checks, tables
from reelscribe.datasets.clip import PARTS, Clip, Finding, Part, Source, Split
from reelscribe.datasets.splitting import split_by_group

SPLITS = ("1", "test")
"""``1``: scored on the validation list, as published figures are, and validation is carved out of
train by video; ``test``: the three lists as they are called."""

FILES = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}
SHARES: Mapping[Part, float] = {"train": 0.95, "val": 0.05}
COLUMNS = ("label", "youtube_id", "time_start", "time_end")

ROOT_HOLDS = (
    "<youtube_id>_<start>_<end>.mp4 at any depth, as in abseiling/0347ZoDXyP0_000095_000105.mp4"
)
LISTS_HOLD = "train.csv and val.csv with the columns label, youtube_id, time_start, time_end"


def load(source: Source) -> Split:
    """Read the lists, and of them the clips that are on disk.

    Raises:
        ValueError: a folder or list is not there or not in the format, the split has another name,
            or no listed clip is on disk.
    """
    listed = _read(source)
    found = _on_disk(source)
    if source.split == "1":
        listed = {**split_by_group(listed["train"], seed=0, shares=SHARES), "test": listed["val"]}
    there = {
        part: tuple(replace(clip, path=found[clip.id]) for clip in clips if clip.id in found)
        for part, clips in listed.items()
    }
    labels = {clip.label for clips in there.values() for clip in clips if clip.label}
    total = sum(map(len, listed.values()))
    if not labels:
        raise tables.nothing_found(source.root, total, ROOT_HOLDS)
    return Split(
        dataset="kinetics",
        name=source.split,
        labels=tuple(sorted(labels)),
        train=there["train"],
        val=there["val"],
        test=there["test"],
        missing=tuple(c.id for clips in listed.values() for c in clips if c.id not in found),
    )


def examine(source: Source) -> Iterator[Finding]:
    """Say how many clips the lists have, and which are missing, empty or in two parts."""
    try:
        split = load(source)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    sizes = " / ".join(f"{len(split.part(part)):,}" for part in PARTS)
    yield Finding(
        level="note", text=f"{len(split.labels)} classes, {sizes} clips (train / val / test)"
    )
    yield tables.about_missing(split.missing, len(split.missing) + sum(1 for _ in split.clips()))
    yield from tables.about_files([clip.path for clip in split.clips()])
    yield from checks.about_twins({part: split.part(part) for part in PARTS})


def _read(source: Source) -> dict[Part, tuple[Clip, ...]]:
    tables.check_split("kinetics", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)
    folder = source.annotations or source.root
    tables.check_folder(folder, "data.annotations", LISTS_HOLD)
    listed: dict[Part, tuple[Clip, ...]] = {}
    seen: dict[str, Part] = {}
    wanted: tuple[Part, ...] = ("train", "val", "test") if source.split == "test" else PARTS[:2]
    for part in wanted:
        path = next((folder / name for name in FILES[part] if (folder / name).is_file()), None)
        if path is None:
            raise ValueError(
                f"data.annotations {str(folder)!r} has no {FILES[part][0]}; it should hold "
                f"{LISTS_HOLD}"
            )
        listed[part] = tuple(_rows(path, source.root))
        for clip in listed[part]:
            if clip.id in seen:
                raise ValueError(f"{path}: {clip.id} is also in the {seen[clip.id]} list; keep one")
            seen[clip.id] = part
    return listed


def _rows(path: Path, root: Path) -> Iterator[Clip]:
    for line, cells in tables.read_rows(path):
        lacking = [name for name in COLUMNS if not str(cells.get(name) or "").strip()]
        if lacking:
            raise ValueError(f"{path} line {line}: no {lacking[0]}; columns: {', '.join(COLUMNS)}")
        label, video, start, end = (str(cells[name]).strip() for name in COLUMNS)
        try:
            name = f"{video}_{round(float(start)):06d}_{round(float(end)):06d}"
        except (ValueError, OverflowError):
            raise ValueError(
                f"{path} line {line}: {start!r} to {end!r} are no times in seconds"
            ) from None
        stem = tables.inside(name, f"{path} line {line}")
        yield Clip(id=stem, path=root / stem, group=video, label=label)


def _on_disk(source: Source) -> dict[str, Path]:
    if source.features is not None:
        return source.features.stems()
    found: dict[str, Path] = {}
    for path in tables.walk_videos(source.root):
        if path.stem in found:
            raise ValueError(
                f"two files for {path.stem!r}: {found[path.stem]} and {path}; keep one"
            )
        found[path.stem] = path
    return found
