"""How sure a mean over videos is: percentile bootstrap intervals.

Efron 1979, https://doi.org/10.1214/aos/1176344552. Letters: N videos, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_DRAWS_AT_ONCE = 1 << 22
"""Draws held in memory together: 32 MiB of indexes."""


def bootstrap_interval(
    values: Sequence[float] | NDArray[np.floating],
    *,
    seed: int = 0,
    resamples: int = 1000,
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
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // values_N.size)
    means: list[NDArray[np.float64]] = []
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn_RN = generator.integers(0, values_N.size, size=(rows, values_N.size))
        means.append(values_N[drawn_RN].mean(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
