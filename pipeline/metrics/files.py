"""Read captions from the files people have: predictions and references of any known form.

Reads JSON, JSON lines, CSV, TSV, and a zip that holds one JSON file; nothing read is executed.
Writes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

Role = Literal["prediction", "reference"]
Pair = tuple[str, str]
"""An id and one caption of it."""

FORMS = (
    "JSON {id: caption or [captions]}",
    'COCO [{"image_id", "caption"}] or {"annotations": [...]}, {"predictions": [...]}',
    'MSR-VTT {"sentences": [{"video_id", "caption"}]}, also zipped',
    'MLDS [{"id", "caption": [...]}], VATEX [{"videoID", "enCap": [...]}]',
    'JSON lines {"id", "caption", "references"}',
    "CSV whose header names an id and a caption",
    "TSV id, caption",
    "TSV system, id, caption",
    "MSVD's corpus of 2010 (its English rows)",
)
"""What can be read, for the message that nothing fits."""

# The first name that is there is taken: COCO's annotations have an "id" of their own beside the
# "image_id", and MSR-VTT's videos have both "id" and "video_id".
ID_NAMES = ("image_id", "video_id", "videoid", "clip_id", "id", "video", "clip", "name", "path")
CAPTION_NAMES = (
    "caption",
    "captions",
    "sentence",
    "description",
    "prediction",
    "hypothesis",
    "text",
    "encap",
)
REFERENCE_NAMES = ("references", "reference", "refs", *CAPTION_NAMES)

_MSVD = ("videoid", "start", "end", "language", "description")
"""The columns that tell MSVD's corpus of 2010."""


def read_predictions(path: Path) -> dict[str, str]:
    """Read one caption for each id.

    Raises:
        ValueError: the file has no known form, or an id has more than one caption.
    """
    found: dict[str, str] = {}
    twice: dict[str, None] = {}
    for name, caption in _pairs(path, "prediction"):
        if name in found:
            twice[name] = None
        found[name] = caption
    if twice:
        examples = ", ".join(map(repr, islice(twice, 3)))
        raise ValueError(
            f"{path}: {len(twice)} of {len(found)} ids have more than one prediction, for example "
            f"{examples}; keep one caption for each"
        )
    return found


def read_references(path: Path) -> dict[str, list[str]]:
    """Read all captions of each id, in the order of the file.

    Raises:
        ValueError: the file has no known form.
    """
    found: dict[str, list[str]] = {}
    for name, caption in _pairs(path, "reference"):
        found.setdefault(name, []).append(caption)
    return found


def _pairs(path: Path, role: Role) -> list[Pair]:
    """Return what a file holds, whatever its form, or say which forms there are."""
    text = _text(path)
    start = text.lstrip()[:1]
    if not start:
        raise ValueError(f"{path} is empty; it can hold: {'; '.join(FORMS)}")
    if start in "{[":
        pairs = list(_from_json(path, text, role))
    else:
        pairs = list(_from_table(path, text, role))
    if not pairs:
        raise ValueError(f"{path} holds no caption; it can hold: {'; '.join(FORMS)}")
    return pairs


def _text(path: Path) -> str:
    """Return the text of a file, or of the one JSON file in a zip."""
    try:
        raw = path.read_bytes()
        if raw.startswith(b"PK\x03\x04"):
            raw = _unzipped(path, raw)
        # utf-8-sig: spreadsheets write a byte order mark.
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None


