"""Export: features of the store -> .npy and .json files that other tools read.

Reads the feature store; writes ``<name>.npy`` (T, D) as float32 and ``<name>.json`` (the times of
the frames, the video, the recipe) into a folder. ``encoder: {precomputed: DIR}`` reads them back.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from reelscribe.datasets.tables import fold
from reelscribe.pipeline.cache import Features
from reelscribe.pipeline.files import write_json, write_whole
from reelscribe.pipeline.recipe import Recipe

LONGEST = 200
"""Bytes of one part of a name; a file system takes 255, and a suffix must follow."""


def names_of(
    videos: Mapping[Path, str],
    roots: Sequence[Path],
    *,
    taken: Callable[[str, Path], bool] = lambda name, path: False,
) -> dict[Path, str]:
    """Name each video's export so that ``encoder.precomputed`` finds it by the video's name again.

    Args:
        videos: path -> sha256 of its content.
        roots: the folders that were searched; a video below none of them has its own name.
        taken: says whether a name is another video's already.

    Returns:
        path -> name with ``/``, never absolute or with ``..``: the path below the root without its
        suffix. Where others would have that name too it has its suffix (``a.mp4``), then the
        root's name before it; where that does not part them, or a name is too long for a file
        system, the start of its sha256 behind it.
    """
    ways = {path: _ways(path, sha256, roots) for path, sha256 in videos.items()}
    way = dict.fromkeys(videos, 0)
    while True:
        names = {path: ways[path][way[path]] for path in videos}
        # As compared where case is folded, as on macOS and Windows.
        count = Counter(_folded(name) for name in names.values())
        folders = {_folded(str(up)) for n in names.values() for up in PurePosixPath(n).parents}
        clashing = [
            path
            for path, name in names.items()
            if count[_folded(name)] > 1
            or not folders.isdisjoint(_folded(f"{name}{end}") for end in ("", ".npy", ".json"))
            or any(len(os.fsencode(part)) > LONGEST for part in PurePosixPath(name).parts)
            or taken(name, path)
        ]
        onward = [path for path in clashing if way[path] + 1 < len(ways[path])]
        if not onward:
            return names
        for path in onward:
            way[path] += 1


def is_of_another(target: Path, path: Path, sha256: str) -> bool:
    """Say whether ``target`` holds the export of another video: of another path and content."""
    beside = target.with_name(f"{target.name}.json")
    try:
        said = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(said, dict) or "sha256" not in said:
        return False
    return said["sha256"] != sha256 and said.get("video") != os.fspath(path)


def _folded(name: str) -> str:
    return fold(name).lower()


def _ways(path: Path, sha256: str, roots: Sequence[Path]) -> tuple[str, ...]:
    """Return the names that a video's export may have, the plainest first, the last its own."""
    root, whole = _below(path, roots)
    bare = whole.with_suffix("")
    *folders, last = (_short(part) for part in (root.name, *bare.parts) if part not in ("", "/"))
    unique = f"{sha256[:8]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    inside = PurePosixPath(root.name)
    return (
        bare.as_posix(),
        whole.as_posix(),
        (inside / bare).as_posix(),
        (inside / whole).as_posix(),
        "/".join([*folders, f"{last}-{sha256[:8]}"]),
        "/".join([*folders, f"{last}-{unique}"]),
    )


def _below(path: Path, roots: Sequence[Path]) -> tuple[Path, PurePosixPath]:
    """Return the root that a video was found in, and its path below."""
    whole = Path(os.path.abspath(path))
    for root in roots:
        folder = Path(os.path.abspath(root))
        if whole != folder and whole.is_relative_to(folder):
            return folder, PurePosixPath(whole.relative_to(folder).as_posix())
    return whole.parent, PurePosixPath(whole.name)


def _short(part: str) -> str:
    return os.fsencode(part)[: LONGEST - 20].decode("utf-8", "ignore") or "video"


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
