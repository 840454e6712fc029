"""Side input: categories that may be unknown, and an action head inside a caption head."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest
import torch

from reelscribe.decoders import FAMILIES
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.scaling import create_norm
from reelscribe.decoders.side import CATEGORIES, HIDDEN, WithActions, WithCategory, with_category
from reelscribe.decoders.teller import Teller, create_teller
from reelscribe.decoders.vocabulary import START

FEATS = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([5, 3])
WORDS = torch.tensor([[START, 4], [START, 4]])
ACTION = {"cell": "gru", "hidden": 4, "norm": "standard"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(family: str, side: dict[str, object], dim: int = 6) -> Teller:
    torch.manual_seed(0)
    return create_teller(
        family=family, dim=dim, words=9, cell="lstm", hidden=16, embed=8, side=side
    ).eval()


def told(*categories: int | None) -> torch.Tensor:
    pairs = zip(FEATS, categories, strict=True)
    return torch.stack([with_category(feats_TD, category) for feats_TD, category in pairs])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_category_changes_what_is_said_of_its_clip_alone(family: str) -> None:
    head = make(family, {"kind": "category"}, dim=7)
    unknown_BLV = head(told(None, None), LENGTHS, WORDS)
    music_BLV = head(told(0, None), LENGTHS, WORDS)
    assert float((music_BLV[0] - unknown_BLV[0]).detach().abs().max()) > 1e-4
    torch.testing.assert_close(music_BLV[1], unknown_BLV[1])
    head(told(3, 19), LENGTHS, WORDS).sum().backward()
    assert isinstance(head.norm, WithCategory)
    assert head.norm.embed.weight.grad is not None
    rows = head.norm.embed.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert rows == [4, 20]


def test_a_category_is_hidden_at_random_in_training_alone() -> None:
    head = make("mean", {"kind": "category"}, dim=7)
    assert isinstance(head.norm, WithCategory)
    feats_BTD = told(5, 5)[:1].repeat(2000, 1, 1)
    mask_BT = torch.ones(2000, 5, dtype=torch.bool)
    unknown_S, known_S = head.norm.embed.weight[0], head.norm.embed.weight[6]
    asked_BS = head.norm(feats_BTD, mask_BT)[:, 0, 6:]
    assert torch.equal(asked_BS, known_S.expand(2000, -1))
    learnt_BS = head.norm.train()(feats_BTD, mask_BT)[:, 0, 6:]
    hidden_B = (learnt_BS == unknown_S).all(1)
    assert float(hidden_B.float().mean()) == pytest.approx(HIDDEN, abs=0.04)
    assert torch.equal(learnt_BS[~hidden_B], known_S.expand(int((~hidden_B).sum()), -1))


def test_a_norm_never_sees_the_column_of_the_category() -> None:
    head = create_teller(
        dim=3, words=9, hidden=4, embed=4, norm="standard", side={"kind": "category"}
    )
    head.measure([with_category(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), 19)], [["a"]])
    assert isinstance(head.norm, WithCategory)
    inputs_BTD = head.norm(
        with_category(torch.tensor([[2.0, 4.0]]), 1)[None], torch.tensor([[True]])
    )
    assert inputs_BTD.shape == (1, 1, 2 + 32)
    torch.testing.assert_close(inputs_BTD[0, 0, :2], torch.zeros(2))


def test_there_are_twenty_categories() -> None:
    for wrong in (-1, CATEGORIES):
        with pytest.raises(ValueError, match=f"^a category is a number from 0 to 19, got {wrong}$"):
            with_category(FEATS[0], wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_action_head_is_heard_and_left_as_it_is(family: str) -> None:
    head = make(family, {"kind": "action", "classes": 3, "head": ACTION})
    assert isinstance(head.norm, WithActions)
    before = {name: value.clone() for name, value in head.norm.head.state_dict().items()}
    head.train()
    assert not head.norm.head.training
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        head(FEATS, LENGTHS, WORDS).square().sum().backward()
        optimizer.step()
    after = head.norm.head.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_beside_every_frame_stand_the_probabilities_of_the_action_head() -> None:
    head = make("attention", {"kind": "action", "classes": 3, "head": ACTION})
    assert isinstance(head.norm, WithActions)
    alone = ActionHead(dim=6, classes=3, **ACTION).eval()  # type: ignore[arg-type]
    alone.load_state_dict(head.norm.head.state_dict())
    inputs_BTD = head.norm(FEATS, torch.arange(5) < LENGTHS[:, None])
    chances_BK = alone(FEATS, LENGTHS).softmax(1).detach()
    for frame in range(5):
        torch.testing.assert_close(inputs_BTD[:, frame, 6:], chances_BK)


def test_measuring_looks_at_one_clip_after_the_other() -> None:
    """Clips may lie on disk because they do not fit into memory."""

    class Looked(Sequence[torch.Tensor]):
        alive: ClassVar[list[weakref.ref[torch.Tensor]]] = []
        most = 0

        def __len__(self) -> int:
            return 50

        def __getitem__(self, at: int) -> torch.Tensor:  # type: ignore[override]
            if at >= 50:
                raise IndexError
            clip = torch.full((4, 3), float(at))
            self.alive.append(weakref.ref(clip))
            Looked.most = max(Looked.most, sum(one() is not None for one in self.alive))
            return clip

    norm = WithCategory(create_norm("standard", 2))
    norm.measure(Looked())
    assert norm.state_dict()["norm.mean"].tolist() == pytest.approx([24.5, 24.5])
    assert len(Looked.alive) == 50
    assert Looked.most <= 3
