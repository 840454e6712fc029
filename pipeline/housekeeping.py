"""What ``reelscribe cache`` answers: what the feature store holds, why, whether it is whole.

Reads the store and the index of hashes; ``verify`` and ``prune`` remove files of the store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.cache import (
    CorruptEntry,
    Entry,
    FeatureStore,
    read_entry,
)
from reelscribe.pipeline.index import HashIndex, hash_file
from reelscribe.pipeline.recipe import Recipe, differences

ABANDONED = 600.0
"""Seconds after which a half-written file is nobody's."""

FORGOTTEN = 24 * 3600.0
"""Seconds after which the pieces of a long video are not waited for: a run that was cut short and
goes on within a day still uses them."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The entries of one recipe."""

    fingerprint: str
    settings: dict[str, Any]
    videos: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What a prune removed, or would."""

    paths: Sequence[Path]
    bytes: int


def holdings(store: FeatureStore) -> list[Holding]:
    """Return what the store holds, by recipe."""
    sizes: dict[str, list[int]] = {}
    for entry in store.entries():
        sizes.setdefault(entry.fingerprint, []).append(entry.path.stat().st_size)
    return [
        Holding(
            fingerprint=fingerprint,
            settings=dict(recipe.settings),
            videos=len(sizes.get(fingerprint, [])),
            bytes=sum(sizes.get(fingerprint, [])),
        )
        for fingerprint, recipe in store.recipes().items()
    ]


def why(video: Path, store: FeatureStore, wanted: Recipe | None) -> list[str]:
    """Say in words what a hit or a miss of ``video`` is made of.

    Args:
        video: the file asked about.
        store: where its features may lie.
        wanted: the recipe of a config; None to list every recipe that the video has.

    Raises:
        ValueError: there is no such file.
    """
    if not video.is_file():
        raise ValueError(f"{str(video)!r} is no file (looked from {Path.cwd()})")
    index = HashIndex(store.root / "index.sqlite")
    known = index.lookup(video)
    sha256 = known or hash_file(video)
    here = Path(os.path.abspath(video))
    before = [path for path in index.paths().get(sha256, []) if path != here]
    index.close()
    lines = [
        f"content sha256 {sha256[:16]}... ("
        + ("remembered: same size and time as when it was read" if known else "read just now")
        + ")"
    ]
    if before and not known:
        lines.append(f"the same content was seen as {before[0]}: moved or copied")
    held = {fp: r for fp, r in store.recipes().items() if store.path(sha256, r).is_file()}
    if wanted is not None and store.path(sha256, wanted).is_file():
        lines.append(_hit(store, sha256, wanted))
    elif wanted is not None:
        lines.append(f"miss: no features under recipe {wanted.fingerprint}")
        lines += [
            f"  under {fingerprint}: {'; '.join(differences(recipe.settings, wanted.settings))}"
            for fingerprint, recipe in held.items()
        ]
    else:
        lines += [
            f"hit: recipe {fingerprint} {recipe.text}" for fingerprint, recipe in held.items()
        ]
    if not held:
        lines.append("miss: this content has no features under any recipe")
    return lines


def _hit(store: FeatureStore, sha256: str, wanted: Recipe) -> str:
    try:
        store.read(sha256, wanted)
    except CorruptEntry as error:
        return f"miss: {error}"
    return f"hit: features under recipe {wanted.fingerprint}"


def verify(store: FeatureStore) -> tuple[int, list[str]]:
    """Read every entry; remove those that are not what was written, and say so.

    Returns:
        How many entries are whole, and one line for each that was removed.
    """
    whole, broken = 0, []
    for entry in store.entries():
        try:
            read_entry(entry.path)
            whole += 1
        except CorruptEntry as error:
            entry.path.unlink(missing_ok=True)
            broken.append(str(error))
    return whole, broken


def prune(
    store: FeatureStore, *, recipes: Sequence[str] = (), gone: bool = False, dry_run: bool = False
) -> Removed:
    """Remove what killed processes left behind, and what is asked for.

    Args:
        store: the store.
        recipes: fingerprints whose entries go.
        gone: remove the features of videos that are at none of the paths they were seen at.
        dry_run: remove nothing.

    Raises:
        ValueError: the store has no such recipe.
    """
    known = store.recipes()
    unknown = [name for name in recipes if name not in known]
    if unknown:
        raise ValueError(f"no recipe {unknown[0]!r} in the store; there are: {', '.join(known)}")
    # A young one may be a living writer's: to remove it would cost that writer its video.
    doomed = [path for path in store.half_written() if _age(path) > ABANDONED]
    pieces = list(store.pieces())
    doomed += [piece.path for piece in pieces if _age(piece.path) > FORGOTTEN]
    entries = [*store.entries(), *pieces]
    doomed += [entry.path for entry in entries if entry.fingerprint in recipes]
    if gone:
        doomed += _gone(store, entries)
    doomed = list(dict.fromkeys(doomed))
    size = sum(path.stat().st_size for path in doomed)
    if not dry_run:
        for path in doomed:
            path.unlink(missing_ok=True)
        for folder in {piece.path.parent for piece in pieces}:
            with suppress(OSError):  # It holds younger ones.
                folder.rmdir()
        for fingerprint in recipes:
            (store.root / "features" / fingerprint / "recipe.json").unlink(missing_ok=True)
    return Removed(paths=doomed, bytes=size)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # It has its name by now.
        return 0.0


def _gone(store: FeatureStore, entries: Iterable[Entry]) -> list[Path]:
    index = HashIndex(store.root / "index.sqlite")
    seen = index.paths()
    index.close()
    return [
        entry.path
        for entry in entries
        if entry.sha256 in seen and not any(path.exists() for path in seen[entry.sha256])
    ]
