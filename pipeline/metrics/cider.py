"""CIDEr-D in numpy, for what is scored often: validation after every epoch, rewards, and floors.

Vedantam, Zitnick and Parikh 2015, https://arxiv.org/abs/1411.5726: n-grams of 1 to 4 words weighed
by tf-idf, clipped, with a Gaussian penalty on the length. Equal to pycocoevalcap's ``Cider``,
which prepares the references anew for every call; here that is done once.

Letters: V videos, R references, H hypotheses, E entries (an n-gram in a caption), G distinct
n-grams, M matches (a hypothesis' entry met in a reference).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelscribe.pipeline.metrics.ngrams import ORDERS, Entries, Ints, Ngrams, Tokens, lengths

Floats = NDArray[np.float64]

SIGMA = 6.0
"""Width of the penalty on a difference in length, in words."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    """The references' n-grams of one length."""

    idf_G: Floats
    """log(V / number of videos whose references have it)."""
    codes_E: Ints
    """Sorted: video * G + n-gram, for each entry of each reference."""
    references_E: Ints
    """The reference that the entry is of."""
    weights_E: Floats
    """tf * idf."""
    norms_R: Floats
    """Length of each reference's vector; 1 where the vector is zero, as all its entries are."""


class CiderD:
    """References made ready; :meth:`score` may be called any number of times.

    Args:
        references: tokens of each reference of each video.
        ngrams: of all references, one video after another, where they are already counted; then
            nothing but the number of references is looked at.

    Raises:
        ValueError: there is no video, or a video has no reference.
    """

    def __init__(
        self, references: Sequence[Sequence[Tokens]], ngrams: Ngrams | None = None
    ) -> None:
        counts = [len(refs) for refs in references]
        if not counts or not all(counts):
            raise ValueError(
                f"CIDEr needs references for every video: {counts.count(0)} of {len(counts)} "
                f"videos have none"
            )
        self._counts_V = np.array(counts, dtype=np.int64)
        self._ngrams = ngrams or Ngrams([tokens for refs in references for tokens in refs])
        videos_R = np.repeat(np.arange(len(counts)), self._counts_V)
        self._orders = [
            _prepare(len(keys_G), entries, videos_R)
            for keys_G, entries in zip(self._ngrams.known, self._ngrams.entries, strict=True)
        ]

    @property
    def videos(self) -> int:
        """V, which the idf comes from."""
        return len(self._counts_V)

    def score(self, hypotheses: Sequence[Tokens], which: Sequence[int] | None = None) -> Floats:
        """Score captions; 10.0 is a perfect one.

        Args:
            hypotheses: one caption a video, as tokens.
            which: the number of the video that each caption is for, where the captions are not one
                for each video in order. The idf stays that of all videos.

        Returns:
            One score a hypothesis. All are 0 where the references are of a single video: its idf
            is log(1/1) for every n-gram.

        Raises:
            ValueError: there is not one hypothesis for each video.
        """
        videos_H = np.arange(self.videos) if which is None else np.asarray(which, dtype=np.int64)
        if len(hypotheses) != len(videos_H):
            raise ValueError(
                f"{len(hypotheses)} captions for {len(videos_H)} videos; give one each"
            )
        lengths_H = lengths(hypotheses)
        total_H = np.zeros(len(hypotheses))
        for order, entries in zip(self._orders, self._ngrams.count(hypotheses), strict=True):
            total_H += self._similarity(order, entries, videos_H, lengths_H)
        result: Floats = 10 * total_H / ORDERS / self._counts_V[videos_H]
        return result

    def _similarity(
        self, order: _Order, entries: Entries, videos_H: Ints, lengths_H: Ints
    ) -> Floats:
        """Sum, for each hypothesis, the clipped cosines with the references of its video."""
        known = len(order.idf_G)
        grams_E, hyps_E, counts_E = entries.grams_E, entries.captions_E, entries.counts_E
        idf_E = np.full(len(grams_E), np.log(self.videos))
        idf_E[grams_E < known] = order.idf_G[grams_E[grams_E < known]]
        weights_E = counts_E * idf_E
        norms_H = _norms(hyps_E, weights_E, len(videos_H))

        grams_E, hyps_E, weights_E = (
            values[grams_E < known] for values in (grams_E, hyps_E, weights_E)
        )
        codes_E = videos_H[hyps_E] * known + grams_E
        first_E = np.searchsorted(order.codes_E, codes_E, side="left")
        met_E = np.searchsorted(order.codes_E, codes_E, side="right") - first_E
        # Entry e meets the references' entries first_E[e], first_E[e] + 1, ... (met_E[e] of them).
        own_M = np.repeat(np.arange(len(codes_E)), met_E)
        step_M = np.arange(len(own_M)) - np.repeat(np.cumsum(met_E) - met_E, met_E)
        theirs_M = first_E[own_M] + step_M
        hyps_M, refs_M = hyps_E[own_M], order.references_E[theirs_M]
        gap_M = lengths_H[hyps_M] - self._ngrams.lengths_C[refs_M]
        product_M = np.minimum(weights_E[own_M], order.weights_E[theirs_M])
        product_M *= order.weights_E[theirs_M] / order.norms_R[refs_M]
        product_M *= np.exp(-(gap_M**2) / (2 * SIGMA**2))
        summed_H = np.bincount(hyps_M, weights=product_M, minlength=len(videos_H))
        result: Floats = summed_H / norms_H
        return result


