"""Greedy and beam search: from a head that gives the next word's probability to whole captions.

Every hypothesis is a whole sentence: it has at least one word and at most ``max_words``, and the
probability of its end is part of its own. PAD, START and UNKNOWN are never chosen.

Shapes: B clips, N sentences being written (one or more a clip), T frames, D features a frame,
V words of the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from reelscribe.decoders.vocabulary import END, PAD, START, UNKNOWN


class Selectable(Protocol):
    """A head's state: rows, one a sentence, that can be chosen and repeated."""

    def select(self, rows_N: Tensor) -> Self:
        """Return the given rows in the given order."""


S = TypeVar("S", bound=Selectable)


class Writer(Protocol[S]):
    """What the search asks of a head."""

    training: bool

    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> S:
        """Return the state before the first word."""

    def step(self, words_B: Tensor, state: S) -> tuple[Tensor, S, Tensor]:
        """Return logprobs_BV of the next word, the new state, attention_BT."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One caption that a head might write."""

    words: tuple[int, ...]
    """Ids in the vocabulary, without START and END."""
    logprob: float
    """The natural logarithm of the whole caption's probability, its END included."""
    attention: tuple[tuple[float, ...], ...]
    """For each word, the weight of each of the clip's frames when it was chosen."""

    def score(self, length_penalty: float) -> float:
        """Return ``logprob`` over (words + 1) to the power of ``length_penalty``.

        0 prefers short captions, as probability does; 1 is the mean of a word's log-probability.
        """
        return float(self.logprob / (len(self.words) + 1) ** length_penalty)


@torch.inference_mode()
def greedy(
    head: Writer[S],
    feats_BTD: Tensor,
    lengths_B: Tensor,
    *,
    max_words: int,
    no_repeat: int = 0,
) -> list[Hypothesis]:
    """Write each clip's caption by taking the likeliest word at every place.

    ``no_repeat``: no so many words in a row come twice in a caption; 0 lets all repeat.

    Raises:
        ValueError: ``max_words`` is below 1, ``no_repeat`` below 0, or the features do not fit.
    """
    _check(head, max_words=max_words, no_repeat=no_repeat)
    state = head.begin(feats_BTD, lengths_B)
    words_B = torch.full((len(feats_BTD),), START, device=feats_BTD.device)
    frames = lengths_B.tolist()
    written = [_Sentence(clip=clip) for clip in range(len(frames))]
    done: dict[int, Hypothesis] = {}
    for place in range(max_words + 1):
        logprobs_BV, state, attention_BT = head.step(words_B, state)
        allowed_BV = _new(_allowed(logprobs_BV, place, max_words), written, no_repeat)
        best_B, words_B = allowed_BV.max(dim=1)
        rows = zip(written, best_B.tolist(), words_B.tolist(), attention_BT.tolist(), strict=True)
        for sentence, logprob, word, attention in list(rows):
            clip = sentence.clip
            if word == END and clip not in done:
                done[clip] = sentence.end(logprob)
            written[clip] = sentence.add(logprob, word, attention[: frames[clip]])
        if len(done) == len(written):
            break
    return [done[clip] for clip in range(len(frames))]


@torch.inference_mode()
def beam_search(
    head: Writer[S],
    feats_BTD: Tensor,
    lengths_B: Tensor,
    *,
    beam: int,
    max_words: int,
    length_penalty: float = 1.0,
    n_best: int = 1,
    no_repeat: int = 0,
) -> list[list[Hypothesis]]:
    """Write each clip's ``n_best`` captions, best score first, following ``beam`` at a time.

    A clip is done when it has ``beam`` whole captions. The greedy caption is always among the
    candidates: what is chosen never scores below it. Where a vocabulary has fewer captions to
    offer than ``n_best``, there are fewer. ``no_repeat`` is as in :func:`greedy`.

    Raises:
        ValueError: a setting makes no sense, or the features do not fit the head.
    """
    _check(head, max_words=max_words, beam=beam, no_repeat=no_repeat)
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best must be within 1 and the beam's {beam}, got {n_best}")
    first = greedy(head, feats_BTD, lengths_B, max_words=max_words, no_repeat=no_repeat)
    found = [[one] for one in first]
    state = head.begin(feats_BTD, lengths_B)
    frames = lengths_B.tolist()
    live = [_Sentence(clip=clip) for clip in range(len(frames))]
    ended = [0 for _ in live]
    for place in range(max_words + 1):
        last_N = torch.tensor([sentence.last for sentence in live], device=feats_BTD.device)
        logprobs_NV, state, attention_NT = head.step(last_N, state)
        attentions = attention_NT.tolist()
        parents, grown = [], []
        allowed_NV = _new(_allowed(logprobs_NV, place, max_words), live, no_repeat)
        for clip, steps in _best_steps(allowed_NV, live, beam).items():
            whole, going = _part(steps, beam)
            found[clip] += [live[row].end(logprob) for row, logprob, _ in whole]
            ended[clip] += len(whole)
            if ended[clip] >= beam:
                continue
            for row, logprob, word in going:
                parents.append(row)
                grown.append(live[row].add(logprob, word, attentions[row][: frames[clip]]))
        if not grown:
            break
        live, state = grown, state.select(torch.tensor(parents, device=feats_BTD.device))
    return [_ranked(hypotheses, length_penalty)[:n_best] for hypotheses in found]


