"""The caption head, over every cell: learning, agreement of its two ways, padding, refusals."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from reelscribe.decoders import CELLS
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.search import beam_search, greedy
from reelscribe.decoders.vocabulary import END, PAD, START

DIM, WORDS = 10, 11
FEATS = torch.rand(3, 6, DIM, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 1, 4])
CAPTIONS = torch.tensor([[START, 4, 5, 6], [START, 7, PAD, PAD], [START, 8, 9, PAD]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(cell: str = "lstm", *, dropout: float = 0.0, bidirectional: bool = True) -> CaptionHead:
    torch.manual_seed(0)
    return CaptionHead(
        dim=DIM,
        words=WORDS,
        cell=cell,
        hidden=32,
        embed=16,
        bidirectional=bidirectional,
        dropout=dropout,
    ).eval()


def fit(head: CaptionHead, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> None:
    """Train on the one batch: enough to learn it by heart where that is possible."""
    head.train()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(80):
        optimiser.zero_grad()
        logits_BLV = head(feats_BTD, lengths_B, words_BL[:, :-1])
        loss = nn.functional.cross_entropy(
            logits_BLV.flatten(0, 1), words_BL[:, 1:].flatten(), ignore_index=PAD
        )
        torch.autograd.backward(loss)
        optimiser.step()
    head.eval()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_forward_and_step_agree(cell: str, bidirectional: bool) -> None:
    head = make(cell, bidirectional=bidirectional)
    logits_BLV = head(FEATS, LENGTHS, CAPTIONS)
    assert logits_BLV.shape == (3, 4, WORDS)
    state = head.begin(FEATS, LENGTHS)
    for place, words_B in enumerate(CAPTIONS.unbind(dim=1)):
        logprobs_BV, state, attention_BT = head.step(words_B, state)
        torch.testing.assert_close(
            logprobs_BV, logits_BLV[:, place].log_softmax(dim=1), atol=1e-5, rtol=0
        )
        assert attention_BT.shape == (3, 6)
        torch.testing.assert_close(attention_BT.sum(dim=1), torch.ones(3))
        assert (attention_BT[1, 1:] == 0).all()
        assert (attention_BT[2, 4:] == 0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_a_word_is_foretold_from_those_before_it(cell: str) -> None:
    head = make(cell)
    changed_BL = CAPTIONS.clone()
    changed_BL[:, 2] = 10
    before_BLV, after_BLV = head(FEATS, LENGTHS, CAPTIONS), head(FEATS, LENGTHS, changed_BL)
    assert torch.equal(before_BLV[:, :2], after_BLV[:, :2])
    assert ((before_BLV[:, 2:] - after_BLV[:, 2:]).abs().amax(dim=2) > 1e-5).all()


@pytest.mark.parametrize("cell", CELLS)
def test_a_clip_alone_and_in_a_batch_gets_the_same_logits(cell: str) -> None:
    head = make(cell)
    logits_BLV = head(FEATS, LENGTHS, CAPTIONS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone_BLV = head(
            FEATS[row : row + 1, :length], torch.tensor([length]), CAPTIONS[row : row + 1]
        )
        torch.testing.assert_close(alone_BLV[0], logits_BLV[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_read(cell: str) -> None:
    head = make(cell)
    spoilt_BTD = FEATS.clone()
    spoilt_BTD[1, 1:] = torch.nan
    spoilt_BTD[2, 4:] = 1e30
    assert torch.equal(head(FEATS, LENGTHS, CAPTIONS), head(spoilt_BTD, LENGTHS, CAPTIONS))


@pytest.mark.parametrize("cell", CELLS)
def test_learns_eight_captions_by_heart(cell: str) -> None:
    """Complaint 24 (vijayvee/video-captioning#17): one sentence for all. Here eight get eight."""
    head = make(cell)
    feats_BTD = torch.rand(8, 6, DIM)
    lengths_B = torch.tensor([6, 5, 4, 3, 2, 1, 6, 6])
    words_BL = torch.full((8, 7), PAD)
    words_BL[:, 0] = START
    captions = []
    for row in range(8):
        length = 1 + row % 5
        captions.append(tuple(4 + (row * 3 + place * (row + 1)) % 7 for place in range(length)))
        words_BL[row, 1 : length + 2] = torch.tensor([*captions[-1], END])
    assert len(set(captions)) == 8
    fit(head, feats_BTD, lengths_B, words_BL)
    assert [one.words for one in greedy(head, feats_BTD, lengths_B, max_words=6)] == captions
    best = beam_search(head, feats_BTD, lengths_B, beam=3, max_words=6)
    assert [one.words for [one] in best] == captions


@pytest.mark.parametrize("cell", CELLS)
def test_only_a_memory_tells_a_clip_from_its_reversal(cell: str) -> None:
    head = make(cell)
    feats_BTD = torch.cat((FEATS[:1], FEATS[:1].flip(1)))
    logits_BLV = head(feats_BTD, torch.tensor([6, 6]), CAPTIONS[:1].repeat(2, 1))
    difference = (logits_BLV[0] - logits_BLV[1]).abs().max().item()
    assert (difference < 1e-5) == (cell == "none")


def test_none_looks_at_all_frames_alike() -> None:
    head = make("none")
    _, _, attention_BT = head.step(torch.tensor([START] * 3), head.begin(FEATS, LENGTHS))
    assert attention_BT[0].tolist() == pytest.approx([1 / 6] * 6)
    assert attention_BT[1].tolist() == [1, 0, 0, 0, 0, 0]
    assert attention_BT[2].tolist() == [0.25] * 4 + [0, 0]


def test_the_attention_moves_from_word_to_word() -> None:
    head = make()
    state = head.begin(FEATS, LENGTHS)
    _, state, first_BT = head.step(torch.tensor([START] * 3), state)
    _, _, second_BT = head.step(torch.tensor([4] * 3), state)
    assert ((first_BT - second_BT).abs().amax(dim=1) > 1e-6).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("cell", "writer"),
    [
        ("rnn", nn.RNNCell),
        ("gru", nn.GRUCell),
        ("lstm", nn.LSTMCell),
        ("transformer", nn.LSTMCell),
        ("none", nn.LSTMCell),
    ],
)
def test_writes_with_the_kind_of_cell_it_reads_with(cell: str, writer: type[nn.Module]) -> None:
    head = make(cell)
    assert type(head.writer) is writer
    if isinstance(head.writer, nn.LSTMCell):
        both = head.writer.bias_ih + head.writer.bias_hh
        assert both.tolist() == [0.0] * 32 + [1.0] * 32 + [0.0] * 64


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_reaches_every_weight_and_frame(cell: str) -> None:
    head = make(cell)
    feats_BTD = FEATS.clone().requires_grad_()
    logits_BLV = head(feats_BTD, LENGTHS, CAPTIONS)
    (logits_BLV * torch.randn_like(logits_BLV)).sum().backward()
    assert feats_BTD.grad is not None
    reached_BT = (feats_BTD.grad != 0).any(dim=2)
    assert reached_BT.sum(dim=1).tolist() == LENGTHS.tolist()
    without = {name for name, parameter in head.named_parameters() if parameter.grad is None}
    attention = {"attend_key.weight", "attend_key.bias", "attend_query.weight"}
    unused = {
        "none": attention | {"attend_score.weight"},
        "rnn": {"first_memory.weight", "first_memory.bias"},
        "gru": {"first_memory.weight", "first_memory.bias"},
    }
    assert without == unused.get(cell, set())


