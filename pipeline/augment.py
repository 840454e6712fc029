"""Training clips made a little different each time they are seen, in the space of features.

Reads and writes nothing. All numbers are drawn from torch's stream, which the training loop sets
anew in every epoch: a resumed training sees the same clips.

Shapes: B clips, T frames, D features a frame, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reelscribe.pipeline.settings import AugmentConfig


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Which changes, and how much of each; 0 is none."""

    crop: float = 0.0
    """The largest share of a clip's frames that is cut off at its ends."""
    drop_frames: float = 0.0
    """The share of the frames that is left out."""
    mixup: float = 0.0
    """Parameter of the Beta distribution that the shares of two mixed clips are drawn from."""

    @classmethod
    def of(cls, settings: AugmentConfig) -> Augment:
        """Take what a config says."""
        return cls(crop=settings.crop, drop_frames=settings.drop_frames, mixup=settings.mixup)

    def __call__(
        self, feats_BTD: Tensor, lengths_B: Tensor, targets_BK: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, lengths and targets of the changed clips."""
        if self.crop:
            feats_BTD, lengths_B = crop(feats_BTD, lengths_B, self.crop)
        if self.drop_frames:
            feats_BTD, lengths_B = drop_frames(feats_BTD, lengths_B, self.drop_frames)
        if self.mixup:
            feats_BTD, targets_BK = mixup(feats_BTD, lengths_B, targets_BK, self.mixup)
        return feats_BTD, lengths_B, targets_BK


def crop(feats_BTD: Tensor, lengths_B: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Return a run of each clip's frames that lacks a share of them, drawn from 0 to ``most``."""
    where = feats_BTD.device
    cut_B = torch.rand(len(lengths_B)).to(where) * most
    kept_B = (lengths_B * (1 - cut_B)).ceil().long().clamp_min(1)
    starts_B = (torch.rand(len(lengths_B)).to(where) * (lengths_B - kept_B + 1)).long()
    places_BT = starts_B[:, None] + torch.arange(int(kept_B.max()), device=where)
    return _take(feats_BTD, places_BT), kept_B


def drop_frames(feats_BTD: Tensor, lengths_B: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return each clip without a share of its frames; those behind one that is left out move up.

    A clip keeps one frame at least.
    """
    places_T = torch.arange(feats_BTD.shape[1], device=feats_BTD.device)
    there_BT = places_T < lengths_B[:, None]
    drawn_BT = torch.rand(there_BT.shape).to(feats_BTD.device)
    kept_BT = (drawn_BT >= share) & there_BT
    luckiest_B1 = drawn_BT.masked_fill(~there_BT, -1).argmax(1, keepdim=True)
    kept_BT = kept_BT.scatter(1, luckiest_B1, True)
    counts_B = kept_BT.sum(1)
    # Stable: what is kept stays in its order.
    order_BT = (~kept_BT).to(torch.uint8).argsort(dim=1, stable=True)
    return _take(feats_BTD, order_BT[:, : int(counts_B.max())]), counts_B


def mixup(
    feats_BTD: Tensor, lengths_B: Tensor, targets_BK: Tensor, alpha: float
) -> tuple[Tensor, Tensor]:
    """Return each clip mixed with another one, and the targets in the same shares.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412, with a share a clip. Clips may differ in
    length: a frame is mixed with the other clip's frame at the same share of its duration, so no
    padding is ever mixed in, and the clip that has the greater share keeps its own frames' places.
    """
    where = feats_BTD.device
    share_B = torch.distributions.Beta(alpha, alpha).sample((len(lengths_B),))
    share_B = torch.maximum(share_B, 1 - share_B).to(where)
    other_B = torch.randperm(len(lengths_B)).to(where)
    moments_BT = (torch.arange(feats_BTD.shape[1], device=where) + 0.5) / lengths_B[:, None]
    ends_B1 = lengths_B[other_B, None]
    others_BTD = _take(feats_BTD[other_B], (moments_BT * ends_B1).long().clamp_max(ends_B1 - 1))
    mixed_BTD = torch.lerp(others_BTD, feats_BTD, share_B[:, None, None])
    return mixed_BTD, torch.lerp(targets_BK[other_B], targets_BK, share_B[:, None])


def _take(feats_BTD: Tensor, places_BT: Tensor) -> Tensor:
    """Return the frames of each clip at its places; beyond the end, the last one."""
    places_BT = places_BT.clamp_max(feats_BTD.shape[1] - 1)
    return feats_BTD[torch.arange(len(feats_BTD), device=feats_BTD.device)[:, None], places_BT]
