"""The index of hashes: (path, size, mtime_ns) -> sha256 of the content.

Reads and writes ``index.sqlite`` of the feature store, so that a second run does not read the
videos again. A cache of a cache; it may be deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

PATIENCE = 10.0
"""Seconds that the index waits for others who write to it; each takes milliseconds."""


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashIndex:
    """Remembers the sha256 of files, so that a second run does not read the videos again.

    A cache of a cache: deleting it, or finding it damaged, locked or on a full disk, costs time
    and nothing else. What cannot be kept on the disk is kept until :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = sqlite3.connect(":memory:")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open(path)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _open(self, path: Path | str) -> None:
        self._rows.close()
        self._rows = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=NORMAL")
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS files "
            "(path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT)"
        )

    def _give_up(self, error: Exception) -> None:
        """Go on without the file; remove it where it is damaged, and not merely out of reach."""
        self._open(":memory:")
        code = getattr(error, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            with contextlib.suppress(sqlite3.Error, OSError):
                for end in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + end).unlink(missing_ok=True)
                self._open(self._path)

    def _run(self, sql: str, *values: bytes | int | str) -> list[tuple[Any, ...]]:
        try:
            return self._rows.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return self._rows.execute(sql, values).fetchall()

    def lookup(self, path: Path) -> str | None:
        """Return the sha256 if the file looks as it did when it was read; else None."""
        try:
            now = path.stat()
        except OSError:
            return None
        rows = self._run(
            "SELECT sha256 FROM files WHERE path = ? AND size = ? AND mtime_ns = ?",
            *(_key(path), now.st_size, now.st_mtime_ns),
        )
        return str(rows[0][0]) if rows else None

    def remember(self, path: Path, *, size: int, mtime_ns: int, sha256: str) -> None:
        """Keep what was read; ``size`` and ``mtime_ns`` are those of before the reading."""
        self._run(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
            *(_key(path), size, mtime_ns, sha256),
        )

    def paths(self) -> dict[str, list[Path]]:
        """Return every path that was seen, by the content it had."""
        found: dict[str, list[Path]] = {}
        for path, sha256 in self._run("SELECT path, sha256 FROM files ORDER BY path"):
            found.setdefault(sha256, []).append(Path(os.fsdecode(path)))
        return found

    def close(self) -> None:
        """Close the database."""
        self._rows.close()


def _key(path: Path) -> bytes:
    # Bytes, because a file's name need not be valid text.
    return os.fsencode(os.path.abspath(path))
