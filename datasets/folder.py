"""Videos of your own: a folder a class, or a table that names files.

Reads either ``root/<class>/**/*.mp4`` (also ``root/train/<class>/...`` with ``val`` and ``test``
beside it), or the CSV, TSV or JSON lines file that ``annotations`` names. Writes nothing.

Columns of the table, in any order; others are ignored:

- ``path``: of the video, relative to the root, with ``/``;
- ``label``, and/or ``caption`` or ``captions``: a text, in JSON lines also a list of texts. Several
  rows of one path gather its captions;
- ``split``: ``train``, ``val`` or ``test``, for every row or none;
- ``group``: rows of one group (one scene, one person, one source video) stay in one part. Without
  it (and without ``data.groups``, which takes it from the names) every clip is a group of its own:
  give it where clips resemble each other, or the score measures memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from reelscribe.datasets import checks, splitting, tables
from reelscribe.datasets.clip import PARTS, Clip, Finding, Part, Source, Split
from reelscribe.datasets.grouping import about_classes, groups_of

SPLITS = ("1", "given", "seeded")
"""``1`` is given where the table or the folders name parts, else seeded."""

PART_OF: Mapping[str, Part] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}
"""What parts are called by people."""

COLUMNS = ("path", "label", "caption", "captions", "split", "group")

ROOT_HOLDS = (
    "one folder a class, as in archery/a.mp4, or the files that the table data.annotations names"
)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One clip of the table or the tree, on disk or not."""

    clip: Clip
    """Its path is where the file should be."""
    part: Part | None
    line: int
    """Of the table, from 1; 0 in a tree."""


def load(source: Source) -> Split:
    """Read the folder or the table, and take the parts it names or deal them by ``source.seed``.

    Dealing is by group, label by label, over all that is listed: a clip that gets lost moves no
    other. Where train is named and val is not, val is dealt out of train, never out of test.

    Raises:
        ValueError: a folder or file is not there or not in the format, a name leaves the root, rows
            contradict each other, a group is in two named parts, or no listed clip is on disk.
    """
    rows, found = _read(source)
    name, parts = _parts(source, rows)
    there = {
        part: tuple(replace(clip, path=found[clip.id]) for clip in clips if clip.id in found)
        for part, clips in parts.items()
    }
    if not found:
        raise tables.nothing_found(source.root, len(rows), ROOT_HOLDS)
    labels = {clip.label for clips in there.values() for clip in clips if clip.label is not None}
    return Split(
        dataset="folder",
        name=name,
        labels=tuple(sorted(labels)),
        train=there["train"],
        val=there["val"],
        test=there["test"],
        missing=tuple(row.clip.id for row in rows if row.clip.id not in found),
    )


def examine(source: Source) -> Iterator[Finding]:
    """Say how many clips each class has, and what is missing, unlisted, empty or there twice."""
    try:
        rows, found = _read(source)
        split = load(source)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    yield tables.about_missing(split.missing, len(rows))
    parts = {part: split.part(part) for part in PARTS}
    sizes = " / ".join(f"{len(clips):,}" for clips in parts.values())
    text = f"split {split.name}: {sizes} clips (train / val / test)"
    yield Finding(level="note" if all(parts.values()) else "warning", text=text)
    yield from about_classes(split)
    bare = [clip.id for clip in split.clips() if not clip.captions]
    if bare and (not split.labels or len(bare) < len(found)):
        text = f"{len(bare):,} of {len(found):,} clips have no caption"
        yield Finding(level="warning", text=text, examples=tuple(bare[:5]))
    used = {os.fspath(path) for path in found.values()}
    stray = [str(p) for p in tables.walk_videos(source.root) if os.fspath(p) not in used]
    if stray:
        text = f"{len(stray):,} videos on disk are not listed or in no class, and will not be used"
        yield Finding(level="warning", text=text, examples=tuple(stray[:5]))
    yield from tables.about_files(found.values())
    yield from checks.about_clips(parts)


