"""The transformer that writes: what no other family has. The rest is in test_families.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import cross_entropy

from reelscribe.decoders.search import greedy
from reelscribe.decoders.teller import create_teller
from reelscribe.decoders.transformer import TransformerTeller
from reelscribe.decoders.vocabulary import END, PAD, START

FEATS = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([5, 3])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(layers: int = 2, dropout: float = 0.5) -> TransformerTeller:
    torch.manual_seed(0)
    sizes = {"dim": 6, "words": 9, "hidden": 32, "embed": 12, "layers": layers}
    head = create_teller(family="transformer", cell="transformer", dropout=dropout, **sizes)
    assert isinstance(head, TransformerTeller)
    return head.eval()


def test_no_word_sees_a_later_one() -> None:
    head = make()
    words_BL = torch.tensor([[START, 4, 5, 6], [START, 7, 8, PAD]])
    logits_BLV = head(FEATS, LENGTHS, words_BL)
    for place in range(1, 4):
        other_BL = words_BL.clone()
        other_BL[:, place:] = 8
        changed_BLV = head(FEATS, LENGTHS, other_BL)
        torch.testing.assert_close(changed_BLV[:, :place], logits_BLV[:, :place])
    assert float((changed_BLV - logits_BLV)[:, 3].detach().abs().max()) > 1e-3


def test_the_order_of_the_words_before_matters() -> None:
    head = make()
    pair_BL = torch.tensor([[START, 4, 5, 6], [START, 5, 4, 6]])
    logits_BLV = head(FEATS[:1].repeat(2, 1, 1), LENGTHS[:1].repeat(2), pair_BL)
    assert float((logits_BLV[0, 3] - logits_BLV[1, 3]).detach().abs().max()) > 1e-3


def test_the_attention_is_that_of_the_last_layer() -> None:
    """A frame that the last layer gives all its weight to is the one that is told of."""
    head = make(layers=1)
    seen = []
    layer = head.net.layers[0]
    kept = layer.multihead_attn.forward

    def told(query: torch.Tensor, *rest: torch.Tensor, **options: object) -> object:
        found, weights_BLT = kept(query, *rest, **{**options, "need_weights": True})
        seen.append(weights_BLT[:, -1])
        return found, weights_BLT

    layer.multihead_attn.forward = told
    state = head.begin(FEATS, LENGTHS)
    for words_B in (torch.tensor([START, START]), torch.tensor([4, 7])):
        _, state, attention_BT = head.step(words_B, state)
        layer_BT, own_BT = seen[-2:]
        torch.testing.assert_close(own_BT, layer_BT)
        torch.testing.assert_close(attention_BT, layer_BT)
        assert (attention_BT[1, 3:] == 0).all()


def test_every_weight_learns() -> None:
    head = make().train()
    head(FEATS, LENGTHS, torch.tensor([[START, 4], [START, 7]])).square().sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_learns_eight_captions_by_heart() -> None:
    head = make(layers=1, dropout=0.0)
    feats_BTD = torch.rand(8, 4, 6, generator=torch.Generator().manual_seed(1))
    lengths_B = torch.tensor([4, 3, 2, 1, 4, 3, 2, 4])
    captions = [tuple(4 + (3 * i + k * (i + 1)) % 5 for k in range(1 + i % 4)) for i in range(8)]
    words_BL = torch.full((8, 6), PAD)
    for row, words in zip(words_BL, captions, strict=True):
        row[: len(words) + 2] = torch.tensor([START, *words, END])
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(150):
        logits_BLV = head(feats_BTD, lengths_B, words_BL[:, :-1])
        loss = cross_entropy(logits_BLV.flatten(0, 1), words_BL[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert [one.words for one in greedy(head, feats_BTD, lengths_B, max_words=5)] == captions
