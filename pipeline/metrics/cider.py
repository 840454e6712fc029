"""CIDEr-D in numpy, for what is scored often: validation after every epoch, and floors.

Vedantam, Zitnick and Parikh 2015, https://arxiv.org/abs/1411.5726: n-grams of 1 to 4 words weighed
by tf-idf, clipped, with a Gaussian penalty on the length. Equal to pycocoevalcap's ``Cider``,
which prepares the references anew for every call; here that is done once.

Letters: V videos, R references, H hypotheses, P positions of words in captions, E entries (an
n-gram in a caption), G distinct n-grams, M matches (a hypothesis' entry met in a reference).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[str]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDERS = 4
"""N-grams of 1 to 4 words."""
SIGMA = 6.0
"""Width of the penalty on a difference in length, in words."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    """The references' n-grams of one length."""

    keys_G: Ints
    """The known n-grams, sorted: ``_join(number of the first n - 1 words, last word)``."""
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

    Raises:
        ValueError: there is no video, or a video has no reference.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        counts = [len(refs) for refs in references]
        if not counts or not all(counts):
            raise ValueError(
                f"CIDEr needs references for every video: {counts.count(0)} of {len(counts)} "
                f"videos have none"
            )
        self._counts_V = np.array(counts, dtype=np.int64)
        self._words: dict[str, int] = {}
        captions = [tokens for refs in references for tokens in refs]
        videos_R = np.repeat(np.arange(len(counts)), self._counts_V)
        self._lengths_R = _lengths(captions)
        numbers = [
            self._words.setdefault(word, len(self._words))
            for caption in captions
            for word in caption
        ]
        words_P, captions_P, left_P = _positions(captions, numbers)
        self._orders: list[_Order] = []
        grams_P = np.zeros_like(words_P)
        for order in range(1, ORDERS + 1):
            fits_P = left_P >= order
            keys = _join(grams_P, words_P, order)[fits_P]
            keys_G, grams = np.unique(keys, return_inverse=True)
            grams_P[fits_P] = grams
            self._orders.append(_prepare(keys_G, grams, captions_P[fits_P], videos_R))

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
        # Words that no reference has get numbers after the known ones.
        new: dict[str, int] = {}
        known = self._words
        numbers = [
            known[word] if word in known else len(known) + new.setdefault(word, len(new))
            for caption in hypotheses
            for word in caption
        ]
        words_P, captions_P, left_P = _positions(hypotheses, numbers)
        lengths_H = _lengths(hypotheses)
        total_H = np.zeros(len(hypotheses))
        grams_P = np.zeros_like(words_P)
        for order, known_grams in enumerate(self._orders, start=1):
            fits_P = left_P >= order
            keys = _join(grams_P, words_P, order)[fits_P]
            grams_P[fits_P] = _number(keys, known_grams.keys_G)
            entries = grams_P[fits_P], captions_P[fits_P]
            total_H += self._similarity(known_grams, *entries, videos_H, lengths_H)
        result: Floats = 10 * total_H / ORDERS / self._counts_V[videos_H]
        return result

    def _similarity(
        self, order: _Order, grams: Ints, captions: Ints, videos_H: Ints, lengths_H: Ints
    ) -> Floats:
        """Sum, for each hypothesis, the clipped cosines with the references of its video."""
        known = len(order.keys_G)
        grams_E, hyps_E, counts_E = _count(grams, captions)
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
        gap_M = lengths_H[hyps_M] - self._lengths_R[refs_M]
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


def one_against_rest(references: Sequence[Sequence[str]], seed: int) -> float | None:
    """Score a human: of each video, one caption drawn at random against the other references.

    The human has one reference fewer than a model scored on the same videos, and an idf without
    the captions drawn. With 20 references that hardly matters; with two or three, compare with a
    model scored on as many references instead.

    Args:
        references: the tokenised references of each video, as strings.
        seed: for the drawing.

    Returns:
        CIDEr, or None where a video has fewer than two references.
    """
    if any(len(refs) < 2 for refs in references):
        return None
    generator = np.random.default_rng(seed)
    drawn = [int(generator.integers(len(refs))) for refs in references]
    said = [refs[one].split() for refs, one in zip(references, drawn, strict=True)]
    rest = [
        [text.split() for i, text in enumerate(refs) if i != one]
        for refs, one in zip(references, drawn, strict=True)
    ]
    return float(CiderD(rest).score(said).mean())


def _positions(captions: Sequence[Tokens], numbers: list[int]) -> tuple[Ints, Ints, Ints]:
    """Return for each word its number, its caption, and the words left in it (itself included)."""
    lengths = _lengths(captions)
    captions_P = np.repeat(np.arange(len(captions)), lengths)
    left_P = np.repeat(np.cumsum(lengths), lengths) - np.arange(lengths.sum())
    return np.array(numbers, dtype=np.int64), captions_P, left_P


def _lengths(captions: Sequence[Tokens]) -> Ints:
    return np.fromiter(map(len, captions), dtype=np.int64, count=len(captions))


def _join(grams_P: Ints, words_P: Ints, order: int) -> Ints:
    """Return, for each position, one number for the n-gram that starts there."""
    last_P = np.zeros_like(words_P)
    last_P[: max(0, len(words_P) - order + 1)] = words_P[order - 1 :]
    return (grams_P << 32) | last_P if order > 1 else words_P


def _number(keys: Ints, keys_G: Ints) -> Ints:
    """Number n-grams: the known ones by their place in ``keys_G``, the others after them."""
    if not len(keys_G):
        return np.unique(keys, return_inverse=True)[1]
    place = np.minimum(np.searchsorted(keys_G, keys), len(keys_G) - 1)
    unknown = keys_G[place] != keys
    place[unknown] = len(keys_G) + np.unique(keys[unknown], return_inverse=True)[1]
    return place


def _count(grams: Ints, captions: Ints) -> tuple[Ints, Ints, Ints]:
    """Count each n-gram in each caption: n-gram, caption and count, sorted by caption."""
    size = int(grams.max(initial=0)) + 1
    codes_E, counts_E = np.unique(captions * size + grams, return_counts=True)
    return codes_E % size, codes_E // size, counts_E


def _norms(captions_E: Ints, weights_E: Floats, captions: int) -> Floats:
    norms = np.sqrt(np.bincount(captions_E, weights=weights_E**2, minlength=captions))
    norms[norms == 0] = 1
    return norms


def _prepare(keys_G: Ints, grams: Ints, captions: Ints, videos_R: Ints) -> _Order:
    """Weigh the references' n-grams of one length and sort them by video."""
    grams_E, refs_E, counts_E = _count(grams, captions)
    codes_E = videos_R[refs_E] * len(keys_G) + grams_E
    in_videos_G = np.bincount(np.unique(codes_E) % max(1, len(keys_G)), minlength=len(keys_G))
    idf_G = np.log(videos_R[-1] + 1) - np.log(np.maximum(1, in_videos_G))
    weights_E = counts_E * idf_G[grams_E]
    # Stable: within a video and n-gram, the references stay in order.
    order_E = np.argsort(codes_E, kind="stable")
    return _Order(
        keys_G=keys_G,
        idf_G=idf_G,
        codes_E=codes_E[order_E],
        references_E=refs_E[order_E],
        weights_E=weights_E[order_E],
        norms_R=_norms(refs_E, weights_E, len(videos_R)),
    )
