"""Timelines: where a long video is cut into segments.

Reads and writes nothing. Shots are found in the cached features: at a cut they change at once, and
by more than at any time before and after; no frame is decoded for it. T = frames, D = features a
frame.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

USUAL = 10.0
"""Seconds of a segment where nobody says."""

LONGEST_SHOT = 20.0
"""Seconds after which a shot is cut although nothing changes: heads were trained on less."""

SHORTEST_SHOT = 1.0
"""Seconds; cuts that follow each other faster are one."""

CHANGE = 0.4
"""Distance (1 - cosine) of the features on either side of a cut, at least, and not less than the
distances beside it. On 56 cuts between real clips: recall 1.00, precision 0.95."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """How long videos are cut."""

    kind: Literal["none", "fixed", "shots"] = "none"
    seconds: float = USUAL
    """Of a segment; for shots, what the number of frames is measured by."""

    @classmethod
    def parse(cls, text: str) -> Segmentation:
        """Read ``none``, ``shots``, ``fixed`` or ``fixed:10s``.

        Raises:
            ValueError: it is neither.
        """
        if text in ("none", "shots", "fixed"):
            return cls(kind=text)  # type: ignore[arg-type]
        found = re.fullmatch(r"fixed:(\d+(?:\.\d+)?)s?", text)
        if found is None or not 1 <= float(found[1]) <= 3600:
            raise ValueError(
                f"--segments {text!r}; allowed: none, shots, or fixed:10s with 1 to 3600 seconds"
            )
        return cls(kind="fixed", seconds=float(found[1]))

    def cuts(self, duration: float) -> bool:
        """Say whether a video of this duration, in seconds, is cut at all."""
        return self.kind != "none" and duration > 1.5 * self.seconds


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a video, in seconds; it ends where the next begins."""

    start: float
    end: float

    def frames(self, pts_T: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the positions of the frames within; the nearest where there are none."""
        inside = np.flatnonzero((pts_T >= self.start) & (pts_T < self.end))
        if not len(inside):
            middle = (self.start + self.end) / 2
            return np.array([int(np.abs(pts_T - middle).argmin())])
        return inside


def fixed(duration: float, seconds: float) -> list[Span]:
    """Cut into spans of ``seconds``; a rest of less than half of that belongs to the last."""
    count = max(1, math.floor(duration / seconds + 0.5))
    starts = [seconds * n for n in range(count)]
    return [
        Span(start=start, end=end)
        for start, end in zip(starts, [*starts[1:], duration], strict=True)
    ]


def shots(feats_TD: NDArray[np.float32], pts_T: NDArray[np.float64], duration: float) -> list[Span]:
    """Cut where the features change at once; what is longer than a shot may be, in equal parts."""
    edges = [0.0]
    for row in _changes(feats_TD):
        # Between two frames that were looked at: the cut lies somewhere there.
        at = float(pts_T[row] + pts_T[row + 1]) / 2
        if at - edges[-1] >= SHORTEST_SHOT and duration - at >= SHORTEST_SHOT:
            edges.append(at)
    found = []
    for start, end in zip(edges, [*edges[1:], duration], strict=True):
        parts = max(1, math.ceil((end - start) / LONGEST_SHOT))
        places = np.linspace(start, end, parts + 1).tolist()
        found += [Span(start=a, end=b) for a, b in itertools.pairwise(places)]
    return found


def _changes(feats_TD: NDArray[np.float32]) -> list[int]:
    """Return the rows after which there is a cut."""
    lengths_T1 = np.linalg.norm(feats_TD, axis=1, keepdims=True)
    unit_TD = feats_TD / np.maximum(lengths_T1, 1e-12)
    distances = 1 - (unit_TD[1:] * unit_TD[:-1]).sum(axis=1)
    padded = np.concatenate([[0.0], distances, [0.0]])
    beside = np.maximum(padded[:-2], padded[2:])
    return np.flatnonzero((distances >= CHANGE) & (distances >= beside)).tolist()
