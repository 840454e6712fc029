"""Greedy and beam search, against every caption there is where the vocabulary is tiny."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from reelscribe.decoders import CELLS
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.search import Hypothesis, beam_search, greedy
from reelscribe.decoders.vocabulary import END, PAD, START, UNKNOWN

FEATS = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([5, 1, 3, 4])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(words: int = 7, *, seed: int = 0, cell: str = "lstm", sharp: float = 4.0) -> CaptionHead:
    """A new head, its opinions sharpened: nearly even ones would make every search agree."""
    torch.manual_seed(seed)
    head = CaptionHead(dim=6, words=words, cell=cell, hidden=8, embed=5).eval()
    with torch.no_grad():
        head.say.weight.mul_(sharp)
        head.embed.weight.mul_(sharp)
        head.project.weight.mul_(sharp)
        head.first_hidden.weight.mul_(sharp)
    return head


@torch.no_grad()
def logprob_of(head: CaptionHead, clip: int, words: tuple[int, ...]) -> float:
    """The log-probability of a caption and its end, by teacher forcing."""
    words_BL = torch.tensor([[START, *words]])
    logits_BLV = head(FEATS[clip : clip + 1], LENGTHS[clip : clip + 1], words_BL)
    targets = torch.tensor([*words, END])
    logprobs_L = logits_BLV[0].log_softmax(dim=1)[torch.arange(len(targets)), targets]
    return float(logprobs_L.sum())


def same(one: Hypothesis, other: Hypothesis) -> bool:
    return one.words == other.words and abs(one.logprob - other.logprob) < 1e-5


class Chain(NamedTuple):
    """A state with nothing in it but the clip's frames: the next word depends on the last alone."""

    frames_BT: Tensor

    def select(self, rows_N: Tensor) -> Chain:
        """Return the given rows."""
        return Chain(self.frames_BT[rows_N])


class Markov:
    """A writer whose probabilities are written down in the test."""

    training = False

    def __init__(self, table: dict[int, dict[int, float]], words: int) -> None:
        self.table_VV = torch.full((words, words), -torch.inf)
        for before, row in table.items():
            for after, probability in row.items():
                self.table_VV[before, after] = math.log(probability)

    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> Chain:
        """Return the first feature of each frame."""
        return Chain(feats_BTD[:, :, 0])

    def step(self, words_B: Tensor, state: Chain) -> tuple[Tensor, Chain, Tensor]:
        """Look the last word up."""
        return self.table_VV[words_B], state, state.frames_BT.softmax(dim=1)


A, B, C = 4, 5, 6
# Greedy takes A (0.6) and then has to share: A C is 0.6 * 0.4. B C is 0.4 * 0.9, and likelier.
GARDEN_PATH = Markov(
    {
        START: {A: 0.6, B: 0.4},
        A: {A: 0.3, B: 0.3, C: 0.4},
        B: {C: 0.9, END: 0.1},
        C: {END: 1.0},
    },
    words=7,
)


def test_a_beam_finds_what_greedy_misses() -> None:
    one = FEATS[:1], LENGTHS[:1]
    [first] = greedy(GARDEN_PATH, *one, max_words=5)
    assert first.words == (A, C)
    assert first.logprob == pytest.approx(math.log(0.6 * 0.4))
    [[best, second]] = beam_search(GARDEN_PATH, *one, beam=2, max_words=5, n_best=2)
    assert best.words == (B, C)
    assert best.logprob == pytest.approx(math.log(0.4 * 0.9))
    assert best.score(1.0) == pytest.approx(math.log(0.4 * 0.9) / 3)
    assert best.score(0.0) == best.logprob
    assert second == first


def test_length_penalty_chooses_between_short_and_long() -> None:
    """B alone is 0.5 * 0.5 = 0.25; A C C is 0.5 * 0.7 * 0.7 * 0.7 = 0.17, but over four places."""
    writer = Markov(
        {START: {A: 0.5, B: 0.5}, B: {END: 0.5, UNKNOWN: 0.5}, A: {C: 0.7}, C: {C: 0.7, END: 0.7}},
        words=7,
    )
    chosen = {
        penalty: beam_search(
            writer, FEATS[:1], LENGTHS[:1], beam=6, max_words=3, length_penalty=penalty
        )[0][0].words
        for penalty in (0.0, 1.0)
    }
    assert chosen == {0.0: (B,), 1.0: (A, C, C)}


