"""What the datasets share: reading lists and tables, and finding the files that they name.

Reads text (UTF-8 with or without a byte order mark, UTF-16 with one, else Latin-1; any line ends),
CSV, JSON lines and the names of files; writes nothing. A name out of a file is checked by
:func:`inside` before it meets a root, so no annotation can point elsewhere. Symbolic links that
stand in the root are followed: large datasets are laid out with them.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from reelscribe.datasets.clip import Finding, Source

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"),
    *(".ts", ".mts", ".m2ts", ".3gp", ".ogv"),
)
"""Lower-case endings of what is taken for a video."""


def read_text(path: Path) -> str:
    """Read a text file whole, whoever wrote it.

    Raises:
        ValueError: it is not there, or is no text.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file; check data.annotations")
    return decode(path.read_bytes(), str(path))


def decode(data: bytes, where: str) -> str:
    """Return the bytes as text; ``where`` names them in a message.

    Raises:
        ValueError: they are no text.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise ValueError(f"{where} is not a text file; save it as UTF-8")
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, each with its number from 1, without its line end."""
    # Not str.splitlines: it also cuts at characters that stand inside published captions.
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    return [(i, line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]


def parse_json(text: str, where: str) -> Any:
    r"""Parse JSON, and refuse halves of characters (``\ud800``), which no file can be written with.

    Raises:
        ValueError: it is not JSON; ``where`` opens the message.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: half of a surrogate pair in a string; re-encode it") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error}); re-export or download it again") from None
    return value


def read_rows(path: Path, *, strict: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV, TSV or JSON lines file, each with its line number.

    Column names are lower-cased. ``strict`` refuses stray quotes and surplus cells, which some
    published files have.

    Raises:
        ValueError: another kind of file, or a row out of form, named by its line.
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        for number, line in read_lines(path):
            row = parse_json(line, f"{path} line {number}")
            if not isinstance(row, dict):
                raise ValueError(f"{path} line {number}: {line[:40]!r} is not a JSON object")
            yield number, {key.strip().lower(): value for key, value in row.items()}
    elif suffix in (".csv", ".tsv"):
        yield from _read_csv(path, strict=strict)
    else:
        raise ValueError(f"{path} is no table; it should end in .csv, .tsv, .jsonl or .ndjson")


def _read_csv(path: Path, *, strict: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    text = read_text(path)
    header = text.lstrip().split("\n", 1)[0]
    # Spreadsheets of half of Europe write semicolons.
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    columns: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
                continue
            if strict and len(cells) > len(columns):
                raise ValueError(
                    f"{path} line {reader.line_num}: {len(cells)} cells under {len(columns)} "
                    f'columns; put a text with {delimiter!r} in it into "double quotes"'
                )
            yield reader.line_num, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num}: {error}; check the quotes") from None


def tidy(caption: str) -> str:
    """Return the caption with spaces and line ends made single spaces; the words stay."""
    return " ".join(caption.split())


def fold(name: str) -> str:
    """Return a name as compared: macOS stores accents decomposed, lists mostly composed."""
    return unicodedata.normalize("NFC", name)


def inside(name: str, where: str) -> str:
    """Return a name out of a file as a relative POSIX path that cannot leave its root.

    Every ``..`` is refused, also one that seems to come back: through a symbolic link it does not.

    Raises:
        ValueError: the name is empty, absolute, or has a ``..``; ``where`` opens the message.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise ValueError(
            f"{where}: {name!r} leaves the folder of the videos; write it relative to data.root, "
            "without '..'"
        )
    if not path.parts:
        raise ValueError(f"{where}: {name!r} names no file; write a path relative to data.root")
    return str(path)


def check_split(dataset: str, name: str, allowed: Sequence[str]) -> None:
    """Check the name of a split.

    Raises:
        ValueError: it is not one of ``allowed``.
    """
    if name not in allowed:
        near = get_close_matches(name, allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{dataset} has no split {name!r}; there are: {', '.join(allowed)}{hint}")


def check_folder(path: Path, setting: str, holds: str) -> None:
    """Check that a folder of a config is there.

    Raises:
        ValueError: it is not; the message says what it should hold.
    """
    if not path.is_dir():
        raise ValueError(f"{setting} {str(path)!r} is not a folder; it should hold {holds}")


def check_root(source: Source, holds: str) -> None:
    """Check that there is a folder of videos, where no features stand for them.

    Raises:
        ValueError: there is none; the message says what it should hold.
    """
    if source.features is None:
        check_folder(source.root, "data.root", holds)


def nothing_found(root: Path, wanted: int, holds: str) -> ValueError:
    """Return the error for a root that has none of the listed clips, with what it does have."""
    there = sorted(os.listdir(root) if root.is_dir() else [root.name])[:4]
    return ValueError(
        f"data.root {str(root)!r} has none of the {wanted:,} listed clips; it should hold {holds}; "
        f"it holds {', '.join(map(repr, there)) or 'nothing'}"
    )


def is_video(name: str) -> bool:
    """Say whether a file's name is a video's; hidden files (macOS' ``._x.mp4``) are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def videos_in(*folders: Path) -> dict[str, Path]:
    """Map the stem of each video in the folders to its path, by one scan of each.

    Raises:
        ValueError: two videos have one stem, so a list that names it is ambiguous.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for entry in _scan(folder):
            if not is_video(entry.name) or not entry.is_file():
                continue
            path, stem = Path(entry.path), fold(Path(entry.name).stem)
            if stem in found:
                raise ValueError(f"two files for {stem!r}: {found[stem]} and {path}; keep one")
            found[stem] = path
    return found


def videos_below(root: Path) -> dict[str, Path]:
    """Map the stem of each video in the root, or one folder below it, to its path."""
    inner = [Path(entry.path) for entry in _scan(root) if entry.is_dir()]
    return videos_in(root, *inner)


def clips_below(source: Source) -> dict[str, Path]:
    """Map the stem of each clip to its video, or to its features where these are given."""
    return source.features.stems() if source.features else videos_below(source.root)


def find_files(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """Map those of the relative names that are on disk to their paths, by one scan a folder."""
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[str(PurePosixPath(name).parent)].append(name)
    found: dict[str, Path] = {}
    for folder, wanted in by_folder.items():
        forms = [folder, fold(folder), unicodedata.normalize("NFD", folder)]
        place = next((root / form for form in forms if (root / form).is_dir()), root / folder)
        there = {fold(entry.name): entry for entry in _scan(place)}
        for name in wanted:
            entry = there.get(fold(PurePosixPath(name).name))
            if entry is not None and entry.is_file():
                found[name] = Path(entry.path)
    return found


def walk_videos(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield every video below a folder in sorted order, through links, but never round a loop."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in sorted(_scan(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            yield from walk_videos(Path(entry.path), above | {real})
        elif is_video(entry.name) and entry.is_file():
            yield Path(entry.path)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise ValueError(f"{folder} may not be read; change its permissions") from None


def about_missing(missing: Sequence[str], listed: int) -> Finding:
    """Say how many of the listed clips are not on disk."""
    if not missing:
        return Finding(level="note", text=f"all {listed:,} listed clips are on disk")
    text = f"{len(missing):,} of {listed:,} listed clips are not on disk"
    return Finding(level="warning", text=text, examples=tuple(missing[:5]))


def about_files(paths: Iterable[Path]) -> Iterator[Finding]:
    """Say which files are empty."""
    empty = [str(path) for path in paths if path.stat().st_size == 0]
    if empty:
        text = f"{len(empty):,} files are empty; copy or download them again"
        yield Finding(level="error", text=text, examples=tuple(empty[:5]))
