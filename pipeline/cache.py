"""The feature store: recipe + content of a video -> features.

    features/<fingerprint>/recipe.json             the recipe in full
    features/<fingerprint>/<aa>/<sha256>.safetensors   one video's features; aa = sha256[:2]
    features/<fingerprint>/<aa>/<sha256>.pieces/   those of a long video that is not done yet
    index.sqlite                                   see index.py

A video is known by the sha256 of its bytes, so a moved or renamed one is found again, a changed one
is not, and two files of one name never clash. T = frames, D = features a frame.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from reelscribe.pipeline.files import PART, read_json, write_json, write_whole
from reelscribe.pipeline.guard import Hopeless
from reelscribe.pipeline.recipe import Recipe

FloatArray = NDArray[np.float32]

FORMAT = "1"
"""Of an entry; one of another format counts as not there, and is made again in its place."""

_HEADER = 65_536
"""Bytes that are read at once, and more than any header of ours has."""


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
        """Say whether there is an entry of the length that its header says.

        Its numbers are checked only when they are read: this costs a tenth of that.
        """
        return _has_its_length(self.path(sha256, recipe))

    def write(self, sha256: str, recipe: Recipe, features: Features) -> None:
        """Write one entry, whole or not at all.

        Raises:
            ValueError: the features are not finite numbers.
            Hopeless: nothing can be written here: a full disk, no permission.
        """
        with self._writing():
            described = self._folder(recipe.fingerprint) / "recipe.json"
            if not described.exists():
                write_json(described, recipe.settings)
            write_whole(self.path(sha256, recipe), _entry(sha256, recipe, features))

    def write_piece(
        self, sha256: str, recipe: Recipe, span: tuple[int, int], features: Features
    ) -> None:
        """Write the features of frames ``span[0]`` to ``span[1]``, until :meth:`join`.

        Raises:
            ValueError: the features are not finite numbers.
            Hopeless: nothing can be written here.
        """
        with self._writing():
            write_whole(self._piece(sha256, recipe, span), _entry(sha256, recipe, features))

    def has_piece(self, sha256: str, recipe: Recipe, span: tuple[int, int]) -> bool:
        """Say whether there is such a piece; its numbers are checked when it is joined."""
        return _has_its_length(self._piece(sha256, recipe, span))

    def join(
        self, sha256: str, recipe: Recipe, spans: Sequence[tuple[int, int]], about: dict[str, Any]
    ) -> None:
        """Make one entry of the pieces of a video.

        Raises:
            CorruptEntry: a piece is missing or not what was written; it is removed.
            Hopeless: nothing can be written here.
        """
        feats, pts = [], []
        said: dict[str, Any] = {}
        for span in spans:
            path = self._piece(sha256, recipe, span)
            try:
                piece = _read_file(path, sha256, recipe.fingerprint)
            except CorruptEntry:
                path.unlink(missing_ok=True)
                raise
            feats.append(piece.feats_TD)
            pts.append(piece.pts_T)
            said |= piece.about
        features = Features(
            feats_TD=np.concatenate(feats), pts_T=np.concatenate(pts), about={**said, **about}
        )
        self.write(sha256, recipe, features)

    def drop_pieces(self, sha256: str, recipe: Recipe) -> None:
        """Remove the pieces of a video, if there are any."""
        shutil.rmtree(self._pieces(sha256, recipe), ignore_errors=True)

    def check_writable(self) -> None:
        """Find out before the work whether its result could be written; a look, not a write.

        Raises:
            Hopeless: it could not.
        """
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            with self._writing():
                write_whole(folder / f"{PART}probe-{uuid4().hex[:12]}", b"")

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

    def pieces(self) -> Iterator[Entry]:
        """Yield the pieces of videos that are not done yet."""
        for path in sorted((self.root / "features").glob("*/??/*.pieces/*.safetensors")):
            yield Entry(path=path, fingerprint=path.parents[2].name, sha256=path.parent.stem)

    def recipes(self) -> dict[str, Recipe]:
        """Return the recipes that have entries, by fingerprint."""
        found = {path.name: _recipe_of(path) for path in sorted(self.root.glob("features/*"))}
        return {fingerprint: recipe for fingerprint, recipe in found.items() if recipe}

    def half_written(self) -> Iterator[Path]:
        """Yield what a killed process left behind; nothing ever reads it."""
        yield from self.root.rglob(f"{PART}*")

    def _folder(self, fingerprint: str) -> Path:
        return self.root / "features" / fingerprint

    def _pieces(self, sha256: str, recipe: Recipe) -> Path:
        return self.path(sha256, recipe).with_suffix(".pieces")

    def _piece(self, sha256: str, recipe: Recipe, span: tuple[int, int]) -> Path:
        return self._pieces(sha256, recipe) / f"{span[0]:07}-{span[1]:07}.safetensors"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What cannot be written for one video cannot be written for the next either."""
        try:
            yield
        except OSError as error:
            raise Hopeless(
                f"the feature store {self.root} cannot be written ({error.strerror}); make room "
                "or give another with --cache DIR; what is done is kept, the same command goes on"
            ) from None


def read_entry(path: Path) -> Features:
    """Read one entry and check it against its own checksum.

    Raises:
        CorruptEntry: it is cut off, altered, lies under another video's name, or has another
            format.
    """
    return _read_file(path, path.stem, path.parents[1].name)


def _read_file(path: Path, sha256: str, fingerprint: str) -> Features:
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
    if metadata.get("format", FORMAT) != FORMAT:
        raise CorruptEntry(f"{path}: has format {metadata['format']!r}, not {FORMAT!r}")
    if metadata.get("source_sha256") != sha256:
        raise CorruptEntry(f"{path}: holds the features of another video")
    recipe = Recipe(settings=json.loads(metadata["recipe"]))
    if recipe.fingerprint != fingerprint:
        raise CorruptEntry(f"{path}: holds features of another recipe")
    about = json.loads(metadata["about"])
    return Features(feats_TD=tensors["features"], pts_T=tensors["pts"], about=about)


def _entry(sha256: str, recipe: Recipe, features: Features) -> bytes:
    """Return the bytes of an entry."""
    if not np.isfinite(features.feats_TD).all():
        raise ValueError("the encoder gave features that are not finite numbers")
    tensors: dict[str, NDArray[Any]] = {"features": features.feats_TD, "pts": features.pts_T}
    metadata = {
        "format": FORMAT,
        "recipe": recipe.text,
        "source_sha256": sha256,
        "about": json.dumps(dict(features.about), sort_keys=True),
    }
    metadata["checksum"] = _checksum(tensors, metadata)
    return save(tensors, metadata)


def _has_its_length(path: Path) -> bool:
    """Say whether a safetensors file of our format ends where its header says."""
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(_HEADER)
            length = int.from_bytes(start[:8], "little")
            header = json.loads(start[8 : 8 + length])
            ends = (header[name]["data_offsets"][1] for name in ("features", "pts"))
            found = bool(os.fstat(file.fileno()).st_size == 8 + length + max(ends))
            return found and bool(header["__metadata__"].get("format", FORMAT) == FORMAT)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False


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


def _checksum(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Hash all that an entry says: the numbers, how they are to be read, and the facts."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, numbers in tensors.items():
        digest.update(f"{name} {numbers.dtype} {numbers.shape}".encode())
        digest.update(np.ascontiguousarray(numbers).data)
    return digest.hexdigest()[:32]
