"""Features that others made: a folder of .npy, .npz or .h5 files, by the names of clips.

Reads such files, without ever unpickling one; writes nothing. A clip's name is the file's path
below the folder without its suffix (``Archery/v_Archery_g01_c01``), or that of an array in a file
that holds many:

- ``.npy``: one clip. A ``.json`` beside it may give its times, as ``encode --export`` writes;
- ``.npz``: one clip (one array of any name, or ``features`` and ``pts``), or many, a name each;
- ``.h5``, ``.hdf5``: many, a dataset each, in groups or not.

Shapes: T frames, D features a frame.
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets import hdf5
from reelscribe.datasets.tables import fold

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")

MAX_WIDTH = 65_536
"""Longer features are a mistake: frames that were never pooled, or axes in another order."""

LARGEST = 2**33
"""Bytes that an .npz of one clip may unpack to: a small file may hold any number of zeros."""

ONE_CLIP = frozenset({"features", "pts"})
"""The arrays of an .npz that holds one clip."""


@dataclass(frozen=True, kw_only=True)
class FeatureFile:
    """Where one clip's features lie."""

    path: Path
    key: str | None = None
    """The array's name, where the file holds many clips."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureFolder:
    """All features below one folder, or in one file."""

    root: Path
    files: dict[Path, FeatureFile]
    """By the root and the clip's name; nothing lies there where a file holds many."""
    _stems: dict[str, list[Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.files:
            self._stems.setdefault(fold(path.name), []).append(path)

    def names(self) -> dict[str, Path]:
        """Return the clips' names (``archery/a``, with ``/``), and their keys in :attr:`files`."""
        return {path.relative_to(self.root).as_posix(): path for path in self.files}

    def stems(self) -> dict[str, Path]:
        """Return the last parts of the clips' names.

        Raises:
            ValueError: two clips share one, so that a list that names it is ambiguous.
        """
        for stem, paths in self._stems.items():
            if len(paths) > 1:
                raise ValueError(f"two features for {stem!r}: {paths[0]} and {paths[1]}; keep one")
        return {stem: paths[0] for stem, paths in self._stems.items()}

    def among(self, videos: Sequence[str]) -> dict[str, Path]:
        """Map those of the relative names of videos that have features to their keys.

        A name is found whole, with or without its suffix; else by its last part.

        Raises:
            ValueError: it takes the last part, and two clips share one.
        """
        names = self.names()
        bare = {video: os.path.splitext(video)[0] for video in videos}
        found = {v: names.get(v) or names.get(bare[v]) for v in videos}
        if not all(found.values()):
            stems = self.stems()
            found = {v: path or stems.get(fold(Path(bare[v]).name)) for v, path in found.items()}
        return {video: path for video, path in found.items() if path is not None}

    def find(self, video: Path) -> FeatureFile:
        """Return the features of a clip, or of a video, by its name without the suffix.

        Where several have the name (``a/x`` and ``b/x``), those whose folders are the video's.

        Raises:
            ValueError: there are none, or several.
        """
        if video in self.files:
            return self.files[video]
        paths = self._stems.get(fold(video.name)) or self._stems.get(fold(video.stem), [])
        if len(paths) > 1:
            shared = {path: _shared_folders(path, video) for path in paths}
            paths = [path for path in paths if shared[path] == max(shared.values())]
        if len(paths) != 1:
            many = f"{len(paths)} features of that name: {', '.join(map(str, paths[:2]))}"
            raise ValueError(many if paths else f"no features named {video.stem!r} in {self.root}")
        return self.files[paths[0]]


def _shared_folders(path: Path, video: Path) -> int:
    """Return how many of the folders right above two files have the same names."""
    pairs = zip(reversed(path.parts[:-1]), reversed(video.absolute().parts[:-1]), strict=False)
    return len(list(takewhile(lambda pair: fold(pair[0]) == fold(pair[1]), pairs)))


def scan(root: Path) -> FeatureFolder:
    """Find all features; of files with many clips the lists are read, of others nothing is.

    Raises:
        ValueError: there are none, or one clip has two.
    """
    files: dict[Path, FeatureFile] = {}
    for name, file in _found(root):
        place = root / name
        if place in files:
            raise ValueError(
                f"two features for {name!r}: {_where(files[place])} and {_where(file)}; keep one"
            )
        files[place] = file
    if not files:
        raise ValueError(
            f"encoder.precomputed {str(root)!r} has no features; it should hold .npy, .npz or .h5 "
            "files named after the clips"
        )
    return FeatureFolder(root=root, files=files)


def _where(file: FeatureFile) -> str:
    return f"{file.path}" + (f" ({file.key})" if file.key else "")


def _found(root: Path) -> Iterator[tuple[str, FeatureFile]]:
    for path in [root] if root.is_file() else _walk(root):
        inner = "" if root.is_file() else path.relative_to(root).with_suffix("").as_posix()
        keys = _keys(path)
        if keys is None:
            yield inner or path.stem, FeatureFile(path=path)
            continue
        # A file of many clips is a place for them, not a part of their names.
        for key in keys:
            if ".." not in (parts := PurePosixPath(key.strip("/")).parts) and parts:
                yield "/".join(parts), FeatureFile(path=path, key=key)


def times_file(path: Path) -> Path:
    """Return where the times of an .npy file would lie."""
    return path.with_suffix(".json")


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(folder, name)


def _keys(path: Path) -> list[str] | None:
    """Return the names of the clips in a file; None for one clip, or for what fails when read."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        try:
            _check_kind(path)
            with zipfile.ZipFile(path) as file:
                keys = [name.removesuffix(".npy") for name in file.namelist()]
        except Exception:  # As above: it fails by itself when it is read.
            return None
        return None if len(keys) < 2 or set(keys) <= ONE_CLIP else keys
    if suffix in (".h5", ".hdf5"):
        try:
            _check_kind(path)
            return hdf5.names_in(path)
        except Exception:
            return None
    return None


def read(file: FeatureFile) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Read one clip's features, (T, D), and the (T,) times of its frames where there are any.

    One vector, (D,), is a clip of one frame.

    Raises:
        ValueError: it cannot be read, or is no such array; one line that says why.
    """
    suffix = file.path.suffix.lower()
    try:
        _check_kind(file.path)
        if suffix == ".npy":
            feats, pts = np.load(file.path, allow_pickle=False), _times_beside(file.path)
        elif suffix == ".npz":
            feats, pts = _read_npz(file)
        else:
            feats, pts = _read_h5(file), None
    except Exception as error:  # Parsers of damaged files raise whatever they stumble over.
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        reason = said or type(error).__name__
        raise ValueError(f"cannot be read as features: {reason[:160]}") from None
    feats_TD = _checked(feats)
    if pts is not None and (pts.shape != feats_TD.shape[:1] or not np.isfinite(pts).all()):
        raise ValueError(f"times of shape {pts.shape} do not go with {len(feats_TD)} frames")
    if pts is not None and (pts[0] < 0 or np.any(np.diff(pts) < 0)):
        raise ValueError("times of frames must ascend from 0 or later")
    return feats_TD, pts


MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK", ".h5": b"\x89HDF", ".hdf5": b"\x89HDF"}
"""What a file of each kind begins with."""


def _check_kind(path: Path) -> None:
    """Refuse what is another kind of file; a pipe before it is opened, for that would block."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        if not file.read(8).startswith(MAGIC[path.suffix.lower()]):
            raise ValueError(f"it does not begin as a {path.suffix.lower()} file does")


def _checked(feats: NDArray[Any]) -> NDArray[np.float32]:
    shape = " x ".join(map(str, feats.shape)) or "one number"
    if feats.dtype.kind not in "fiu":
        raise ValueError(f"features of type {feats.dtype}; they must be numbers")
    feats = feats[None] if feats.ndim == 1 else feats
    if feats.ndim != 2 or 0 in feats.shape:
        raise ValueError(f"features of shape {shape}; they must be (T, D): frames, then features")
    if feats.shape[1] > MAX_WIDTH:
        raise ValueError(f"features of shape {shape}: D is over {MAX_WIDTH:,}; pool them first")
    with np.errstate(over="ignore"):
        feats_TD = np.ascontiguousarray(feats, dtype=np.float32)
    if not np.isfinite(feats_TD).all():
        raise ValueError("features with NaN or infinite numbers")
    return feats_TD


def _read_npz(file: FeatureFile) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    with zipfile.ZipFile(file.path) as members:
        wanted = (m for m in members.infolist() if file.key in (None, m.filename[: -len(".npy")]))
        unpacked = sum(member.file_size for member in wanted)
    if unpacked > LARGEST:
        raise ValueError(f"{unpacked / 2**30:.1f} GiB when unpacked; at most 8 GiB for one clip")
    with np.load(file.path, allow_pickle=False) as arrays:
        if file.key is not None:
            return arrays[file.key], None
        names = list(arrays)
        if len(names) > 1:
            return arrays["features"], np.asarray(arrays["pts"], dtype=np.float64)
        if not names or names == ["pts"]:
            raise ValueError("it holds no array of features")
        return arrays[names[0]], None


def _read_h5(file: FeatureFile) -> NDArray[Any]:
    if file.key is None:
        raise ValueError("it holds no dataset")
    return hdf5.read_dataset(file.path, file.key)


def _times_beside(path: Path) -> NDArray[np.float64] | None:
    beside = times_file(path)
    if not beside.is_file():
        return None
    try:
        said = json.loads(beside.read_bytes())
        pts = said.get("pts") if isinstance(said, dict) else None
        return None if pts is None else np.array(pts, dtype=np.float64)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{beside.name} is no JSON with times ({error})") from None
