"""The two tasks as the training loop sees them: batches, loss, validation, answers.

B clips, T frames, D features a frame, K classes, L words, V words of the vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils.rnn import pad_sequence

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.search import Hypothesis, beam_search, greedy
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vocabulary import PAD, START, Vocabulary, tokenise
from reelscribe.pipeline.augment import Augment
from reelscribe.pipeline.loading import Shelf, pad
from reelscribe.pipeline.losses import balanced, soft_cross_entropy
from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.views import Views

VAL_CAPTIONS = 5
"""Captions a validation clip whose loss is taken; its CIDEr always has all of them."""

POOL = 50
"""Batches that are put by length together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One clip as a head sees it."""

    name: str = ""
    """The clip's id, for messages."""
    feats_TD: Tensor
    label: int = -1
    captions: tuple[str, ...] = ()
    group: str = ""
    """Clips of one source; a consensus is not tuned on a clip by its own source."""
    mirror: Example | None = None
    """The same clip with left and right exchanged, for training."""


def device() -> torch.device:
    """Return the device that heads are trained on: CUDA where there is one.

    ``REELSCRIBE_DEVICE``, which says what encodes, may name one GPU of several, or the CPU.
    """
    named = os.environ.get("REELSCRIBE_DEVICE", "")
    if named.endswith("cpu") or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device(named or "cuda")


def chunks(count: int, size: int, order: Tensor | None = None) -> Iterator[list[int]]:
    """Yield the numbers below ``count``, or ``order``, ``size`` at a time."""
    numbers = list(range(count)) if order is None else order.tolist()
    for first in range(0, count, size):
        yield numbers[first : first + size]


