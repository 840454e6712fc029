"""N-grams of many captions as numbers: what BLEU and CIDEr-D count.

Reads and writes nothing. Letters: C captions, P positions of words in captions, E entries (an
n-gram in a caption, with its count), G distinct n-grams of one length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[str]
Ints = NDArray[np.int64]

ORDERS = 4
"""N-grams of 1 to 4 words."""


@dataclass(frozen=True, kw_only=True)
class Entries:
    """The n-grams of one length in some captions, sorted by caption."""

    grams_E: Ints
    """The number of the n-gram; those that the references lack come after the known ones."""
    captions_E: Ints
    """The caption that the entry is of."""
    counts_E: Ints
    """How often the caption has the n-gram."""


class Ngrams:
    """The n-grams of the references; others' captions are counted in the same numbers.

    Args:
        captions: tokens of each reference.
    """

    def __init__(self, captions: Sequence[Tokens]) -> None:
        self._words: dict[str, int] = {}
        self.lengths_C = lengths(captions)
        numbers = [
            self._words.setdefault(word, len(self._words))
            for caption in captions
            for word in caption
        ]
        words_P, captions_P, left_P = _positions(self.lengths_C, numbers)
        self.known: list[Ints] = []
        """Of each length, the n-grams G, sorted: _join(number of the first n - 1 words, last)."""
        self.entries: list[Entries] = []
        """Of each length, those of the references."""
        grams_P = np.zeros_like(words_P)
        for order in range(1, ORDERS + 1):
            fits_P = left_P >= order
            keys = _join(grams_P, words_P, order)[fits_P]
            keys_G, grams = np.unique(keys, return_inverse=True)
            grams_P[fits_P] = grams
            self.known.append(keys_G)
            self.entries.append(_count(grams, captions_P[fits_P]))

    def count(self, captions: Sequence[Tokens]) -> Iterator[Entries]:
        """Yield, for each length, the n-grams of other captions."""
        # Words that no reference has get numbers after the known ones.
        new: dict[str, int] = {}
        words = self._words
        numbers = [
            words[word] if word in words else len(words) + new.setdefault(word, len(new))
            for caption in captions
            for word in caption
        ]
        words_P, captions_P, left_P = _positions(lengths(captions), numbers)
        grams_P = np.zeros_like(words_P)
        for order, keys_G in enumerate(self.known, start=1):
            fits_P = left_P >= order
            keys = _join(grams_P, words_P, order)[fits_P]
            grams_P[fits_P] = _number(keys, keys_G)
            yield _count(grams_P[fits_P], captions_P[fits_P])


def lengths(captions: Sequence[Tokens]) -> Ints:
    """Return how many words each caption has."""
    return np.fromiter(map(len, captions), dtype=np.int64, count=len(captions))


def _positions(lengths_C: Ints, numbers: list[int]) -> tuple[Ints, Ints, Ints]:
    """Return for each word its number, its caption, and the words left in it (itself included)."""
    captions_P = np.repeat(np.arange(len(lengths_C)), lengths_C)
    left_P = np.repeat(np.cumsum(lengths_C), lengths_C) - np.arange(lengths_C.sum())
    return np.array(numbers, dtype=np.int64), captions_P, left_P


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


def _count(grams: Ints, captions: Ints) -> Entries:
    """Count each n-gram in each caption."""
    size = int(grams.max(initial=0)) + 1
    codes_E, counts_E = np.unique(captions * size + grams, return_counts=True)
    return Entries(grams_E=codes_E % size, captions_E=codes_E // size, counts_E=counts_E)
