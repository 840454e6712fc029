"""Norms of features: by frame, or by the training set."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.scaling import Standardise, create_norm


def test_standard_by_hand() -> None:
    norm = Standardise(3)
    # Of 1, 3, 5, 7 the mean is 4 and the spread the root of 5; the second dimension never moves.
    clips = [torch.tensor([[1.0, 9.0, 0.0], [3.0, 9.0, 2.0]]), torch.tensor([[5.0, 9.0, 0.0]])]
    norm.measure([*clips, torch.tensor([[7.0, 9.0, 2.0]])])
    torch.testing.assert_close(norm.mean, torch.tensor([4.0, 9.0, 1.0]))
    still = (5**0.5 + 0 + 1) / 3 / 100
    torch.testing.assert_close(norm.scale, torch.tensor([5**0.5, still, 1.0]))
    given = norm(torch.tensor([[[4.0 + 5**0.5, 9.0, 0.0]]]))
    torch.testing.assert_close(given, torch.tensor([[[1.0, 0.0, -1.0]]]))


def test_what_was_measured_is_saved_and_not_trained() -> None:
    head = ActionHead(dim=2, classes=2, hidden=4, norm="standard")
    head.measure([torch.tensor([[2.0, 0.0], [4.0, 1.0]])])
    assert head.state_dict()["norm.mean"].tolist() == [3.0, 0.5]
    assert not any(name.startswith("norm") for name, _ in head.named_parameters())


def test_a_layer_norm_has_nothing_to_measure() -> None:
    head = ActionHead(dim=2, classes=2, hidden=4)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.measure([torch.tensor([[2.0, 0.0]])])
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())


def test_a_level_that_all_dimensions_share_survives_standard_alone() -> None:
    level_BTD = torch.tensor([[[1.0, 2.0], [5.0, 6.0]]])
    layer = create_norm("layer", 2)(level_BTD)
    torch.testing.assert_close(layer[0, 0], layer[0, 1])
    standard = create_norm("standard", 2)(level_BTD)
    assert (standard[0, 1] - standard[0, 0]).tolist() == [4.0, 4.0]


def test_an_unknown_norm_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"no norm 'standart'; there are: layer, standard; did"):
        create_norm("standart", 2)
