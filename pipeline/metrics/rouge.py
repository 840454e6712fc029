"""ROUGE-L with the longest common subsequence taken bit by bit.

Lin 2004, https://aclanthology.org/W04-1013, as pycocoevalcap computes it: precision and recall are
the best over the references, each by itself, and recall weighs 1.2 squared. Reads and writes
nothing. The subsequence: Crochemore et al. 2001, https://doi.org/10.1016/S0020-0190(00)00214-X;
Python's whole numbers have as many bits as a caption has words, so no caption is too long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reelscribe.pipeline.metrics.summands import Statistics, of_mean

BETA = 1.2
"""Weight of recall."""


def rouge_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
    """Score tokenised captions, one a video, against the references of each video."""
    scores = [
        _score(hypothesis.split(" "), [text.split(" ") for text in refs])
        for hypothesis, refs in zip(hypotheses, references, strict=True)
    ]
    return of_mean("ROUGE_L", np.array(scores, dtype=np.float64))


def _score(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    # An empty caption is one empty word here, as it is to pycocoevalcap.
    places: dict[str, int] = {}
    for i, word in enumerate(said):
        places[word] = places.get(word, 0) | 1 << i
    whole = (1 << len(said)) - 1
    precision = recall = 0.0
    for reference in references:
        common = common_words(places, whole, reference)
        precision = max(precision, common / len(said))
        recall = max(recall, common / len(reference))
    if not precision or not recall:
        return 0.0
    return ((1 + BETA**2) * precision * recall) / (recall + BETA**2 * precision)


def common_words(places: dict[str, int], whole: int, reference: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Args:
        places: word of the caption -> a number with bit i set where word i is this word.
        whole: a number with one bit set for each word of the caption.
        reference: the other caption's words.
    """
    # A zero bit in `state` is a step up in the row of the usual table that stands for `reference`.
    state = whole
    for word in reference:
        matched = places.get(word)
        if matched is not None:
            both = state & matched
            state = ((state + both) | (state - both)) & whole
    return (whole ^ state).bit_count()
