"""What every family of caption heads has: a norm, what it recalls, and the three ways to ask it.

Shapes: B clips or sentences, T frames, D features a frame, L words, V words of the vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypedDict

from torch import Tensor, nn

from reelscribe.decoders import FAMILIES
from reelscribe.decoders.recall import Recall
from reelscribe.decoders.side import create_inputs
from reelscribe.decoders.vocabulary import SPECIALS


class Given(TypedDict, total=False):
    """Settings of what a head is given, the same for all families; left out, as Teller has them."""

    norm: str
    consensus: bool
    side: Mapping[str, Any] | None


class Teller(nn.Module, ABC):
    """Features (B, T, D) in, sentences out: ``forward`` trains, ``begin`` and ``step`` write."""

    embed: nn.Embedding
    """What stands for each word of the vocabulary; every family has one."""

    def __init__(
        self,
        *,
        dim: int,
        words: int,
        embed: int,
        dropout: float,
        norm: str = "layer",
        consensus: bool = False,
        side: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if words <= len(SPECIALS):
            raise ValueError(
                f"a vocabulary has {len(SPECIALS)} special words and at least one more, got {words}"
            )
        if embed < 1:
            raise ValueError(f"embed must be at least 1, got {embed}")
        self.dim, self.words = dim, words
        self.dropout = nn.Dropout(dropout)
        self.norm = create_inputs(norm, dim, side)
        self.recall = Recall(dim) if consensus else None

    def measure(self, feats: Sequence[Tensor], captions: Sequence[Sequence[str]]) -> None:
        """Look at the training clips, (T, D) each, and their captions before the training.

        The norm takes from them what it must know; a head with ``consensus`` keeps them.
        """
        self.norm.measure(feats)
        if self.recall is not None:
            self.recall.learn(feats, captions)

    @abstractmethod
    def forward(self, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> Tensor:
        """Return logits_BLV: those at l are for word l + 1, given the true words up to l.

        ``words_BL`` begins with START and is filled up with PAD.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """

    @abstractmethod
    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> Any:
        """Read the clips; return the state before the first word.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """

    @abstractmethod
    def step(self, words_B: Tensor, state: Any) -> tuple[Tensor, Any, Tensor]:
        """Take one more word; return logprobs_BV of the next, the new state, attention_BT."""


def refuse_words(words_BL: Tensor, clips: int) -> None:
    """Raise where there is not one row of one word or more for each clip.

    Raises:
        ValueError: says what was expected.
    """
    if words_BL.ndim != 2 or len(words_BL) != clips or words_BL.shape[1] < 1:
        raise ValueError(
            f"expected words ({clips} captions, 1 or more words), got {tuple(words_BL.shape)}"
        )


def create_teller(*, family: str = "attention", **settings: Any) -> Teller:
    """Build the caption head that a config calls ``head.family``.

    Raises:
        ValueError: no family has that name, or a setting makes no sense.
    """
    if family not in FAMILIES:
        near = get_close_matches(family, FAMILIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no family {family!r}; there are: {', '.join(FAMILIES)}{hint}")
    module, _, attribute = FAMILIES[family].partition(":")
    teller: Teller = getattr(import_module(module), attribute)(**settings)
    return teller