@torch.no_grad()
def sample(
    head: Writer[S],
    feats_BTD: Tensor,
    lengths_B: Tensor,
    *,
    max_words: int,
    temperature: float = 1.0,
) -> list[list[int]]:
    """Draw one caption a clip, each word by its probability; torch's global stream decides.

    Below 1 the ``temperature`` that logits are divided by makes the likely likelier, above 1 less
    so. Return the words of each, without START and END.

    Raises:
        ValueError: ``max_words`` is below 1, ``temperature`` is not above 0, or the features do
            not fit the head.
    """
    _check(head, max_words=max_words)
    if not temperature > 0:
        raise ValueError(f"temperature must be more than 0, got {temperature}")
    state = head.begin(feats_BTD, lengths_B)
    words_B = torch.full((len(feats_BTD),), START, device=feats_BTD.device)
    places: list[list[int]] = []
    ended_B = torch.zeros(len(feats_BTD), dtype=torch.bool, device=feats_BTD.device)
    for place in range(max_words):
        logprobs_BV, state, _ = head.step(words_B, state)
        chances_BV = (_allowed(logprobs_BV, place, max_words) / temperature).softmax(dim=1)
        words_B = torch.multinomial(chances_BV, 1)[:, 0].masked_fill(ended_B, END)
        ended_B = words_B == END
        places.append(words_B.tolist())
        if bool(ended_B.all()):
            break
    return [[word for word in words if word != END] for words in zip(*places, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    """A caption while it is being written."""

    clip: int
    words: tuple[int, ...] = ()
    logprob: float = 0.0
    attention: tuple[tuple[float, ...], ...] = ()

    @property
    def last(self) -> int:
        return self.words[-1] if self.words else START

    def add(self, logprob: float, word: int, attention: list[float]) -> _Sentence:
        return _Sentence(
            clip=self.clip,
            words=(*self.words, word),
            logprob=self.logprob + logprob,
            attention=(*self.attention, tuple(attention)),
        )

    def end(self, logprob: float) -> Hypothesis:
        return Hypothesis(
            words=self.words, logprob=self.logprob + logprob, attention=self.attention
        )


_Step = tuple[int, float, int]
"""The row of a live sentence, the log-probability of one more word, the word."""


def _best_steps(
    logprobs_NV: Tensor, live: Sequence[_Sentence], beam: int
) -> dict[int, list[_Step]]:
    """Return, for each clip still being written, its likeliest steps: up to twice the beam."""
    # Of one sentence no more are needed: as many words as there are beams, and its end.
    best_NK, words_NK = logprobs_NV.topk(min(beam + 1, logprobs_NV.shape[1]), dim=1)
    steps: dict[int, list[_Step]] = {sentence.clip: [] for sentence in live}
    rows = zip(live, best_NK.tolist(), words_NK.tolist(), strict=True)
    for row, (sentence, best, words) in enumerate(rows):
        steps[sentence.clip] += [
            (row, logprob, word)
            for logprob, word in zip(best, words, strict=True)
            if logprob > -math.inf
        ]
    for clip in steps:
        steps[clip].sort(key=lambda step: live[step[0]].logprob + step[1], reverse=True)
        del steps[clip][2 * beam :]
    return steps


def _part(steps: list[_Step], beam: int) -> tuple[list[_Step], list[_Step]]:
    """Return the steps that end a sentence and those that go on, ``beam`` of these at most.

    An end counts where it is among the ``beam`` likeliest steps, as a word would.
    """
    whole = [step for step in steps[:beam] if step[2] == END]
    going = [step for step in steps if step[2] != END]
    return whole, going[:beam]


def _ranked(hypotheses: list[Hypothesis], length_penalty: float) -> list[Hypothesis]:
    """Return the hypotheses by score, each sentence once."""
    once = {hypothesis.words: hypothesis for hypothesis in reversed(hypotheses)}
    return sorted(once.values(), key=lambda one: (-one.score(length_penalty), one.words))


def _allowed(logprobs_NV: Tensor, place: int, max_words: int) -> Tensor:
    """Return the log-probabilities with -inf for what may not stand at this place."""
    allowed_NV = logprobs_NV.clone()
    allowed_NV[:, [PAD, START, UNKNOWN]] = -torch.inf
    if place == 0:
        allowed_NV[:, END] = -torch.inf
    if place == max_words:
        allowed_NV[:, END + 1 :] = -torch.inf
    return allowed_NV


def _new(allowed_NV: Tensor, sentences: Sequence[_Sentence], no_repeat: int) -> Tensor:
    """Set to -inf each word that would end a run of ``no_repeat`` words that is there already."""
    if not no_repeat:
        return allowed_NV
    for row, sentence in enumerate(sentences):
        words = sentence.words
        start = len(words) - no_repeat + 1
        runs = range(max(start, 0))  # Where an earlier run of as many words, less one, may begin.
        tail = words[start:]
        said = {words[i + no_repeat - 1] for i in runs if words[i : i + no_repeat - 1] == tail}
        allowed_NV[row, list(said - {END})] = -torch.inf
    return allowed_NV


def _check(head: Writer[S], *, max_words: int, beam: int = 1, no_repeat: int = 0) -> None:
    for name, value in (("max_words", max_words), ("beam", beam)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if no_repeat < 0:
        raise ValueError(f"no_repeat is a number of words, or 0 for none; got {no_repeat}")
    assert not head.training, "dropout would make every search another: call head.eval() first"
