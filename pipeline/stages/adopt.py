"""Adopt: features that others made -> the feature store, each checked; no video is decoded.

Reads the files of ``encoder.precomputed`` and the index of hashes; writes one entry of the feature
store a clip. The entry is kept by the content of the features' own file, so changed features are
other features. T = frames, D = features a frame.
"""

from __future__ import annotations

import functools
import hashlib
import json
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reelscribe.datasets.features import FeatureFile, FeatureFolder, read, scan, times_file
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.index import HashIndex, hash_file
from reelscribe.pipeline.recipe import VERSION, Recipe
from reelscribe.pipeline.stages.fate import Fate


@dataclass(frozen=True, kw_only=True, eq=False)
class Adoption:
    """What is to be taken over: the counterpart of an Encoding, where nothing is encoded."""

    folder: FeatureFolder
    dim: int
    """D of all; that of the first in order of name."""
    made_by: str = ""
    """The fingerprint of the recipe, where the first is an export that says it."""
    store: Path

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What the features are keyed by: all that is known of how they were made."""
        return Recipe(
            settings={
                "version": VERSION,
                "frames": {},
                "encoder": {
                    "precomputed": self.folder.root.absolute().name,
                    "dim": self.dim,
                    **({"made_by": self.made_by} if self.made_by else {}),
                },
            }
        )

    def content(self, path: Path, index: HashIndex) -> str:
        """Return the sha256 that a clip's features go by.

        Raises:
            ValueError: it has none.
            OSError: they cannot be read.
        """
        file = self.folder.find(path)
        parts = [_hash(file.path, index)]
        if file.key is not None:
            parts.append(file.key)
        elif file.path.suffix.lower() == ".npy" and times_file(file.path).is_file():
            parts.append(_hash(times_file(file.path), index))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts[1:] else parts[0]


def prepare_adoption(root: Path, store: Path) -> Adoption:
    """List the features and learn D from the first that can be read.

    Raises:
        ValueError: there are none, or none can be read.
    """
    folder = scan(root)
    first = ""
    for path in sorted(folder.files):
        try:
            file = folder.files[path]
            return Adoption(
                folder=folder, dim=int(read(file)[0].shape[1]), store=store, made_by=_maker(file)
            )
        except ValueError as error:
            first = first or f"{path}: {error}"
    raise ValueError(f"none of the {len(folder.files):,} features can be read; first {first}")


def _maker(file: FeatureFile) -> str:
    """Return the recipe's fingerprint that an export has beside it, or the empty string."""
    beside = times_file(file.path)
    if file.key is not None or not beside.is_file():
        return ""
    try:
        said = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(said.get("fingerprint", ""))[:64] if isinstance(said, dict) else ""


def adopt_each(
    clips: Iterable[Path],
    adoption: Adoption,
    *,
    told: Callable[[Path, Fate], None],
) -> None:
    """Take over what the store does not have.

    Args:
        clips: videos, or paths out of the folder of features, each once.
        adoption: what to make of them.
        told: called for each as it ends.

    Raises:
        Hopeless: the store cannot be written.
    """
    index = HashIndex(adoption.store / "index.sqlite")
    store = FeatureStore(adoption.store)
    try:
        for path in clips:
            try:
                sha256 = adoption.content(path, index)
                fresh = not store.has(sha256, adoption.recipe)
                if fresh:
                    features = _features(adoption.folder.find(path), adoption.dim)
                    store.write(sha256, adoption.recipe, features)
            except (ValueError, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                told(path, Fate(reason=reason))
            else:
                told(path, Fate(sha256=sha256, fresh=fresh))
    finally:
        index.close()


def _features(file: FeatureFile, dim: int) -> Features:
    feats_TD, pts = read(file)
    if feats_TD.shape[1] != dim:
        raise ValueError(
            f"its features have D = {feats_TD.shape[1]}, those of the others {dim}; one run takes "
            "one width"
        )
    # Without times a frame is a step: what reads a sequence asks for their order alone.
    pts_T = np.arange(len(feats_TD), dtype=np.float64) if pts is None else pts
    step = float(np.median(np.diff(pts_T))) if len(pts_T) > 1 else 1.0
    about = {
        "duration": float(pts_T[-1] - pts_T[0]) + step,
        "decoder": "none",
        "times": "steps" if pts is None else "seconds",
        "source_bytes": file.path.stat().st_size,
    }
    return Features(feats_TD=feats_TD, pts_T=pts_T, about=about)


def _hash(path: Path, index: HashIndex) -> str:
    known = index.lookup(path)
    if known is not None:
        return known
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise ValueError("not a regular file")
    sha256 = hash_file(path)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ValueError("changed while it was being read; run again when it is whole")
    index.remember(path, size=before.st_size, mtime_ns=before.st_mtime_ns, sha256=sha256)
    return sha256
