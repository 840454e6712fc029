"""The feature store: recipe + content of a video -> features.

    features/<fingerprint>/recipe.json             the recipe in full
    features/<fingerprint>/<aa>/<sha256>.safetensors   one video's features; aa = sha256[:2]
    index.sqlite                                   (path, size, mtime_ns) -> sha256; may be deleted

A video is known by the sha256 of its bytes, so a moved or renamed one is found again, a changed one
is not, and two files of one name never clash. T = frames, D = features a frame.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from reelscribe.pipeline.files import PART, read_json, write_json, write_whole
from reelscribe.pipeline.recipe import Recipe

FloatArray = NDArray[np.float32]

PATIENCE = 10.0
"""Seconds that the index waits for others who write to it; each takes milliseconds."""


class CorruptEntry(ValueError):
    """An entry of the store is not what was written; it is never served."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of one video under one recipe."""

    feats_TD: FloatArray
    pts_T: NDArray[np.float64]
    """Presentation time of each frame, in seconds from the first."""
    about: Mapping[str, Any]
    """Plain facts: ``duration`` in seconds, ``decoder``, ``source_bytes``, versions."""

    def __post_init__(self) -> None:
        if self.feats_TD.ndim != 2 or self.pts_T.shape != self.feats_TD.shape[:1]:
            raise ValueError(
                f"expected features (T, D) and times (T), got {self.feats_TD.shape} "
                f"and {self.pts_T.shape}"
            )

    def __repr__(self) -> str:
        frames, width = self.feats_TD.shape
        return f"Features(T={frames}, D={width}, duration={self.about.get('duration')})"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of the store, by name alone (nothing of it is read)."""

    path: Path
    fingerprint: str
    sha256: str


class FeatureStore:
    """Features on disk. Any number of processes may read and write at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str, recipe: Recipe) -> Path:
        """Return where the features of this content under this recipe lie, or would."""
        return self._folder(recipe.fingerprint) / sha256[:2] / f"{sha256}.safetensors"

    def has(self, sha256: str, recipe: Recipe) -> bool:
        """Say whether there is an entry; it is checked only when it is read."""
        return self.path(sha256, recipe).is_file()

    def write(self, sha256: str, recipe: Recipe, features: Features) -> None:
        """Write one entry, whole or not at all."""
        if not np.isfinite(features.feats_TD).all():
            raise ValueError("the encoder gave features that are not finite numbers")
        described = self._folder(recipe.fingerprint) / "recipe.json"
        if not described.exists():
            write_json(described, recipe.settings)
        tensors: dict[str, NDArray[Any]] = {"features": features.feats_TD, "pts": features.pts_T}
        metadata = {
            "recipe": recipe.text,
            "source_sha256": sha256,
            "about": json.dumps(dict(features.about), sort_keys=True),
        }
        metadata["checksum"] = _checksum(tensors, metadata)
        write_whole(self.path(sha256, recipe), save(tensors, metadata))

    def read(self, sha256: str, recipe: Recipe) -> Features | None:
        """Return the features, or None where there are none.

        Raises:
            CorruptEntry: the file is there and is not what was written.
        """
        path = self.path(sha256, recipe)
        try:
            return read_entry(path) if path.is_file() else None
        except CorruptEntry as error:
            raise CorruptEntry(f"{error}; `reelscribe cache verify` removes it") from None

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, by recipe and content."""
        for path in sorted((self.root / "features").glob("*/??/*.safetensors")):
            yield Entry(path=path, fingerprint=path.parents[1].name, sha256=path.stem)

    def recipes(self) -> dict[str, Recipe]:
        """Return the recipes that have entries, by fingerprint."""
        folders = sorted((self.root / "features").glob("*"))
        found = {folder.name: _recipe_of(folder) for folder in folders}
        return {fingerprint: recipe for fingerprint, recipe in found.items() if recipe}

    def half_written(self) -> Iterator[Path]:
        """Yield what a killed process left behind; nothing ever reads it."""
        yield from self.root.rglob(f"{PART}*")

    def _folder(self, fingerprint: str) -> Path:
        return self.root / "features" / fingerprint


def read_entry(path: Path) -> Features:
    """Read one entry and check it against its own checksum.

    Raises:
        CorruptEntry: it is cut off, altered, or lies under another video's name.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in ("features", "pts")}
    except PermissionError:
        raise  # It may well be whole; nobody should remove it for this.
    except Exception as error:  # A damaged header fails in more ways than SafetensorError.
        raise CorruptEntry(f"{path}: not a whole safetensors file ({error})") from None
    if metadata.pop("checksum", None) != _checksum(tensors, metadata):
        raise CorruptEntry(f"{path}: its checksum does not match its numbers")
    if metadata.get("source_sha256") != path.stem:
        raise CorruptEntry(f"{path}: holds the features of another video")
    recipe = Recipe(settings=json.loads(metadata["recipe"]))
    if recipe.fingerprint != path.parents[1].name:
        raise CorruptEntry(f"{path}: holds features of another recipe")
    about = json.loads(metadata["about"])
    return Features(feats_TD=tensors["features"], pts_T=tensors["pts"], about=about)


def _recipe_of(folder: Path) -> Recipe | None:
    """Return the recipe of a folder's entries: from recipe.json, else from an entry itself."""
    for path in [folder / "recipe.json", *folder.glob("??/*.safetensors")]:
        with contextlib.suppress(Exception):  # Damaged: the next file says the same.
            if path.suffix == ".json":
                recipe = Recipe(settings=read_json(path))
            else:
                with safe_open(path, framework="numpy") as file:
                    recipe = Recipe(settings=json.loads(file.metadata()["recipe"]))
            if recipe.fingerprint == folder.name:
                return recipe
    return None


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


def _checksum(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Hash all that an entry says: the numbers, how they are to be read, and the facts."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, numbers in tensors.items():
        digest.update(f"{name} {numbers.dtype} {numbers.shape}".encode())
        digest.update(np.ascontiguousarray(numbers).data)
    return digest.hexdigest()[:32]