def _read(source: Source) -> tuple[list[_Row], dict[str, Path]]:
    """Return all listed clips, and of those on disk the files, by id."""
    tables.check_split("folder", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)
    if source.annotations is None:
        rows = list(_walk(source))
        if not rows:
            raise ValueError(
                f"data.root {str(source.root)!r} has no videos in folders; it should hold "
                f"{ROOT_HOLDS}; for videos without labels there is `reelscribe describe`"
            )
        return _regrouped(source, rows), {row.clip.id: row.clip.path for row in rows}
    rows = _regrouped(source, _read_table(source.annotations, source.root))
    ids = [row.clip.id for row in rows]
    features = source.features
    return rows, features.among(ids) if features else tables.find_files(source.root, ids)


def _regrouped(source: Source, rows: list[_Row]) -> list[_Row]:
    """Return the rows in the groups that the names of their clips give, where it is asked for.

    A name has no suffix, and no folder of a part: clips of one source are found in two of these.
    """
    if source.groups is None:
        return rows
    if any(row.clip.group != row.clip.id for row in rows):
        raise ValueError(f"{source.annotations} has a column group beside data.groups; give one")
    inner = [row.part is not None and not row.line for row in rows]
    names = [
        row.clip.id.partition("/")[2] if deep else row.clip.id
        for row, deep in zip(rows, inner, strict=True)
    ]
    bare = [os.path.splitext(name)[0] if tables.is_video(name) else name for name in names]
    clips = [
        replace(row.clip, group=group)
        for row, group in zip(rows, groups_of(bare, source.groups), strict=True)
    ]
    return [replace(row, clip=clip) for row, clip in zip(rows, clips, strict=True)]


def _walk(source: Source) -> Iterator[_Row]:
    """Yield the clips of ``root/<class>/`` or ``root/<part>/<class>/``, at any depth below it."""
    root = source.features.root if source.features else source.root
    found = sorted(source.features.files) if source.features else tables.walk_videos(root)
    paths = [path.relative_to(root) for path in found]
    paths = [path for path in paths if len(path.parts) > 1]
    # Read as classes, folders train and test would give a model that tells train from test.
    split = all(path.parts[0].lower() in PART_OF for path in paths)
    for path in paths:
        if split and len(path.parts) < 3:
            raise ValueError(
                f"{root / path} is in no class; where folders are called "
                f"{path.parts[0]}, classes are the folders in them: {path.parts[0]}/archery/a.mp4"
            )
        # Bytes of a name that are no UTF-8 could not be printed or written as JSON.
        name = path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        label = name.split("/")[1 if split else 0]
        yield _Row(
            clip=Clip(id=name, path=root / path, group=name, label=label),
            part=PART_OF[path.parts[0].lower()] if split else None,
            line=0,
        )


def _read_table(path: Path, root: Path) -> list[_Row]:
    rows: dict[str, _Row] = {}
    columns: set[str] = set()
    for line, cells in tables.read_rows(path):
        columns |= cells.keys()
        if "path" not in cells:
            raise _bad_columns(path, line, columns, "path")
        row = _parse(cells, f"{path} line {line}", line, root)
        name = row.clip.id
        rows[name] = _gather(rows[name], row, path) if name in rows else row
    if not rows:
        raise ValueError(f"{path} has no rows; it should have columns {', '.join(COLUMNS[:3])}")
    found = list(rows.values())
    if not any(row.clip.label or row.clip.captions for row in found):
        raise _bad_columns(path, 1, columns, "label or caption")
    _check_whole(found, path)
    return found


def _bad_columns(path: Path, line: int, columns: set[str], lacking: str) -> ValueError:
    unknown = sorted(columns.difference(COLUMNS))
    near = {name: get_close_matches(name, COLUMNS, n=1) for name in unknown}
    hint = "".join(f"; did you mean {found[0]!r} by {n!r}?" for n, found in near.items() if found)
    return ValueError(
        f"{path} line {line}: no {lacking}; the columns are {', '.join(sorted(columns))}, and can "
        f"be {', '.join(COLUMNS)}{hint}"
    )


