"""The leak guard: one and the same video must not be learnt from and asked about.

Reads the hashes that encoding found anyway; writes nothing. UCF101 as published has byte-identical
clips in train and test (Basketball g03_c01 = g23_c01), and so has many a folder of one's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from reelscribe.datasets.clip import Clip, Part, Split
from reelscribe.pipeline.progress import say

GUARDED: tuple[Part, ...] = ("test", "val", "train")
"""What stands first keeps a video; what stands later loses it."""


def guard_leaks(
    split: Split, contents: Mapping[Path, str], policy: Literal["refuse", "drop", "allow"]
) -> tuple[Split, tuple[str, ...]]:
    """Return the split that may be trained on, and a line for each leak that was found in it.

    Args:
        split: clips in parts.
        contents: the sha256 of each file; a file that has none is not looked at.
        policy: what to do. ``drop`` takes the clip out of the part that is learnt from.

    Raises:
        ValueError: there is a leak, and the policy is ``refuse``.
    """
    places: defaultdict[str, list[tuple[Part, Clip]]] = defaultdict(list)
    for part in GUARDED:
        for clip in split.part(part):
            # A clip and its reverse are of one file, and two clips by their label.
            if clip.path in contents:
                places[f"{contents[clip.path]} {clip.backwards}"].append((part, clip))
    lines: list[str] = []
    lost: set[str] = set()
    for (kept_in, kept), *others in places.values():
        for part, clip in others:
            if part != kept_in:
                lost.add(clip.id)
                lines.append(f"{clip.id} ({part}) = {kept.id} ({kept_in})")
    if not lines:
        return split, ()
    told = f"{len(lines)} clips are byte for byte in two parts, first {lines[0]}"
    if policy == "refuse":
        raise ValueError(
            f"{split.dataset} split {split.name}: {told}; the score would measure memory: remove "
            "them, or set data.leaks to drop (learn from the others) or to allow"
        )
    say(f"{told}; {'left out of what is learnt from' if policy == 'drop' else 'allowed'}")
    if policy == "drop":
        parts = {
            part: tuple(clip for clip in split.part(part) if clip.id not in lost)
            for part in GUARDED
        }
        split = replace(split, train=parts["train"], val=parts["val"], test=parts["test"])
    return split, tuple(lines)
