"""Export: features of the store -> .npy and .json files that other tools read.

Reads the feature store; writes ``<name>.npy`` (T, D) as float32 and ``<name>.json`` (the times of
the frames, the video, the recipe) into a folder. ``encoder: {precomputed: DIR}`` reads them back.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from reelscribe.datasets.tables import fold
from reelscribe.pipeline.cache import Features
from reelscribe.pipeline.files import write_json, write_whole
from reelscribe.pipeline.recipe import Recipe

LONGEST = 200
"""Bytes of one part of a name; a file system takes 255, and a suffix must follow."""


def names_of(videos: Mapping[Path, str], roots: Sequence[Path]) -> dict[Path, str]:
    """Name each video's export: its path below the root it was found in, without its suffix.

    Args:
        videos: path -> sha256 of its content.
        roots: the folders that were searched; a video below none of them has its own name.

    Returns:
        path -> name with ``/``, never absolute or with ``..``. Where two videos would have one
        name, or a name is too long for a file system, the start of its sha256 is part of it.
    """
    bare = {path: _below(path, roots) for path in videos}
    # As compared where case is folded, as on macOS and Windows.
    count = Counter(_folded(name) for name in bare.values())
    folders = {_folded(str(up)) for name in bare.values() for up in PurePosixPath(name).parents}
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path, name in bare.items():
        made = [f"{name}{suffix}" for suffix in ("", ".npy", ".json")]
        unique = count[_folded(name)] == 1 and not any(_folded(one) in folders for one in made)
        fits = all(len(os.fsencode(part)) <= LONGEST for part in PurePosixPath(name).parts)
        chosen = name if unique and fits else _with(name, videos[path][:8])
        number = 2
        while _folded(chosen) in taken:
            chosen, number = _with(name, f"{videos[path][:8]}-{number}"), number + 1
        taken.add(_folded(chosen))
        names[path] = chosen
    return names


def _folded(name: str) -> str:
    return fold(name).lower()


def _with(name: str, ending: str) -> str:
    *folders, last = (_short(part) for part in PurePosixPath(name).parts)
    return "/".join([*folders, f"{last}-{ending}"])


def _short(part: str) -> str:
    return os.fsencode(part)[:LONGEST].decode("utf-8", "ignore") or "video"


def _below(path: Path, roots: Sequence[Path]) -> str:
    whole = Path(os.path.abspath(path))
    for root in roots:
        folder = Path(os.path.abspath(root))
        if whole != folder and whole.is_relative_to(folder):
            return whole.relative_to(folder).with_suffix("").as_posix()
    return whole.stem


def export(path: Path, sha256: str, features: Features, recipe: Recipe, target: Path) -> None:
    """Write the features of one video to ``target`` + ``.npy`` and ``.json``, each whole.

    Raises:
        OSError: the folder cannot be written.
    """
    data = io.BytesIO()
    np.save(data, features.feats_TD, allow_pickle=False)
    write_whole(target.with_name(f"{target.name}.npy"), data.getvalue())
    write_json(
        target.with_name(f"{target.name}.json"),
        {
            "video": os.fspath(path),
            "sha256": sha256,
            "shape": list(features.feats_TD.shape),
            "pts": features.pts_T.tolist(),
            "recipe": dict(recipe.settings),
            "fingerprint": recipe.fingerprint,
            "about": dict(features.about),
        },
    )