def _check_whole(rows: list[_Row], path: Path) -> None:
    """Refuse a column that is filled for some clips only: nobody can say what the rest should be.

    Raises:
        ValueError: the column ``label`` or ``split`` is; the message names the first line without.
    """
    filled = {
        "label": [row.clip.label is not None for row in rows],
        "split": [row.part is not None for row in rows],
    }
    for column, has in filled.items():
        if any(has) and not all(has):
            first = rows[has.index(False)]
            raise ValueError(
                f"{path} line {first.line}: {first.clip.id!r} has no {column}, and "
                f"{sum(has):,} of {len(rows):,} clips have one; fill the column or take it out"
            )


def _parse(cells: Mapping[str, Any], where: str, line: int, root: Path) -> _Row:
    name = tables.fold(tables.inside(_text(cells, "path", where), where))
    part = _text(cells, "split", where)
    if part and part.lower() not in PART_OF:
        raise ValueError(f"{where}: split {part!r} is not one of {', '.join(PARTS)}")
    clip = Clip(
        id=name,
        path=root / name,
        group=_text(cells, "group", where) or name,
        label=_text(cells, "label", where) or None,
        captions=(*_captions(cells, "caption", where), *_captions(cells, "captions", where)),
    )
    return _Row(clip=clip, part=PART_OF[part.lower()] if part else None, line=line)


def _text(cells: Mapping[str, Any], column: str, where: str) -> str:
    value = cells.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise ValueError(f"{where}: {column} is {value!r}; it should be a text")
    return "" if value is None else str(value).strip()


def _captions(cells: Mapping[str, Any], column: str, where: str) -> Iterator[str]:
    value = cells.get(column)
    for caption in value if isinstance(value, list) else [value]:
        if not isinstance(caption, str | None):
            raise ValueError(f"{where}: {column} has {caption!r}; it should be a text")
        if words := tables.tidy(caption or ""):
            yield words


def _gather(old: _Row, new: _Row, path: Path) -> _Row:
    """Join two rows of one path, which differ in their captions alone."""
    name = old.clip.id
    for what, a, b in (
        ("label", old.clip.label, new.clip.label),
        ("split", old.part, new.part),
        ("group", old.clip.group, new.clip.group),
    ):
        if a != b:
            raise ValueError(
                f"{path} lines {old.line} and {new.line}: {name!r} has {what} {a!r} and {b!r}; "
                "keep one"
            )
    if not (old.clip.captions and new.clip.captions):
        raise ValueError(f"{path} lines {old.line} and {new.line}: {name!r} is there twice")
    captions = old.clip.captions + new.clip.captions
    return replace(old, clip=replace(old.clip, captions=captions))


def _parts(source: Source, rows: list[_Row]) -> tuple[str, dict[Part, tuple[Clip, ...]]]:
    """Return the split's own name, and all listed clips in parts."""
    named = any(row.part for row in rows)
    if source.split == "seeded" or (source.split == "1" and not named):
        return "seeded", splitting.split_by_group((row.clip for row in rows), seed=source.seed)
    if not named:
        raise ValueError("folder split 'given' needs a column split or folders train, val, test")
    parts = {part: tuple(row.clip for row in rows if row.part == part) for part in PARTS}
    for group, a, b in splitting.shared_groups(parts):
        raise ValueError(
            f"group {group!r} has clips in two parts, {a.id!r} and {b.id!r}; a score on it "
            "measures memory: move one, or take split 'seeded'"
        )
    if parts["train"] and not parts["val"]:
        train, val = splitting.SHARES["train"], splitting.SHARES["val"]
        shares: dict[Part, float] = {"train": train / (train + val), "val": val / (train + val)}
        parts |= {
            **splitting.split_by_group(parts["train"], seed=source.seed, shares=shares),
            "test": parts["test"],
        }
    return "given", parts
