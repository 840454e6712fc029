"""Split clips at random, yet the same way every time, and never through a group.

Reads and writes nothing. Clips of one group (one YouTube video, one scene) look alike: a split that
parts them measures memory and not skill. A random 80/20 split of UCF101 gave 91 % where the
official one, which keeps groups whole, gave 76 % with the same code
(eriklindernoren/Action-Recognition#12).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reelscribe.datasets.clip import PARTS, Clip, Part

SHARES: Mapping[Part, float] = {"train": 0.70, "val": 0.15, "test": 0.15}
"""How much of the clips each part gets where a dataset has no splits of its own; sums to 1."""

FIRST_SERVED: tuple[Part, ...] = ("train", "test", "val")
"""With too few groups for every part, these go first: no training without train, no score
without test."""


def split_by_group(
    clips: Iterable[Clip], *, seed: int, shares: Mapping[Part, float] = SHARES
) -> dict[Part, tuple[Clip, ...]]:
    """Deal whole groups into parts, label by label, as near to the shares of clips as groups allow.

    The order of groups comes from sha256 of seed and name: the same on every machine and Python,
    whatever order the clips come in. The clips of a label decide alone over that label. Each label
    with three groups or more is in every part that has a share; with two it is in train and test,
    with one in train.

    Returns:
        The clips of each part, in the order they came.
    """
    clips = tuple(clips)
    labels: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        labels[clip.group or clip.id][clip.label or ""] += 1
    strata: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for group, counts in labels.items():
        # A group of several labels counts for the one it has most of.
        label = min(counts, key=lambda label: (-counts[label], label))
        strata[label][group] = counts.total()
    part_of: dict[str, Part] = {}
    for sizes in strata.values():
        part_of |= _deal(sizes, seed=seed, shares=shares)
    return {
        part: tuple(clip for clip in clips if part_of[clip.group or clip.id] == part)
        for part in PARTS
    }


def _deal(sizes: Mapping[str, int], *, seed: int, shares: Mapping[Part, float]) -> dict[str, Part]:
    """Give each group of one label to a part; ``sizes`` holds clips a group."""
    total = sum(sizes.values())
    wanted = [part for part in FIRST_SERVED if shares.get(part)]
    need = {part: shares[part] * total for part in wanted}
    # Large groups first, or one that comes late finds no part with room for it.
    order = sorted(sizes, key=lambda group: (-sizes[group], _lot(seed, group)))
    part_of: dict[str, Part] = {}
    empty = list(wanted)
    for i, group in enumerate(order):
        scarce = len(order) - i <= len(empty)
        part = empty[0] if scarce else max(wanted, key=need.__getitem__)
        part_of[group] = part
        need[part] -= sizes[group]
        if part in empty:
            empty.remove(part)
    return part_of


def _lot(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{group}".encode("utf-8", "surrogateescape")).digest()


def shared_groups(parts: Mapping[Part, Sequence[Clip]]) -> Iterator[tuple[str, Clip, Clip]]:
    """Yield each group that stands in two parts, with a clip of either: the leak."""
    first: dict[str, tuple[Part, Clip]] = {}
    told: set[str] = set()
    for part, clips in parts.items():
        for clip in clips:
            known, other = first.setdefault(clip.group or clip.id, (part, clip))
            if known != part and clip.group not in told:
                told.add(clip.group)
                yield clip.group, other, clip
