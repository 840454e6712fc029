"""Every file that the pipeline writes is written here: it appears whole, or not at all.

A file is first written under a temporary name in its own folder, flushed to the disk, and renamed.
Whoever reads sees the old file or the new one; a kill -9 leaves at most a ``*.part-*`` file, which
nothing reads; in the feature store ``reelscribe cache prune`` removes it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import yaml

PART = ".part-"
"""What the name of a half-written file holds."""


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``; then give it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is short and its own: a long name of the target must not overflow the limit of 255.
    part = path.parent / f"{PART}{os.getpid()}-{uuid4().hex[:12]}"
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | str) -> None:
    """Write ``data`` (text as UTF-8) to ``path``."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    write_with(path, lambda part: part.write_bytes(raw))


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON that a person can read."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_whole(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


class Lines:
    """JSON objects, one a line, written as they come: after a kill all whole lines are there.

    The file is opened with the first line, so that a run that never comes to it leaves the old one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one line, at once."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        self._file.write((json.dumps(row, allow_nan=False) + "\n").encode())
        self._file.flush()

    def close(self) -> None:
        """Close the file; harmless where there is none."""
        if self._file is not None:
            self._file.close()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as RFC 4180 CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read what :func:`write_jsonl` wrote; a last line that was cut off is left out."""
    if not path.exists():
        return []
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); remove it") from None
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            break
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}:{number} is not a line of JSON ({error}); remove it"
            ) from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number} is not a JSON object; remove it")
        rows.append(row)
    return rows


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: the file is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not JSON ({error}); remove it or run the stage again"
        ) from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        ValueError: the file is not YAML; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error})") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, what: str) -> Any:
    """Read YAML into plain values; nothing in it is executed.

    Raises:
        ValueError: it is not YAML, or gives a key twice; one line that begins with ``what``.
    """
    try:
        return _Loader(text).get_single_data()
    except Exception as error:  # PyYAML lets through what int(), date() and the stack say.
        raise ValueError(f"{what} is not YAML: {' '.join(str(error).split())}") from None


class _Loader(yaml.SafeLoader):
    """Plain values alone, and no key twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
