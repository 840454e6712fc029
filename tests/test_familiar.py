"""How much clips are like those that were learnt from, in two dimensions that can be drawn."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.familiar import Familiar


def clip(*frames: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(frames)


@pytest.fixture
def learnt() -> Familiar:
    """Mean (5, 5); class 0 lies to the right of it, class 1 above it."""
    found = Familiar(2, 2)
    found.learn(
        [clip((6, 4), (8, 6)), clip((7, 5)), clip((3, 3)), clip((3, 7))],
        [0, 0, 1, 1],
    )
    return found


def test_clips_are_compared_by_direction_from_the_mean(learnt: Familiar) -> None:
    assert learnt.mean.tolist() == [5, 5]
    # Class 1: the directions (-1, -1) and (-1, 1) together are (-1, 0).
    torch.testing.assert_close(learnt.means_KD, torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    asked = [clip((9, 5)), clip((5, 9)), clip((8, 8)), clip((0, 5), (4, 5))]
    torch.testing.assert_close(learnt(asked), torch.tensor([1.0, 0.0, 0.5**0.5, 1.0]))


def test_it_is_saved_with_the_head(learnt: Familiar) -> None:
    other = Familiar(2, 2)
    other.load_state_dict(learnt.state_dict())
    assert other([clip((8, 8))]) == pytest.approx(0.5**0.5)


def test_a_class_without_clips_is_like_nothing() -> None:
    found = Familiar(2, 3)
    found.learn([clip((1, 0)), clip((-1, 0))], [0, 2])
    assert found.means_KD[1].tolist() == [0, 0]
    assert found([clip((5, 0))]).tolist() == [1.0]