def test_specials_are_never_written_even_where_they_are_likeliest() -> None:
    row = {PAD: 0.3, START: 0.3, UNKNOWN: 0.3, A: 0.06, END: 0.04}
    writer = Markov({START: row, A: row}, words=7)
    [first] = greedy(writer, FEATS[:1], LENGTHS[:1], max_words=3)
    assert first.words == (A, A, A)
    assert first.logprob == pytest.approx(math.log(0.06**3 * 0.04))
    for hypothesis in beam_search(writer, FEATS[:1], LENGTHS[:1], beam=3, max_words=3, n_best=3)[0]:
        assert set(hypothesis.words) == {A}


def test_there_is_always_a_word_and_never_more_than_allowed() -> None:
    eager = Markov({START: {END: 0.99, A: 0.01}, A: {END: 1.0}}, words=7)
    endless = Markov({START: {A: 1.0}, A: {A: 0.999, END: 0.001}}, words=7)
    for writer, words in ((eager, (A,)), (endless, (A, A, A, A))):
        [first] = greedy(writer, FEATS[:1], LENGTHS[:1], max_words=4)
        [[best]] = beam_search(writer, FEATS[:1], LENGTHS[:1], beam=3, max_words=4)
        assert first.words == best.words == words


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_a_wide_beam_agrees_with_trying_every_caption(seed: int, penalty: float) -> None:
    """Words 4, 5, 6 and at most 3 of them: 3 + 9 + 27 captions; a beam of 39 drops none."""
    head = make(seed=seed)
    captions = [c for n in (1, 2, 3) for c in itertools.product((4, 5, 6), repeat=n)]
    assert len(captions) == 39
    found = beam_search(
        head, FEATS, LENGTHS, beam=39, max_words=3, length_penalty=penalty, n_best=39
    )
    for clip, hypotheses in enumerate(found):
        every = [
            Hypothesis(words=c, logprob=logprob_of(head, clip, c), attention=()) for c in captions
        ]
        every.sort(key=lambda one: one.score(penalty), reverse=True)
        assert len(hypotheses) == 39
        assert all(same(one, other) for one, other in zip(hypotheses, every, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_a_beam_of_one_is_greedy(cell: str) -> None:
    head = make(12, cell=cell)
    first = greedy(head, FEATS, LENGTHS, max_words=8)
    ones = beam_search(head, FEATS, LENGTHS, beam=1, max_words=8)
    assert all(same(one, other) for one, [other] in zip(first, ones, strict=True))
    assert len({one.words for one in first}) > 1, "the same for every clip proves little"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beam", [2, 3, 5])
def test_the_chosen_caption_never_scores_below_greedys(seed: int, beam: int) -> None:
    """Kamino666/Video-Captioning-Transformer users saw beams score below greedy."""
    head = make(30, seed=seed, sharp=6.0)
    first = greedy(head, FEATS, LENGTHS, max_words=10)
    for penalty in (0.0, 1.0):
        best = beam_search(head, FEATS, LENGTHS, beam=beam, max_words=10, length_penalty=penalty)
        for one, [other] in zip(first, best, strict=True):
            assert other.score(penalty) >= one.score(penalty)


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_is_the_same_as_one_by_one(cell: str) -> None:
    head = make(12, cell=cell)
    batch = beam_search(head, FEATS, LENGTHS, beam=3, max_words=8, n_best=3)
    for clip, length in enumerate(LENGTHS.tolist()):
        [alone] = beam_search(
            head,
            FEATS[clip : clip + 1, :length],
            LENGTHS[clip : clip + 1],
            beam=3,
            max_words=8,
            n_best=3,
        )
        assert all(same(one, other) for one, other in zip(batch[clip], alone, strict=True))


def test_logprob_is_the_models_own() -> None:
    head = make(12)
    found = beam_search(head, FEATS, LENGTHS, beam=4, max_words=6, n_best=4)
    for clip, hypotheses in enumerate(found):
        assert len({one.words for one in hypotheses}) == 4
        scores = [one.score(1.0) for one in hypotheses]
        assert scores == sorted(scores, reverse=True)
        for one in hypotheses:
            assert one.logprob == pytest.approx(logprob_of(head, clip, one.words), abs=1e-5)


def test_each_word_comes_with_its_attention_over_the_clips_own_frames() -> None:
    head = make(12)
    found = beam_search(head, FEATS, LENGTHS, beam=3, max_words=6)
    both = zip(found, greedy(head, FEATS, LENGTHS, max_words=6), LENGTHS.tolist(), strict=True)
    for [best], first, frames in both:
        for one in (best, first):
            assert len(one.attention) == len(one.words)
            for weights in one.attention:
                assert len(weights) == frames
                assert sum(weights) == pytest.approx(1.0, abs=1e-5)


def test_attention_follows_its_own_sentence() -> None:
    """Beams change places as they grow; replaying the words must give the same weights."""
    head = make(12)
    [best] = beam_search(head, FEATS[:1], LENGTHS[:1], beam=4, max_words=6)[0]
    with torch.no_grad():
        state = head.begin(FEATS[:1], LENGTHS[:1])
        for before, weights in zip((START, *best.words), best.attention, strict=False):
            _, state, attention_BT = head.step(torch.tensor([before]), state)
            assert attention_BT[0].tolist() == pytest.approx(weights, abs=1e-6)


def test_twice_is_the_same() -> None:
    head = make(12)
    runs = [beam_search(head, FEATS, LENGTHS, beam=3, max_words=8) for _ in range(2)]
    assert runs[0] == runs[1]


def test_refuses_settings_without_sense() -> None:
    head = make()
    with pytest.raises(ValueError, match="beam must be at least 1, got 0"):
        beam_search(head, FEATS, LENGTHS, beam=0, max_words=3)
    with pytest.raises(ValueError, match="max_words must be at least 1, got 0"):
        greedy(head, FEATS, LENGTHS, max_words=0)
    with pytest.raises(ValueError, match="n_best must be within 1 and the beam's 2, got 3"):
        beam_search(head, FEATS, LENGTHS, beam=2, max_words=3, n_best=3)
    with pytest.raises(ValueError, match=r"1 to 5 frames, got lengths \[0, 1, 3, 4\]"):
        greedy(head, FEATS, torch.tensor([0, 1, 3, 4]), max_words=3)
    with pytest.raises(AssertionError, match=r"call head.eval\(\) first"):
        greedy(head.train(), FEATS, LENGTHS, max_words=3)


def runs(words: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    return [words[i : i + size] for i in range(len(words) - size + 1)]


def test_no_run_of_words_comes_twice() -> None:
    """A B A B ... is all this writer knows; with pairs forbidden it has A B A and must end."""
    writer = Markov({START: {A: 1.0}, A: {B: 0.9, END: 0.1}, B: {A: 0.9, END: 0.1}}, words=7)
    one = FEATS[:1], LENGTHS[:1]
    written = {
        size: greedy(writer, *one, max_words=6, no_repeat=size)[0].words for size in (0, 1, 2, 3)
    }
    assert written == {0: (A, B, A, B, A, B), 1: (A, B), 2: (A, B, A), 3: (A, B, A, B)}
    [[best, *_]] = beam_search(writer, *one, beam=3, max_words=6, no_repeat=2, length_penalty=0.0)
    assert len(set(runs(best.words, 2))) == len(runs(best.words, 2))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_wide_beam_without_repeats_agrees_with_trying_every_caption(size: int) -> None:
    head = make(6, seed=1)
    [[best, *_]] = beam_search(
        head, FEATS[:1], LENGTHS[:1], beam=64, max_words=4, length_penalty=0.7, no_repeat=size
    )
    every = [
        words
        for length in range(1, 5)
        for words in itertools.product((4, 5), repeat=length)
        if len(set(runs(words, size))) == len(runs(words, size))
    ]
    truth = max(every, key=lambda words: logprob_of(head, 0, words) / (len(words) + 1) ** 0.7)
    assert best.words == truth
    assert best.logprob == pytest.approx(logprob_of(head, 0, truth), abs=1e-4)


def test_a_repeat_is_a_number_of_words() -> None:
    with pytest.raises(ValueError, match=r"^no_repeat is a number of words.*; got -1$"):
        greedy(GARDEN_PATH, FEATS[:1], LENGTHS[:1], max_words=3, no_repeat=-1)
