"""Test splits that papers report on: is what was scored one of them, whole?

Reads and writes nothing. The idf of CIDEr comes from the references scored, so a part of a test
split gives scores that cannot be compared with those of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownSplit:
    """A test split whose ids are numbered without a gap."""

    name: str
    prefix: str
    """What its ids start with; the number follows."""
    first: int
    last: int
    references: int | None
    """Of each video; None where videos have differently many."""

    def holds(self, names: Collection[str]) -> bool:
        """Are all of these ids of this split?"""
        pattern = re.compile(rf"{re.escape(self.prefix)}(0|[1-9]\d*)", re.ASCII)
        matches = [pattern.fullmatch(name) for name in names]
        return bool(matches) and all(
            match is not None and len(match[1]) < 10 and self.first <= int(match[1]) <= self.last
            for match in matches
        )

    @property
    def videos(self) -> int:
        """How many it has."""
        return self.last - self.first + 1


KNOWN = (
    KnownSplit(name="MSR-VTT's test split", prefix="video", first=7010, last=9999, references=20),
    KnownSplit(name="MSVD's test split", prefix="vid", first=1301, last=1970, references=None),
)
"""Those that can be told by their ids."""


def part_of_a_known_split(names: Sequence[str], counts: Sequence[int]) -> Iterable[str]:
    """Yield a warning where videos, or references, of a known test split are missing.

    Args:
        names: the ids that were scored.
        counts: how many references each of them has.
    """
    for split in KNOWN:
        if not split.holds(names):
            continue
        if len(names) < split.videos:
            yield (
                f"these are {len(names)} of the {split.videos} videos of {split.name}: CIDEr's idf "
                f"is another one, so the scores are not comparable with those of the whole split"
            )
        fewer = sum(count < (split.references or 0) for count in counts)
        if fewer:
            yield (
                f"{fewer} of {len(names)} videos have fewer than the {split.references} references "
                f"of {split.name}: the scores are not comparable with published ones"
            )