def _unzipped(path: Path, raw: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = [
                name
                for name in archive.namelist()
                # macOS puts a shadow of each file into a zip.
                if name.lower().endswith(".json") and not name.startswith("__MACOSX/")
            ]
            if len(names) != 1:
                raise ValueError(
                    f"{path} holds {len(names)} JSON files, and one is needed; unzip it and give "
                    f"the file that is meant"
                )
            return archive.read(names[0])
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is a damaged zip ({error}); get it again") from None


def _from_json(path: Path, text: str, role: Role) -> Iterator[Pair]:
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        # A second line of JSON is "extra data" to the parser of one.
        if error.msg != "Extra data":
            raise ValueError(f"{path} is not valid JSON: {error}") from None
        yield from _from_lines(path, text, role)
        return
    except (_TwiceError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
    match data:
        case (
            {"sentences": list(rows)}
            | {"annotations": list(rows)}
            | {"predictions": list(rows)}
            | list(rows)
        ):
            yield from _from_rows(path, rows, role)
        case dict() if _key(data, ID_NAMES) and _key(data, _caption_names(role)):
            yield from _from_rows(path, [data], role)
        case dict():
            for name, value in data.items():
                for caption in _captions(path, f"id {name!r}", value):
                    yield name, caption
        case _:
            raise AssertionError("text that starts with { or [ is an object or a list")


class _TwiceError(Exception):
    """An object of a JSON file has a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object; json itself would keep the last of equal keys in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise _TwiceError(f"the key {twice!r} is there twice in one object; keep one of them")
    return found


def _from_lines(path: Path, text: str, role: Role) -> Iterator[Pair]:
    rows = []
    # Not splitlines(): captions may hold what Unicode calls a line end, JSON escapes only "\n".
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line, object_pairs_hook=_unique))
        except (json.JSONDecodeError, _TwiceError, RecursionError) as error:
            raise ValueError(f"{path} line {number} is not one JSON object: {error}") from None
    yield from _from_rows(path, rows, role)


def _from_rows(path: Path, rows: list[Any], role: Role) -> Iterator[Pair]:
    """Read objects with an id and a caption, each under one of the names they go by."""
    names = _caption_names(role)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(
                f"{path} entry {number} is {str(row)[:60]!r} and no object with an id and a "
                f"caption; a file can hold: {'; '.join(FORMS)}"
            )
        key, caption_key = _key(row, ID_NAMES), _key(row, names)
        if key is None or caption_key is None:
            lacks, allowed = ("an id", ID_NAMES) if key is None else (f"a {role}", names)
            raise ValueError(
                f"{path} entry {number} lacks {lacks}: it has {', '.join(map(str, row))[:80]}; "
                f"known names are {', '.join(allowed)}"
            )
        if not isinstance(row[key], str | int):
            raise ValueError(f"{path} entry {number}: the id {row[key]!r} is no text or number")
        for caption in _captions(path, f"id {row[key]!r}", row[caption_key]):
            yield str(row[key]), caption


def _captions(path: Path, where: str, value: Any) -> Iterator[str]:
    """Read a caption, a list of captions, or a list of ``{"caption": ...}``."""
    for one in value if isinstance(value, list) else [value]:
        caption = one.get("caption") if isinstance(one, dict) else one
        if not isinstance(caption, str):
            raise ValueError(
                f"{path} {where}: expected a caption, got {str(one)[:60]!r}; "
                f"a file can hold: {'; '.join(FORMS)}"
            )
        yield caption


def _from_table(path: Path, text: str, role: Role) -> Iterator[Pair]:
    """Read CSV with a header, or TSV of two or three columns with or without one."""
    header = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    separator = "\t" if "\t" in header else ","
    columns = [
        name.strip().strip('"').lower().replace(" ", "_") for name in header.split(separator)
    ]
    key, caption_key = _first(ID_NAMES, columns), _first(_caption_names(role), columns)
    if key is not None and caption_key is not None:
        rows = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator)
        if set(_MSVD) <= set(columns):
            yield from _from_msvd(rows, [columns.index(name) for name in _MSVD])
            return
        yield from _from_columns(
            path,
            islice(rows, 1, None),
            len(columns),
            columns.index(key),
            columns.index(caption_key),
        )
        return
    if separator == "," or len(columns) not in (2, 3):
        raise ValueError(
            f"{path} has no form that is known (it starts {header[:60]!r}); "
            f"it can hold: {'; '.join(FORMS)}"
        )
    # The last two columns are the id and the caption; no quotes: a caption may start with one.
    lines = (line.rstrip("\r").split("\t") for line in text.lstrip("\r\n").split("\n"))
    yield from _from_columns(path, lines, len(columns), len(columns) - 2, len(columns) - 1)


def _from_msvd(rows: Iterable[list[str]], places: list[int]) -> Iterator[Pair]:
    """Read the English rows: a clip is a part of a YouTube video, so the video alone is no id."""
    for row in islice(rows, 1, None):
        if len(row) <= max(places):
            continue
        video, start, end, language, caption = (row[i].strip() for i in places)
        if language == "English" and caption not in ("", "NULL"):
            yield f"{video}_{start}_{end}", caption


def _from_columns(
    path: Path, rows: Iterable[list[str]], width: int, key: int, caption: int
) -> Iterator[Pair]:
    for number, row in enumerate(rows, start=1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != width:
            raise ValueError(
                f"{path} row {number} has {len(row)} columns and the first has {width}: "
                f"{' | '.join(row)[:80]!r}; give each row the same columns"
            )
        yield row[key].strip(), row[caption]


def _caption_names(role: Role) -> tuple[str, ...]:
    return REFERENCE_NAMES if role == "reference" else CAPTION_NAMES


def _key(row: dict[str, Any], names: Iterable[str]) -> str | None:
    """Return the key of a row that goes by one of these names, in whatever case."""
    by_name = {key.lower(): key for key in reversed(row)}
    name = _first(names, by_name)
    return None if name is None else by_name[name]


def _first(names: Iterable[str], there: Iterable[Any]) -> str | None:
    known = set(there)
    return next((name for name in names if name in known), None)
