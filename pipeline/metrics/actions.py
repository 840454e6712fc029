"""Accuracy of actions, per video: top-1, top-5, per class, confusion, floor and interval.

Reads and writes nothing. Letters: N videos, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

import numpy as np
from numpy.typing import NDArray

from reelscribe.pipeline.metrics.intervals import bootstrap_interval

TIE = 1e-4
"""Two probabilities that differ by less than this share are equal: float32 sums round."""


@dataclass(frozen=True, kw_only=True)
class ActionScores:
    """What one head reached on one part of a split. Fractions, not percent."""

    videos: int
    """N: how many videos were scored."""
    top1: float
    """Share of videos whose most probable class is the true one."""
    top5: float
    """Share of videos whose true class is among the five most probable (all, where K < 5)."""
    ci95: tuple[float, float]
    """95 % bootstrap interval of ``top1`` over the videos."""
    floor: float
    """Top-1 of always saying the training set's most frequent class."""
    floor_label: str
    """That class. Of equally frequent ones, the first in the order of ``labels``."""
    per_class: dict[str, float | None]
    """Label -> top-1 over its videos, in the order of ``labels``; None where it has no video."""
    confusion_KK: NDArray[np.int64]
    """Row: the true class, column: the most probable one; counts of videos."""

    def to_json(self) -> dict[str, object]:
        """Return the scores as plain values, for ``scores.json``."""
        return {
            "videos": self.videos,
            "top1": self.top1,
            "top5": self.top5,
            "ci95": list(self.ci95),
            "floor": self.floor,
            "floor_label": self.floor_label,
            "per_class": dict(self.per_class),
            "confusion": self.confusion_KK.tolist(),
        }


def score_actions(
    truth: Sequence[int],
    probabilities_NK: NDArray[np.floating] | Sequence[Sequence[float]],
    labels: Sequence[str],
    *,
    train_labels: Sequence[int],
    seed: int = 0,
) -> ActionScores:
    """Score one probability a class and video; logits do as well, only their order counts.

    Of equal probabilities, the class that comes first in ``labels`` is taken, so a head that says
    nothing scores as its first class does and not by luck.

    Args:
        truth: N numbers of classes.
        probabilities_NK: one row a video, one column a class.
        labels: K names.
        train_labels: the classes of the training videos, for the floor.
        seed: for the bootstrap interval.

    Raises:
        ValueError: shapes or class numbers do not fit together, or a probability is NaN.
    """
    truth_N = _classes(truth, labels, "truth")
    train = _classes(train_labels, labels, "train_labels")
    scores_NK = np.asarray(probabilities_NK, dtype=np.float64)
    if scores_NK.shape != (len(truth_N), len(labels)):
        raise ValueError(
            f"expected one row for each of {len(truth_N)} videos and one column for each of "
            f"{len(labels)} labels, got the shape {scores_NK.shape}"
        )
    broken = np.flatnonzero(np.isnan(scores_NK).any(axis=1))
    if broken.size:
        raise ValueError(f"{broken.size} videos have a probability of NaN, first row {broken[0]}")

    ranked_NK = np.argsort(-scores_NK, axis=1, kind="stable")
    right_N = ranked_NK[:, 0] == truth_N
    among_five_N = (ranked_NK[:, :5] == truth_N[:, None]).any(axis=1)
    confusion_KK = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion_KK, (truth_N, ranked_NK[:, 0]), 1)
    counts = Counter(train.tolist())
    majority = min(counts, key=lambda label: (-counts[label], label))
    return ActionScores(
        videos=len(truth_N),
        top1=float(right_N.mean()),
        top5=float(among_five_N.mean()),
        ci95=bootstrap_interval(right_N.astype(np.float64), seed=seed),
        floor=float((truth_N == majority).mean()),
        floor_label=labels[majority],
        per_class={
            label: float(row_K[k] / row_K.sum()) if row_K.sum() else None
            for k, (label, row_K) in enumerate(zip(labels, confusion_KK, strict=True))
        },
        confusion_KK=confusion_KK,
    )


def direction(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return how often the true label is more probable than its twin, or None without a pair.

    Of two labels that the order of the frames alone tells apart, a head without memory gives a clip
    and its reverse the same probabilities: it is right about one of the two, 0.5. A tie counts
    half, and what differs by less than TIE of itself is one: sums in another order round otherwise.

    Args:
        pairs: the probability of the true label and that of its twin, a clip each.
    """
    if not pairs:
        return None
    right = (
        0.5 if isclose(true, twin, rel_tol=TIE) else float(true > twin) for true, twin in pairs
    )
    return sum(right) / len(pairs)


def _classes(numbers: Sequence[int], labels: Sequence[str], name: str) -> NDArray[np.int64]:
    """Return class numbers as an array, or say what is wrong with them."""
    if not len(numbers):
        raise ValueError(f"{name} is empty; at least one video is needed")
    given = np.asarray(numbers)
    outside = [number for number in given.tolist() if number not in range(len(labels))]
    if outside:
        raise ValueError(
            f"{name} has {len(outside)} numbers that are no class, first {outside[0]!r}; "
            f"allowed are the whole numbers 0 to {len(labels) - 1}"
        )
    return given.astype(np.int64)
