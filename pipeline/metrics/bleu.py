"""BLEU-1 to BLEU-4 in numpy, against references that are counted once.

Papineni et al. 2002, https://aclanthology.org/P02-1040, as pycocoevalcap computes it: the length of
the reference that is nearest to the caption's (of two, the shorter), clipped counts over all
references, a constant of 1e-15 on matches and 1e-9 on guesses instead of smoothing. Reads and
writes nothing.

Letters: V videos, R references, E entries (an n-gram in a caption), S summands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reelscribe.pipeline.metrics.ngrams import ORDERS, Ints, Ngrams, Tokens, lengths
from reelscribe.pipeline.metrics.summands import Floats, Statistics

_SMALL, _TINY = 1e-9, 1e-15


class Bleu:
    """References made ready; :meth:`score` may be called any number of times.

    Args:
        counts: how many references each video has, one or more.
        ngrams: of all references, one video after another.
    """

    def __init__(self, counts: Sequence[int], ngrams: Ngrams) -> None:
        counts_V = np.array(counts, dtype=np.int64)
        videos_R = np.repeat(np.arange(len(counts_V)), counts_V)
        self._ngrams = ngrams
        self._counts_V = counts_V
        self._starts_V = np.cumsum(counts_V) - counts_V
        self._most: list[tuple[Ints, Ints]] = []
        """Of each length: video * G + n-gram, sorted, and the most that one reference has."""
        for keys_G, entries in zip(ngrams.known, ngrams.entries, strict=True):
            codes_E = videos_R[entries.captions_E] * len(keys_G) + entries.grams_E
            order_E = np.argsort(codes_E, kind="stable")
            codes, first = np.unique(codes_E[order_E], return_index=True)
            counts_E = entries.counts_E[order_E]
            most = np.maximum.reduceat(counts_E, first) if len(first) else counts_E
            self._most.append((codes, most))

    def score(self, hypotheses: Sequence[Tokens]) -> Statistics:
        """Score captions, one a video, as tokens."""
        lengths_V = lengths(hypotheses)
        columns = [lengths_V, self._nearest(lengths_V)]
        for order, entries in enumerate(self._ngrams.count(hypotheses), start=1):
            known = len(self._ngrams.known[order - 1])
            there_E = entries.grams_E < known
            videos_E = entries.captions_E[there_E]
            most_E = self._look_up(order, videos_E * known + entries.grams_E[there_E])
            clipped_E = np.minimum(most_E, entries.counts_E[there_E])
            columns.append(np.maximum(0, lengths_V - order + 1))
            columns.append(np.bincount(videos_E, clipped_E, len(hypotheses)).astype(np.int64))
        summands_VS = np.stack(columns, axis=1).astype(np.float64)
        corpus = score_of_counts(summands_VS.sum(axis=0), len(hypotheses))
        return Statistics(
            corpus={name: float(score) for name, score in corpus.items()},
            per_video=score_of_counts(summands_VS, 1),
            summands_VS=summands_VS,
            of_sums=score_of_counts,
        )

    def _nearest(self, lengths_V: Ints) -> Ints:
        """Return the length of the nearest reference; of two as near, the shorter."""
        lengths_R = self._ngrams.lengths_C
        gaps_R = np.abs(lengths_R - np.repeat(lengths_V, self._counts_V))
        # One number to compare by, as pycocoevalcap compares pairs of gap and length.
        size = int(lengths_R.max(initial=0)) + 1
        best_V = np.minimum.reduceat(gaps_R * size + lengths_R, self._starts_V)
        nearest: Ints = best_V % size
        return nearest

    def _look_up(self, order: int, codes: Ints) -> Ints:
        known, most = self._most[order - 1]
        if not len(known):
            return np.zeros_like(codes)
        place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        return np.where(known[place] == codes, most[place], 0)


def score_of_counts(counts: Floats, _: int) -> dict[str, Floats]:
    """Return BLEU of counts of a video, or of sums of them.

    The counts (..., S): words said, words of the nearest reference, then for n-grams of 1 to 4
    words how many were said and how many of those a reference has.
    """
    ratio = (counts[..., 0] + _TINY) / (counts[..., 1] + _SMALL)
    penalty = np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    found: dict[str, Floats] = {}
    product = np.ones(counts.shape[:-1])
    for order in range(1, ORDERS + 1):
        guesses, right = counts[..., 2 * order], counts[..., 2 * order + 1]
        product = product * (right + _TINY) / (guesses + _SMALL)
        found[f"Bleu_{order}"] = product ** (1 / order) * penalty
    return found