def best_constant(
    candidates: Iterable[str] | None,
    references: Sequence[Sequence[str]],
    cider: CiderD,
    *,
    top: int = 20,
) -> tuple[str, float]:
    """Find the floor: the one sentence that, said of every video, has the best CIDEr.

    CIDEr is a mean over the references of a
    video, so a floor may be set beside a score only where both have the same number of references.

    Args:
        candidates: tokenised training captions, parted by spaces; None to take the references' own
            most frequent ones, which flatters the floor a little: say so where it is shown.
        references: the tokenised references of each video.
        cider: made of the same references.
        top: how many of the most frequent captions are tried.

    Returns:
        The caption and its CIDEr.
    """
    given = candidates if candidates is not None else (text for refs in references for text in refs)
    frequent = [caption for caption, _ in Counter(given).most_common(top)]
    scores = [float(cider.score([text.split()] * cider.videos).mean()) for text in frequent]
    best = int(np.argmax(scores))
    return frequent[best], scores[best]


def _norms(captions_E: Ints, weights_E: Floats, captions: int) -> Floats:
    norms = np.sqrt(np.bincount(captions_E, weights=weights_E**2, minlength=captions))
    norms[norms == 0] = 1
    return norms


def _prepare(known: int, entries: Entries, videos_R: Ints) -> _Order:
    """Weigh the references' n-grams of one length and sort them by video."""
    grams_E, refs_E = entries.grams_E, entries.captions_E
    codes_E = videos_R[refs_E] * known + grams_E
    # Stable: within a video and n-gram, the references stay in order.
    order_E = np.argsort(codes_E, kind="stable")
    sorted_E = codes_E[order_E]
    # Of equal codes the first; np.unique would take several times as long.
    first_E = np.diff(sorted_E, prepend=-1) != 0
    in_videos_G = np.bincount(sorted_E[first_E] % max(1, known), minlength=known)
    idf_G = np.log(videos_R[-1] + 1) - np.log(np.maximum(1, in_videos_G))
    weights_E = entries.counts_E * idf_G[grams_E]
    return _Order(
        idf_G=idf_G,
        codes_E=sorted_E,
        references_E=refs_E[order_E],
        weights_E=weights_E[order_E],
        norms_R=_norms(refs_E, weights_E, len(videos_R)),
    )