class ActionTask:
    """Name the action of a clip."""

    measure = "top1"

    def __init__(
        self,
        head: ActionHead,
        train: Sequence[Example],
        val: Sequence[Example],
        *,
        batch: int,
        label_smoothing: float = 0.0,
        augment: Augment | None = None,
        class_weights: str = "none",
        memory: float | None = None,
    ) -> None:
        self.device = device()
        self.head = head.to(self.device)
        self.shelf = Shelf.on(self.device, memory)
        self.train, self.val = train, val
        self.batch, self.label_smoothing = batch, label_smoothing
        self.augment = augment or Augment()
        self.weights_K: Tensor | None = None
        if class_weights == "balanced":
            labels = [example.label for example in train]
            self.weights_K = balanced(labels, head.classes).to(self.device)
        self.steps = -(-len(train) // batch)

    def batches(self, generator: torch.Generator) -> Iterator[list[Example]]:
        """Yield every training clip once."""
        order = torch.randperm(len(self.train), generator=generator)
        for numbers in chunks(len(self.train), self.batch, order):
            yield [self.train[i] for i in numbers]

    def names(self, batch: list[Example]) -> list[str]:
        """Return the ids of the clips."""
        return [example.name for example in batch]

    def loss(self, batch: list[Example]) -> Tensor:
        """Return the cross-entropy of the labels, of clips changed as ``augment`` says."""
        batch = [self._view(example) for example in batch]
        feats_BTD, lengths_B, truth_B = self._inputs(batch)
        targets_BK = one_hot(truth_B, self.head.classes).float()
        feats_BTD, lengths_B, targets_BK = self.augment(feats_BTD, lengths_B, targets_BK)
        return soft_cross_entropy(
            self.head(feats_BTD, lengths_B),
            targets_BK,
            weights_K=self.weights_K,
            label_smoothing=self.label_smoothing,
        )

    def validate(self) -> tuple[float, float]:
        """Return top-1 and cross-entropy."""
        right, loss = 0.0, 0.0
        for numbers in chunks(len(self.val), self.batch):
            feats_BTD, lengths_B, truth_B = self._inputs([self.val[i] for i in numbers])
            logits_BK = self.head(feats_BTD, lengths_B)
            right += float((logits_BK.argmax(1) == truth_B).sum())
            loss += float(cross_entropy(logits_BK, truth_B, reduction="sum"))
        return right / len(self.val), loss / len(self.val)

    def _inputs(self, batch: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
        feats_BTD, lengths_B = self.shelf.batch(batch)
        truth_B = torch.tensor([example.label for example in batch], device=self.device)
        return feats_BTD, lengths_B, truth_B

    def _view(self, example: Example) -> Example:
        """Return the clip or its mirror image, as likely as each other, where there are both."""
        mirror = example.mirror
        return example if mirror is None or float(torch.rand(())) < 0.5 else mirror


Pair = tuple[Example, Tensor]
"""A clip, and the words of one of its captions (L)."""


class CaptionTask:
    """Say in a sentence what a clip shows. An example is a pair of clip and caption."""

    measure = "CIDEr"

    def __init__(
        self,
        head: Teller,
        train: Sequence[Example],
        val: Sequence[Example],
        vocabulary: Vocabulary,
        *,
        batch: int,
        max_words: int,
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
        by_length: bool = False,
        memory: float | None = None,
    ) -> None:
        self.device = device()
        self.head = head.to(self.device)
        self.shelf = Shelf.on(self.device, memory)
        self.train, self.val = train, val
        self.scheduled_sampling, self.by_length = scheduled_sampling, by_length
        self.vocabulary, self.max_words = vocabulary, max_words
        self.batch, self.label_smoothing = batch, label_smoothing
        self.pairs = self._pairs(train)
        self.val_pairs = self._pairs(val, VAL_CAPTIONS)
        self.cider = CiderD([[tokenise(text) for text in clip.captions] for clip in val])
        self.steps = -(-len(self.pairs) // batch)

    def batches(self, generator: torch.Generator) -> Iterator[list[Pair]]:
        """Yield every pair of a training clip and one of its captions once.

        With ``by_length`` the pairs are shuffled, put by length within POOL batches, and these
        batches shuffled: less is read and written that pads a short caption beside a long one.
        """
        order = torch.randperm(len(self.pairs), generator=generator)
        pool = self.batch * POOL if self.by_length else self.batch
        for numbers in chunks(len(self.pairs), pool, order):
            if self.by_length:
                numbers.sort(key=lambda i: len(self.pairs[i][1]))
            batches = list(chunks(len(numbers), self.batch))
            for which in torch.randperm(len(batches), generator=generator).tolist():
                yield [self.pairs[numbers[i]] for i in batches[which]]

    def names(self, batch: list[Pair]) -> list[str]:
        """Return the ids of the clips."""
        return [clip.name for clip, _ in batch]

    def loss(self, batch: list[Pair]) -> Tensor:
        """Return the cross-entropy a word, given the true words up to it.

        With ``scheduled_sampling`` some of these are the head's own instead (Bengio et al. 2015,
        https://arxiv.org/abs/1506.03099), drawn in a pass before (Mihaylova and Martins 2019,
        https://arxiv.org/abs/1906.07651).
        """
        feats_BTD, lengths_B = self.shelf.batch([clip for clip, _ in batch])
        words_BL = pad_sequence(
            [words_L for _, words_L in batch], batch_first=True, padding_value=PAD
        ).to(self.device)
        read_BL = words_BL[:, :-1]
        if self.scheduled_sampling and self.head.training:
            read_BL = self._own(feats_BTD, lengths_B, read_BL)
        logits_BLV = self.head(feats_BTD, lengths_B, read_BL)
        return cross_entropy(
            logits_BLV.flatten(0, 1),
            words_BL[:, 1:].flatten(),
            ignore_index=PAD,
            label_smoothing=self.label_smoothing if self.head.training else 0.0,
        )

    @torch.no_grad()
    def _own(self, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> Tensor:
        """Return the words with a share of them replaced by what the head would have written."""
        logits_BLV = self.head(feats_BTD, lengths_B, words_BL)
        logits_BLV[..., [PAD, START]] = -torch.inf
        own_BL = torch.multinomial(logits_BLV.softmax(2).flatten(0, 1), 1).view(words_BL.shape)
        # The word at l + 1 is foretold at l. START stays, and so does what pads a caption.
        own_BL = torch.cat((words_BL[:, :1], own_BL[:, :-1]), dim=1)
        kept_BL = torch.rand(words_BL.shape, device=words_BL.device) >= self.scheduled_sampling
        return torch.where(kept_BL | (words_BL == PAD), words_BL, own_BL)

    def validate(self) -> tuple[float, float]:
        """Return CIDEr-D of the greedy captions against all references, and the loss a word."""
        loss = 0.0
        for numbers in chunks(len(self.val_pairs), self.batch):
            loss += float(self.loss([self.val_pairs[i] for i in numbers])) * len(numbers)
        best = captions(self.head, Views(self.val), beam=1, max_words=self.max_words)
        said = [tokenise(self.vocabulary.decode(found.words)) for found in best]
        return float(self.cider.score(said).mean()), loss / len(self.val_pairs)

    def _pairs(self, clips: Sequence[Example], at_most: int | None = None) -> list[Pair]:
        return [
            (clip, torch.tensor(self.vocabulary.encode(text, self.max_words)))
            for clip in clips
            for text in clip.captions[:at_most]
        ]


def captions(head: Teller, feats: Sequence[Tensor], **search: Any) -> list[Hypothesis]:
    """Return the best hypothesis of each clip; ``search`` as :func:`hypotheses` takes it."""
    return [best for best, *_ in hypotheses(head, feats, **search)]


@torch.inference_mode()
def hypotheses(
    head: Teller,
    feats: Sequence[Tensor],
    *,
    beam: int,
    max_words: int,
    length_penalty: float = 0.7,
    no_repeat: int = 0,
    n_best: int = 1,
    batch: int = 64,
) -> list[list[Hypothesis]]:
    """Return the ``n_best`` hypotheses of each clip, the best first."""
    where = next(head.parameters()).device
    found: list[list[Hypothesis]] = []
    for numbers in chunks(len(feats), batch):
        feats_BTD, lengths_B = pad([feats[i] for i in numbers], where)
        if beam == 1:
            alone = greedy(head, feats_BTD, lengths_B, max_words=max_words, no_repeat=no_repeat)
            found += [[one] for one in alone]
            continue
        found += beam_search(
            head,
            feats_BTD,
            lengths_B,
            beam=beam,
            max_words=max_words,
            length_penalty=length_penalty,
            n_best=n_best,
            no_repeat=no_repeat,
        )
    return found
