"""How sure a score is: percentile bootstrap intervals, and a paired test of two systems.

Efron 1979, https://doi.org/10.1214/aos/1176344552; for two systems on the same test set Koehn
2004, https://aclanthology.org/W04-3250. Reads and writes nothing. Letters: N videos, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelscribe.pipeline.metrics.summands import Floats, Statistics

RESAMPLES = 1000

_DRAWS_AT_ONCE = 1 << 22
"""Draws held in memory together: 32 MiB of indexes."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of two systems on the same videos."""

    difference: float
    """The first system's score minus the second's."""
    ci95: tuple[float, float]
    """95 % interval of the difference."""
    p: float
    """Twice the share of resamples in which the sign of the difference is not the one seen."""


def bootstrap_interval(
    values: Sequence[float] | NDArray[np.floating],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of ``values``, one value a video.

    The videos are what is drawn, so the interval says how far the score would move with another
    test set of this size; it says nothing about another seed of the training.

    Raises:
        ValueError: there are no values, or one of them is not a finite number.
    """
    values_N = np.asarray(values, dtype=np.float64)
    if values_N.ndim != 1 or not values_N.size:
        raise ValueError(f"an interval needs one value a video, got the shape {values_N.shape}")
    if not np.isfinite(values_N).all():
        raise ValueError("an interval needs finite values; at least one is NaN or infinite")
    means = [values_N[drawn_RN].mean(axis=1) for drawn_RN in _draws(len(values_N), seed, resamples)]
    return _middle(np.concatenate(means))


def resample(
    statistics: Mapping[str, Statistics], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Floats]:
    """Score resamples of the test set: name of a score -> its value in each of them.

    BLEU and METEOR are computed from the summed counts of the videos drawn, as those of the whole
    set are. The same seed and number of videos draw the same videos, so two systems are paired.
    """
    sizes = {len(found.summands_VS) for found in statistics.values()}
    if not sizes:
        return {}
    (videos,) = sizes
    times_RN = np.concatenate(
        [_times(drawn_RN, videos) for drawn_RN in _draws(videos, seed, resamples)]
    )
    return {
        name: scores
        for found in statistics.values()
        for name, scores in found.of_sums(times_RN @ found.summands_VS, videos).items()
    }


def intervals(samples: Mapping[str, Floats]) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each score that :func:`resample` gave."""
    return {name: _middle(scores_R) for name, scores_R in samples.items()}


def compare(
    one: Mapping[str, Statistics],
    other: Mapping[str, Statistics],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Comparison]:
    """Compare two systems on the same videos in the same order, by a paired bootstrap test."""
    scores, others = (
        {name: score for found in side.values() for name, score in found.corpus.items()}
        for side in (one, other)
    )
    first, second = (resample(side, seed=seed, resamples=resamples) for side in (one, other))
    found = {}
    for name in [name for name in first if name in second]:
        gaps_R = first[name] - second[name]
        # The one that was seen counts as well, so that no p is 0.
        less, more = (gaps_R <= 0).sum() + 1, (gaps_R >= 0).sum() + 1
        found[name] = Comparison(
            difference=scores[name] - others[name],
            ci95=_middle(gaps_R),
            p=float(min(1.0, 2 * min(less, more) / (len(gaps_R) + 1))),
        )
    return found


def _draws(videos: int, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // videos)
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        yield generator.integers(0, videos, size=(rows, videos))


def _times(drawn_RN: NDArray[np.int64], videos: int) -> Floats:
    """Return how often each video was drawn into each resample."""
    rows = len(drawn_RN)
    codes = drawn_RN + videos * np.arange(rows)[:, None]
    counts = np.bincount(codes.ravel(), minlength=rows * videos)
    return counts.reshape(rows, videos).astype(np.float64)


def _middle(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
