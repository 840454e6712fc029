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
    count = Counter(fold(name).lower() for name in bare.values())
    names = {}
    for path, name in bare.items():
        unique = count[fold(name).lower()] == 1
        parts = PurePosixPath(name).parts
        fits = all(len(os.fsencode(part)) <= LONGEST for part in parts)
        if not (unique and fits):
            *folders, last = (_short(part) for part in parts)
            name = "/".join([*folders, f"{last}-{videos[path][:8]}"])
        names[path] = name
    return names


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
