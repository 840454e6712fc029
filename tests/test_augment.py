"""Training clips that are changed: what may change, what may not, and mixtures by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reelscribe.pipeline.augment import Augment, crop, drop_frames, mixup


def numbered(*lengths: int) -> tuple[Tensor, Tensor]:
    """Frame t of clip b is 100 b + t, its padding -1."""
    feats_BTD = torch.full((len(lengths), max(lengths), 1), -1.0)
    for b, length in enumerate(lengths):
        feats_BTD[b, :length, 0] = 100 * b + torch.arange(length)
    return feats_BTD, torch.tensor(lengths)


def own(feats_BTD: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """Return each clip's own frames, as numbers."""
    rows = zip(feats_BTD[..., 0], lengths_B.tolist(), strict=True)
    return [[int(value) for value in frames[:length]] for frames, length in rows]


def test_a_crop_is_a_run_of_the_clips_own_frames() -> None:
    torch.manual_seed(0)
    seen = set()
    for _ in range(200):
        for b, frames in enumerate(own(*crop(*numbered(10, 4, 1), 0.5))):
            first = frames[0] - 100 * b
            assert frames == [100 * b + first + t for t in range(len(frames))]
            whole = (10, 4, 1)[b]
            assert whole / 2 <= len(frames) <= whole
            assert first + len(frames) <= whole
            seen.add((b, first, len(frames)))
    # Every run of the clip of four that has two frames or more, but the whole is rare.
    assert {s for s in seen if s[0] == 1} >= {(1, f, n) for n in (3, 4) for f in range(5 - n)}
    assert {(0, 0, 6), (0, 4, 6), (2, 0, 1)} <= seen


def test_frames_that_are_dropped_leave_no_gap() -> None:
    torch.manual_seed(0)
    counts = []
    for _ in range(300):
        clips = own(*drop_frames(*numbered(10, 4, 1), 0.3))
        for b, frames in enumerate(clips):
            assert frames == sorted(set(frames)), "in their order, none twice"
            assert frames
            assert {frame // 100 for frame in frames} == {b}
        counts.append(len(clips[0]))
    assert sum(counts) / len(counts) == pytest.approx(7, abs=0.3)


def test_a_clip_keeps_a_frame_whatever_is_drawn() -> None:
    clips = own(*drop_frames(*numbered(3, 1), 0.999999))
    assert [len(frames) for frames in clips] == [1, 1]


def fixed(monkeypatch: pytest.MonkeyPatch, share: float, order: list[int]) -> None:
    """Let the share and the partners be what a test says."""

    class Beta:
        def __init__(self, *alpha: float) -> None:
            assert alpha == (0.4, 0.4)

        def sample(self, shape: tuple[int]) -> Tensor:
            return torch.full(shape, share)

    monkeypatch.setattr(torch.distributions, "Beta", Beta)
    monkeypatch.setattr(torch, "randperm", lambda count: torch.tensor(order))


def test_two_one_hot_clips_are_mixed_by_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed(monkeypatch, 0.25, [1, 0])  # The greater share, 0.75, is the clip's own.
    feats_BTD = torch.tensor([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
    mixed_BTD, targets_BK = mixup(feats_BTD, torch.tensor([3, 3]), torch.eye(2), 0.4)
    assert mixed_BTD.tolist() == [[[0.75, 0.25]] * 3, [[0.25, 0.75]] * 3]
    assert targets_BK.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_clips_of_unlike_length_are_mixed_at_the_same_share_of_their_duration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six frames against three: frames 0 and 1 meet frame 0, 2 and 3 meet 1, 4 and 5 meet 2."""
    fixed(monkeypatch, 0.5, [1, 0])
    feats_BTD, lengths_B = numbered(6, 3)
    mixed_BTD, _ = mixup(feats_BTD, lengths_B, torch.eye(2), 0.4)
    assert mixed_BTD[0, :, 0].tolist() == [50, 50.5, 51.5, 52, 53, 53.5]
    # The other way round each frame of three meets the second of a pair: 1, 3 and 5.
    assert mixed_BTD[1, :3, 0].tolist() == [50.5, 52, 53.5]


def test_no_padding_is_ever_mixed_in() -> None:
    torch.manual_seed(0)
    feats_BTD, lengths_B = numbered(7, 2, 5)
    feats_BTD = feats_BTD.masked_fill(feats_BTD < 0, torch.nan)
    for _ in range(50):
        mixed_BTD, targets_BK = mixup(feats_BTD, lengths_B, torch.eye(3), 1.0)
        for frames_TD, length in zip(mixed_BTD, lengths_B, strict=True):
            assert torch.isfinite(frames_TD[:length]).all()
        torch.testing.assert_close(targets_BK.sum(1), torch.ones(3))
        assert (targets_BK.diagonal() >= 0.5).all()


def test_nothing_asked_for_changes_nothing() -> None:
    feats_BTD, lengths_B = numbered(3, 2)
    before = torch.get_rng_state()
    found = Augment()(feats_BTD, lengths_B, torch.eye(2))
    assert found[0] is feats_BTD
    assert found[1] is lengths_B
    assert torch.equal(torch.get_rng_state(), before), "and draws no number"


def test_all_of_them_together_keep_the_shapes() -> None:
    torch.manual_seed(0)
    feats_BTD, lengths_B = numbered(9, 4, 6)
    made = Augment(crop=0.4, drop_frames=0.2, mixup=0.4)
    for _ in range(20):
        found_BTD, counts_B, targets_BK = made(feats_BTD, lengths_B, torch.eye(3))
        assert found_BTD.shape == (3, int(counts_B.max()), 1)
        assert (counts_B <= lengths_B).all()
        assert targets_BK.shape == (3, 3)
