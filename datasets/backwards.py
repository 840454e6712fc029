"""The arrow of time: every clip of a split once more, backwards, as a class of its own.

Reads and writes nothing. What averages over time gives a clip and its reverse one answer, so it is
right about the direction of one of the two: 0.50 by construction. What reads the order can do
better (Pickup et al. 2014, https://doi.org/10.1109/CVPR.2014.262).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reelscribe.datasets.clip import PARTS, Clip, Split

MARK = " (backwards)"
"""What is put behind the label and the id of a clip that runs backwards."""


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
