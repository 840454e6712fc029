"""Norms of features: by frame, or by the training set."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.scaling import Motion, Standardise, create_norm


def test_standard_by_hand() -> None:
    norm = Standardise(3)
    # Of 1, 3, 5, 7 the mean is 4 and the spread the root of 5; the second dimension never moves.
    clips = [torch.tensor([[1.0, 9.0, 0.0], [3.0, 9.0, 2.0]]), torch.tensor([[5.0, 9.0, 0.0]])]
    norm.measure([*clips, torch.tensor([[7.0, 9.0, 2.0]])])
    torch.testing.assert_close(norm.mean, torch.tensor([4.0, 9.0, 1.0]))
    still = (5**0.5 + 0 + 1) / 3 / 100
    torch.testing.assert_close(norm.scale, torch.tensor([5**0.5, still, 1.0]))
    given = norm(torch.tensor([[[4.0 + 5**0.5, 9.0, 0.0]]]), torch.ones(1, 1, dtype=torch.bool))
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
    mask_BT = torch.ones(1, 2, dtype=torch.bool)
    layer = create_norm("layer", 2)(level_BTD, mask_BT)
    torch.testing.assert_close(layer[0, 0], layer[0, 1])
    standard = create_norm("standard", 2)(level_BTD, mask_BT)
    assert (standard[0, 1] - standard[0, 0]).tolist() == [4.0, 4.0]


def test_an_unknown_norm_lists_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"no norm 'standart'; there are: layer, standard, motion, steps; did"
    ):
        create_norm("standart", 2)


def test_motion_keeps_what_moves_beside_what_is_shown() -> None:
    """Clips differ in the first dimension by tens, frames of a clip in the second by one."""
    torch.manual_seed(0)
    clips = []
    for n in range(20):
        clip_TD = torch.zeros(8, 400)
        clip_TD[:, 0] = 30.0 * (n % 2)
        clip_TD[:, 1] = torch.arange(8) % 2
        clips.append(clip_TD + 1e-3 * torch.randn(8, 400))
    norm = Motion(400)
    norm.measure(clips)
    assert norm.out_dim == 128 + 256
    mask_BT = torch.ones(1, 8, dtype=torch.bool)
    given_TD = norm(clips[0][None], mask_BT)[0]
    assert given_TD.shape == (8, 384)
    moved_TD = given_TD[:, 128:]
    torch.testing.assert_close(moved_TD.mean(0), torch.zeros(256), atol=1e-4, rtol=0)
    steps_T = moved_TD.norm(dim=1)
    assert float((moved_TD[0] - moved_TD[1]).norm()) > float(steps_T.mean())
    # What is padded changes nothing.
    padded = torch.cat((clips[0], torch.full((3, 400), 7.0)))[None]
    longer = norm(padded, torch.arange(11)[None] < 8)[0, :8]
    torch.testing.assert_close(longer, given_TD)


def test_fewer_frames_than_directions_leave_zeros() -> None:
    norm = Motion(300)
    norm.measure([torch.rand(5, 300)])
    given = norm(torch.rand(1, 2, 300), torch.ones(1, 2, dtype=torch.bool))
    assert given.isfinite().all()
    assert (norm.move[:, 5:] == 0).all()


def test_thinning_takes_the_middle_of_equal_pieces() -> None:
    head = ActionHead(dim=1, classes=2, hidden=4, thin=3).eval()
    feats_BTD = torch.arange(9.0).repeat(3, 1)[:, :, None]
    picked_BTD, lengths_B = head.pick(feats_BTD, torch.tensor([9, 6, 2]))
    assert lengths_B.tolist() == [3, 3, 2]
    assert picked_BTD[0, :, 0].tolist() == [1, 4, 7]
    assert picked_BTD[1, :, 0].tolist() == [1, 3, 5]
    assert picked_BTD[2, :2, 0].tolist() == [0, 1]
    head.train()
    seen = {
        tuple(head.pick(feats_BTD, torch.tensor([9, 9, 9]))[0][0, :, 0].tolist()) for _ in range(99)
    }
    assert len(seen) > 10
    assert all(a in (0, 1, 2) and b in (3, 4, 5) and c in (6, 7, 8) for a, b, c in seen)


def test_a_negative_number_of_frames_is_refused() -> None:
    with pytest.raises(
        ValueError, match="thin is a number of frames, or 0 for all of them; got -1"
    ):
        ActionHead(dim=1, classes=2, thin=-1)


def test_steps_are_the_differences_of_consecutive_frames_beside_motion() -> None:
    torch.manual_seed(0)
    clips = [torch.randn(6, 10) for _ in range(8)]
    motion, steps = create_norm("motion", 10), create_norm("steps", 10)
    for norm in (motion, steps):
        norm.measure(clips)
    feats_BTD = torch.stack(clips[:2])
    mask_BT = torch.ones(2, 6, dtype=torch.bool)
    mask_BT[1, 4:] = False
    seen_BTD, found_BTD = motion(feats_BTD, mask_BT), steps(feats_BTD, mask_BT)
    assert (motion.out_dim, steps.out_dim, found_BTD.shape[2]) == (20, 30, 30)
    torch.testing.assert_close(found_BTD[:, :, :20], seen_BTD)
    moved_BTD = seen_BTD[:, :, 10:]
    assert (found_BTD[:, 0, 20:] == 0).all(), "the first frame has none before it"
    torch.testing.assert_close(found_BTD[0, 1:, 20:], moved_BTD[0, 1:] - moved_BTD[0, :-1])
    torch.testing.assert_close(found_BTD[1, 1:4, 20:], moved_BTD[1, 1:4] - moved_BTD[1, :3])
