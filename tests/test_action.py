"""The action head, over every cell and pool: learning, order, padding, what it refuses."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from reelscribe.decoders import CELLS
from reelscribe.decoders.action import POOLS, ActionHead, Pool, reverse
from reelscribe.decoders.cells import frame_mask

DIM, CLASSES = 12, 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(cell: str = "lstm", *, pool: str = "attention", dropout: float = 0.0) -> ActionHead:
    torch.manual_seed(0)
    return ActionHead(
        dim=DIM, classes=CLASSES, cell=cell, hidden=32, pool=pool, dropout=dropout
    ).eval()


def fit(head: ActionHead, feats_BTD: Tensor, lengths_B: Tensor, labels_B: Tensor) -> None:
    """Train on the one batch: enough to learn it by heart where that is possible."""
    head.train()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(80):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(head(feats_BTD, lengths_B), labels_B)
        torch.autograd.backward(loss)
        optimiser.step()
    head.eval()


def accuracy(logits_BK: Tensor, labels_B: Tensor) -> float:
    return (logits_BK.argmax(dim=1) == labels_B).float().mean().item()


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_clip_alone_and_in_a_batch_gets_the_same_logits(cell: str, pool: str) -> None:
    head = make(cell, pool=pool)
    lengths_B = torch.tensor([7, 1, 4])
    feats_BTD = torch.rand(3, 9, DIM)
    logits_BK = head(feats_BTD, lengths_B)
    assert logits_BK.shape == (3, CLASSES)
    for row, length in enumerate(lengths_B.tolist()):
        alone_BK = head(feats_BTD[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(alone_BK[0], logits_BK[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_never_read(cell: str, pool: str) -> None:
    head = make(cell, pool=pool)
    lengths_B = torch.tensor([3, 2])
    feats_BTD = torch.rand(2, 4, DIM)
    spoilt_BTD = feats_BTD.clone()
    spoilt_BTD[0, 3:] = torch.nan
    spoilt_BTD[1, 2:] = 1e30
    assert torch.equal(head(feats_BTD, lengths_B), head(spoilt_BTD, lengths_B))


@pytest.mark.parametrize("cell", CELLS)
def test_learns_eight_clips_by_heart(cell: str) -> None:
    head = make(cell)
    feats_BTD, lengths_B = torch.rand(8, 6, DIM), torch.tensor([6, 5, 4, 3, 2, 1, 6, 6])
    labels_B = torch.arange(8) % CLASSES
    fit(head, feats_BTD, lengths_B, labels_B)
    assert accuracy(head(feats_BTD, lengths_B), labels_B) == 1.0


@pytest.mark.parametrize("cell", CELLS)
def test_only_a_memory_tells_a_clip_from_its_reversal(cell: str) -> None:
    """The mean of the frames is the same both ways, so `none` can be right half the time only."""
    head = make(cell)
    forth_BTD = torch.rand(8, 6, DIM)
    feats_BTD = torch.cat((forth_BTD, forth_BTD.flip(1)))
    lengths_B = torch.full((16,), 6)
    labels_B = torch.tensor([0] * 8 + [1] * 8)
    fit(head, feats_BTD, lengths_B, labels_B)
    logits_BK = head(feats_BTD, lengths_B)
    if cell == "none":
        torch.testing.assert_close(logits_BK[:8], logits_BK[8:], atol=1e-5, rtol=0)
    else:
        assert accuracy(logits_BK, labels_B) == 1.0


def test_none_pools_by_mean_whatever_the_config_says() -> None:
    feats_BTD, lengths_B = torch.rand(2, 5, DIM), torch.tensor([5, 3])
    heads = [make("none", pool=pool) for pool in POOLS]
    for head in heads[1:]:
        head.load_state_dict(heads[0].state_dict())
        assert torch.equal(head(feats_BTD, lengths_B), heads[0](feats_BTD, lengths_B))


STATES = torch.tensor([[[1.0, 8.0], [5.0, 2.0], [9.0, 9.0]]])
TWO_OF_THREE = torch.tensor([[True, True, False]])


@pytest.mark.parametrize(
    ("kind", "directions", "expected"),
    [
        ("mean", 1, [3.0, 5.0]),
        ("max", 1, [5.0, 8.0]),
        ("last", 1, [5.0, 2.0]),
        # The forward half at the last frame, the backward half at the first.
        ("last", 2, [5.0, 8.0]),
    ],
)
def test_pools_by_hand(kind: str, directions: int, expected: list[float]) -> None:
    pool = Pool(kind, width=2, directions=directions)
    assert pool(STATES, TWO_OF_THREE).tolist() == [expected]


def test_attention_weighs_own_frames_alone() -> None:
    torch.manual_seed(0)
    pool = Pool("attention", width=2)
    weights_BT = pool.weights(STATES, TWO_OF_THREE)
    assert weights_BT[0, 2] == 0
    assert weights_BT.sum().item() == pytest.approx(1.0)
    assert weights_BT[0, 0] != weights_BT[0, 1]
    expected_BH = weights_BT[:, :1] * STATES[:, 0] + weights_BT[:, 1:2] * STATES[:, 1]
    torch.testing.assert_close(pool(STATES, TWO_OF_THREE), expected_BH)


@pytest.mark.parametrize("directions", ["both", "one"])
def test_last_pool_meets_the_end_of_each_direction(directions: str) -> None:
    """Changing the first frame moves the forward end, changing the last one the backward end."""
    torch.manual_seed(0)
    bidirectional = directions == "both"
    head = ActionHead(
        dim=DIM, classes=2, cell="gru", hidden=4, bidirectional=bidirectional, pool="last"
    ).eval()
    assert head.pool.directions == (2 if bidirectional else 1)
    feats_BTD, lengths_B = torch.rand(1, 3, DIM), torch.tensor([3])
    mask_BT = torch.ones(1, 3, dtype=torch.bool)
    states_BTH = head.cell(
        head.norm(feats_BTD, frame_mask(feats_BTD, lengths_B, dim=DIM)), lengths_B
    )
    pooled_H = head.pool(states_BTH, mask_BT)[0]
    assert torch.equal(pooled_H[:4], states_BTH[0, 2, :4])
    if bidirectional:
        assert torch.equal(pooled_H[4:], states_BTH[0, 0, 4:])


def test_the_scale_of_a_backbone_does_not_matter() -> None:
    feats_BTD, lengths_B = torch.rand(2, 5, DIM) + 1.0, torch.tensor([5, 3])
    head = make()
    torch.testing.assert_close(
        head(feats_BTD * 100, lengths_B), head(feats_BTD, lengths_B), atol=1e-3, rtol=0
    )


def test_dropout_is_drawn_in_training_alone() -> None:
    head = make(dropout=0.5)
    feats_BTD, lengths_B = torch.rand(2, 5, DIM), torch.tensor([5, 3])
    assert torch.equal(head(feats_BTD, lengths_B), head(feats_BTD, lengths_B))
    head.train()
    assert not torch.equal(head(feats_BTD, lengths_B), head(feats_BTD, lengths_B))


@pytest.mark.parametrize("cell", CELLS)
def test_a_head_travels(cell: str) -> None:
    head = make(cell)
    feats_BTD, lengths_B = torch.rand(2, 5, DIM), torch.tensor([5, 3])
    other = pickle.loads(pickle.dumps(head))
    assert torch.equal(other(feats_BTD, lengths_B), head(feats_BTD, lengths_B))
    learnt = {name for name, _ in head.named_parameters()}
    assert set(head.state_dict()) == learnt | {"familiar.mean", "familiar.means_KD"}


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"no pool 'atention'; there are: .*mean 'attention'\?$"):
        make(pool="atention")
    with pytest.raises(ValueError, match=r"no cell 'lstn'.*mean 'lstm'\?$"):
        make("lstn")
    with pytest.raises(ValueError, match="2 or more classes apart, got 1"):
        ActionHead(dim=DIM, classes=1)
    with pytest.raises(ValueError, match=r"\(clips, frames, 12\), got \(1, 2, 13\)"):
        make()(torch.zeros(1, 2, 13), torch.tensor([2]))
    with pytest.raises(ValueError, match=r"1 to 2 frames, got lengths \[0\]"):
        make()(torch.zeros(1, 2, DIM), torch.tensor([0]))


def test_both_ways_a_clip_and_its_reverse_get_answers_that_are_each_others() -> None:
    torch.manual_seed(0)
    head = ActionHead(dim=DIM, classes=4, hidden=8, both_ways=True).eval()
    feats_BTD, lengths_B = torch.randn(2, 5, DIM), torch.tensor([5, 3])
    back_BTD = reverse(feats_BTD, lengths_B)
    assert torch.equal(back_BTD[0], feats_BTD[0].flip(0))
    assert torch.equal(back_BTD[1, :3], feats_BTD[1, :3].flip(0))
    forth_BK, back_BK = head(feats_BTD, lengths_B), head(back_BTD, lengths_B)
    torch.testing.assert_close(forth_BK[:, [2, 3, 0, 1]], back_BK)


def test_both_ways_needs_two_halves() -> None:
    with pytest.raises(ValueError, match="as many classes forwards as backwards, got 3 in all"):
        ActionHead(dim=DIM, classes=3, both_ways=True)


def test_phases_are_the_mean_answer_of_the_moments_between() -> None:
    """Four of eight frames, twice: frames 0 2 4 6, and frames 1 3 5 7."""
    torch.manual_seed(0)
    once = ActionHead(dim=DIM, classes=3, hidden=8).eval()
    twice = ActionHead(dim=DIM, classes=3, hidden=8, thin=4, phases=2).eval()
    twice.load_state_dict(once.state_dict())
    feats_BTD, lengths_B = torch.randn(2, 8, DIM), torch.tensor([8, 8])
    even_BK, odd_BK = (once(feats_BTD[:, k::2], torch.tensor([4, 4])).softmax(1) for k in (0, 1))
    found_BK = twice(feats_BTD, lengths_B).softmax(1)
    torch.testing.assert_close(found_BK, (even_BK + odd_BK) / 2)


def test_phases_without_thin_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 with thin alone; got 4"):
        ActionHead(dim=DIM, classes=3, phases=4)


def test_both_ways_is_what_is_trained_too() -> None:
    torch.manual_seed(0)
    head = ActionHead(dim=DIM, classes=4, hidden=8, dropout=0.0, both_ways=True)
    feats_BTD, lengths_B = torch.randn(2, 5, DIM), torch.tensor([5, 3])
    answer_BK = head.eval()(feats_BTD, lengths_B)
    torch.testing.assert_close(head.train()(feats_BTD, lengths_B), answer_BK)
