"""The arrow of time: every clip of a split once more, backwards, as a class of its own.

Reads and writes nothing. What averages over time gives a clip and its reverse one answer, so it is
right about the direction of one of the two: 0.50 by construction. What reads the order can do
better (Pickup et al. 2014, https://doi.org/10.1109/CVPR.2014.262), and so can what sees the marks
of a video encoder (Wei et al. 2018, https://doi.org/10.1109/CVPR.2018.00840): most clips of UCF101
have one key frame, the first, and how unlike the others it is tells where the start is. So the ends
can be left out. Key frames further inside stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.clip import PARTS, Clip, Split

MARK = " (backwards)"
"""What is put behind the label and the id of a clip that runs backwards."""

TOLERANCE = 1e-6
"""Seconds by which times of frames differ that are the same."""


def with_reversed(split: Split) -> Split:
    """Return the split with twice the clips and twice the labels: those forwards, then those back.

    A clip and its reverse are of one file and of one group, and stay in one part.

    Raises:
        ValueError: the clips have no labels.
    """
    if not split.labels:
        raise ValueError(
            f"data.reversed: clips of {split.dataset} have no labels to double; set it to false, "
            "or take a dataset with labels"
        )
    train, val, test = (_both(split.part(part)) for part in PARTS)
    pairs = tuple((label, label + MARK) for label in split.labels)
    return replace(
        split,
        labels=(*split.labels, *(label + MARK for label in split.labels)),
        twins=(*split.twins, *pairs),
        train=train,
        val=val,
        test=test,
    )


def inside(pts_T: NDArray[np.float64], trim: float) -> slice:
    """Return which frames are not within ``trim`` seconds of the first or the last one.

    At most a quarter of the clip is left out at each end, and where no frame is left, the one that
    is nearest to the middle stays.
    """
    start, end = float(pts_T[0]), float(pts_T[-1])
    cut = min(trim, (end - start) / 4)
    first = int(np.searchsorted(pts_T, start + cut - TOLERANCE))
    last = int(np.searchsorted(pts_T, end - cut + TOLERANCE, side="right"))
    if first >= last:
        first = int(np.abs(pts_T - (start + end) / 2).argmin())
        last = first + 1
    return slice(first, last)


def _both(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    back = [
        replace(
            clip,
            id=clip.id + MARK,
            label=None if clip.label is None else clip.label + MARK,
            backwards=True,
        )
        for clip in clips
    ]
    return (*clips, *back)
