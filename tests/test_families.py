"""The families of caption heads, over the cells that all of them have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from reelscribe.decoders import FAMILIES
from reelscribe.decoders.caption import CaptionHead, MeanHead
from reelscribe.decoders.s2vt import S2VT
from reelscribe.decoders.search import beam_search, greedy
from reelscribe.decoders.teller import Teller, create_teller
from reelscribe.decoders.vocabulary import PAD, START
from reelscribe.pipeline.config import CaptionConfig, parse_section

DIM, WORDS = 10, 11
FEATS = torch.rand(3, 6, DIM, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 1, 4])
CAPTIONS = torch.tensor([[START, 4, 5, 6], [START, 7, PAD, PAD], [START, 8, 9, PAD]])
EACH = [
    *((family, cell) for family in FAMILIES for cell in ("lstm", "gru", "rnn")),
    ("transformer", "transformer"),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(family: str, cell: str) -> Teller:
    torch.manual_seed(0)
    return create_teller(
        family=family, dim=DIM, words=WORDS, cell=cell, hidden=32, embed=16, dropout=0.0
    ).eval()


@pytest.mark.parametrize(("family", "cell"), EACH)
def test_forward_and_step_agree(family: str, cell: str) -> None:
    head = make(family, cell)
    logits_BLV = head(FEATS, LENGTHS, CAPTIONS)
    assert logits_BLV.shape == (3, 4, WORDS)
    state = head.begin(FEATS, LENGTHS)
    for place, words_B in enumerate(CAPTIONS.unbind(dim=1)):
        logprobs_BV, state, attention_BT = head.step(words_B, state)
        torch.testing.assert_close(
            logprobs_BV, logits_BLV[:, place].log_softmax(dim=1), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(attention_BT.sum(dim=1), torch.ones(3))
        assert (attention_BT[1, 1:] == 0).all()


@pytest.mark.parametrize(("family", "cell"), EACH)
def test_a_clip_alone_and_in_a_batch_and_beside_bad_padding(family: str, cell: str) -> None:
    head = make(family, cell)
    logits_BLV = head(FEATS, LENGTHS, CAPTIONS)
    spoilt_BTD = FEATS.clone()
    spoilt_BTD[1, 1:] = torch.nan
    spoilt_BTD[2, 4:] = 1e30
    assert torch.equal(logits_BLV, head(spoilt_BTD, LENGTHS, CAPTIONS))
    for row, length in enumerate(LENGTHS.tolist()):
        alone_BLV = head(
            FEATS[row : row + 1, :length], torch.tensor([length]), CAPTIONS[row : row + 1]
        )
        torch.testing.assert_close(alone_BLV[0], logits_BLV[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("family", "cell"), EACH)
def test_a_batch_is_searched_as_one_by_one(family: str, cell: str) -> None:
    head = make(family, cell)
    together = beam_search(head, FEATS, LENGTHS, beam=3, max_words=4, n_best=3)
    for row, length in enumerate(LENGTHS.tolist()):
        one = FEATS[row : row + 1, :length], torch.tensor([length])
        [alone] = beam_search(head, *one, beam=3, max_words=4, n_best=3)
        assert [found.words for found in alone] == [found.words for found in together[row]]
        for found, other in zip(alone, together[row], strict=True):
            assert found.logprob == pytest.approx(other.logprob, abs=1e-5)
        [first] = greedy(head, *one, max_words=4)
        assert alone[0].score(1.0) >= first.score(1.0)


@pytest.mark.parametrize(("family", "cell"), EACH)
def test_only_the_mean_does_not_know_the_order(family: str, cell: str) -> None:
    head = make(family, cell)
    feats_BTD = torch.cat((FEATS[:1], FEATS[:1].flip(1)))
    logits_BLV = head(feats_BTD, torch.tensor([6, 6]), CAPTIONS[:1].repeat(2, 1))
    difference = float((logits_BLV[0] - logits_BLV[1]).detach().abs().max())
    assert (difference < 1e-5) == (family == "mean")


def test_every_weight_of_s2vt_learns() -> None:
    for cell in ("lstm", "gru", "rnn"):
        head = make("s2vt", cell)
        head(FEATS, LENGTHS, CAPTIONS).square().sum().backward()
        assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_names_of_families() -> None:
    kinds = [type(make(family, "gru")) for family in ("attention", "mean", "s2vt")]
    assert kinds == [CaptionHead, MeanHead, S2VT]
    with pytest.raises(ValueError, match=r"no family 's2vtt'; there are: attention, mean, s2vt, "):
        create_teller(family="s2vtt", dim=DIM, words=WORDS)
    with pytest.raises(ValueError, match=r"^family s2vt has the cells lstm, gru, rnn, not 'none'"):
        make("s2vt", "none")
    values = {"task": "caption", "family": "s2vt", "cell": "transformer"}
    with pytest.raises(ValueError, match=r"s2vt has the cells lstm, gru and rnn, not transformer"):
        parse_section(CaptionConfig, values)