def test_a_state_can_be_reordered_and_repeated() -> None:
    head = make()
    state = head.begin(FEATS, LENGTHS)
    logprobs_BV, _, _ = head.step(torch.tensor([4, 5, 6]), state)
    chosen = state.select(torch.tensor([2, 0, 2]))
    again_BV, _, _ = head.step(torch.tensor([6, 4, 6]), chosen)
    torch.testing.assert_close(again_BV, logprobs_BV[[2, 0, 2]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_head_travels(cell: str) -> None:
    head = make(cell)
    keys = {name for name, _ in head.named_parameters()}
    other = pickle.loads(pickle.dumps(head))
    assert torch.equal(other(FEATS, LENGTHS, CAPTIONS), head(FEATS, LENGTHS, CAPTIONS))
    assert set(head.state_dict()) == keys


def test_dropout_is_drawn_in_training_alone() -> None:
    head = make(dropout=0.5)
    assert torch.equal(head(FEATS, LENGTHS, CAPTIONS), head(FEATS, LENGTHS, CAPTIONS))
    head.train()
    assert not torch.equal(head(FEATS, LENGTHS, CAPTIONS), head(FEATS, LENGTHS, CAPTIONS))


def test_refuses_what_does_not_fit() -> None:
    head = make()
    with pytest.raises(ValueError, match=r"expected words \(3 captions.*got \(2, 4\)"):
        head(FEATS, LENGTHS, CAPTIONS[:2])
    with pytest.raises(ValueError, match=r"expected words \(3 captions.*got \(3,\)"):
        head(FEATS, LENGTHS, CAPTIONS[:, 0])
    with pytest.raises(ValueError, match=r"expected words \(3 captions.*got \(3, 0\)"):
        head(FEATS, LENGTHS, CAPTIONS[:, :0])
    with pytest.raises(ValueError, match=r"1 to 6 frames, got lengths \[7, 1, 4\]"):
        head(FEATS, torch.tensor([7, 1, 4]), CAPTIONS)
    with pytest.raises(ValueError, match=r"\(clips, frames, 10\), got \(3, 6, 9\)"):
        head.begin(FEATS[:, :, :9], LENGTHS)
    with pytest.raises(ValueError, match="at least one more, got 4"):
        CaptionHead(dim=DIM, words=4)
    with pytest.raises(ValueError, match="embed must be at least 1, got 0"):
        CaptionHead(dim=DIM, words=WORDS, embed=0)
    with pytest.raises(ValueError, match=r"no cell 'lsmt'.*mean 'lstm'\?$"):
        make("lsmt")
