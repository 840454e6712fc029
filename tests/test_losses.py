"""Class weights and shared targets, by hand and beside torch's own loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from reelscribe.pipeline.losses import balanced, soft_cross_entropy


def test_three_clips_against_one() -> None:
    """4 clips, 2 classes: 4 / (2 * 3) and 4 / (2 * 1); the mean over the clips is 1."""
    weights_K = balanced([0, 0, 0, 1], 2)
    assert weights_K.tolist() == pytest.approx([2 / 3, 2])
    assert float(weights_K[[0, 0, 0, 1]].mean()) == pytest.approx(1)


def test_a_class_without_a_clip_counts_nothing() -> None:
    assert balanced([2, 2, 0], 4).tolist() == pytest.approx([1.5, 0, 0.75, 0])


def test_a_target_of_two_halves_by_hand() -> None:
    logits_BK = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    loss = soft_cross_entropy(logits_BK, torch.tensor([[0.5, 0.5]]))
    assert float(loss) == pytest.approx(-0.5 * math.log(0.75) - 0.5 * math.log(0.25))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_whole_labels_give_torchs_number(weights: list[float] | None, smoothing: float) -> None:
    torch.manual_seed(0)
    logits_BK, truth_B = torch.randn(5, 3), torch.tensor([0, 2, 1, 0, 0])
    weights_K = None if weights is None else torch.tensor(weights)
    found = soft_cross_entropy(
        logits_BK, one_hot(truth_B, 3).float(), weights_K=weights_K, label_smoothing=smoothing
    )
    wanted = cross_entropy(logits_BK, truth_B, weight=weights_K, label_smoothing=smoothing)
    torch.testing.assert_close(found, wanted)
