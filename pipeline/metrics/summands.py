"""What a metric knows of each video, in numbers that add up: corpus scores, also of resamples.

Reads and writes nothing. BLEU and METEOR of a corpus are no means of the videos' scores: they are
computed from counts summed over the videos. CIDEr and ROUGE-L are means. Keeping the summands
makes one resample of a test set a sum of rows, whatever the metric.

Letters: V videos, S summands a video, and ``...`` any number of corpora at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What one metric found, video by video."""

    corpus: dict[str, float]
    """Name -> score of the corpus."""
    per_video: dict[str, Floats]
    """The same names -> one score a video."""
    summands_VS: Floats
    """The row of a video is what it adds to the corpus."""
    of_sums: Callable[[Floats, int], dict[str, Floats]]
    """Sums (..., S) and how many videos were summed -> name -> scores (...)."""


def of_mean(name: str, scores_V: Floats) -> Statistics:
    """Return the statistics of a metric whose corpus score is the mean over the videos."""
    return Statistics(
        corpus={name: float(scores_V.mean())},
        per_video={name: scores_V},
        summands_VS=scores_V[:, None],
        of_sums=lambda sums, videos: {name: sums[..., 0] / videos},
    )
