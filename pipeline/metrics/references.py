"""References made ready once for all that is scored against them, and kept by their content.

Reads and writes no file. Tokenising and counting the 59,800 references of the MSR-VTT test set
takes longer than all scoring but METEOR's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import accumulate

from reelscribe.pipeline.metrics.bleu import Bleu
from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.metrics.ngrams import Ngrams
from reelscribe.pipeline.metrics.tokenizer import tokenize

KEPT = 2
"""Sets of references that are kept; of more, the one longest not asked for goes. One of the size of
MSR-VTT's test split takes some 180 MB."""


class References:
    """The tokenised references of each video, and what the metrics make of them when asked.

    Args:
        texts: of each video, its references as tokens parted by spaces.
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.texts = tuple(map(tuple, texts))

    @cached_property
    def counts(self) -> list[int]:
        """How many references each video has."""
        return [len(refs) for refs in self.texts]

    @cached_property
    def ngrams(self) -> Ngrams:
        """The n-grams of all references."""
        return Ngrams([text.split() for refs in self.texts for text in refs])

    @cached_property
    def bleu(self) -> Bleu:
        """BLEU against these references."""
        return Bleu(self.counts, self.ngrams)

    @cached_property
    def cider(self) -> CiderD:
        """CIDEr-D against these references, with their idf."""
        return CiderD(self.texts, self.ngrams)


def prepare(captions: Sequence[Sequence[str]]) -> References:
    """Tokenise the references of each video, or take what an earlier call made of the same ones.

    Args:
        captions: of each video, its references as people wrote them.

    Raises:
        JavaError: the tokenizer could not run; the next call tries again.
    """
    return _prepare(tuple(map(tuple, captions)))


@lru_cache(maxsize=KEPT)
def _prepare(captions: tuple[tuple[str, ...], ...]) -> References:
    # All in one list, as pycocoevalcap does: the tokenizer looks past the end of a line.
    texts = tokenize([text for refs in captions for text in refs])
    ends = list(accumulate(map(len, captions)))
    return References(
        [texts[end - len(refs) : end] for end, refs in zip(ends, captions, strict=True)]
    )
