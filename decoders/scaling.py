"""How features of any width and scale are brought to what a cell reads well.

Shapes: B clips, T frames, D features a frame, N frames of all training clips together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

NORMS = ("layer", "standard", "motion", "steps")

LOOK, MOVE = 128, 256
"""Dimensions that ``motion`` keeps of a frame, and of what sets it apart from its clip."""

SAMPLE = 4000
"""Training frames that ``motion`` finds its directions in."""


class Norm(nn.Module):
    """Features (B, T, D) in, what the cell reads (B, T, out) out."""

    out_dim: int

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Look at the training clips, (T, D) each, before the training."""

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return inputs_BTD of the frames where ``mask_BT`` is True."""
        raise NotImplementedError


def create_norm(kind: str, dim: int) -> Norm:
    """Return what is done to features first.

    ``layer`` looks at one frame at a time (Ba et al. 2016, https://arxiv.org/abs/1607.06450): the
    frame's own mean and scale are lost, which for features of few dimensions may be all they say.
    ``standard`` keeps them: every dimension minus its mean over the training frames, by its spread.
    ``motion`` standardises and keeps the directions in which training frames differ most, and
    beside them those in which the frames of one clip do: what moves is not lost in what is shown.
    ``steps`` adds to these how each frame differs from the one before it.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in NORMS:
        near = get_close_matches(kind, NORMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no norm {kind!r}; there are: {', '.join(NORMS)}{hint}")
    kinds = {"layer": FrameNorm, "standard": Standardise, "motion": Motion, "steps": Steps}
    return kinds[kind](dim)


class FrameNorm(Norm):
    """Each frame by itself, with a learned scale and offset."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return each frame with mean 0 and spread 1, then scaled and moved."""
        return layer_norm(feats_BTD, feats_BTD.shape[2:], self.weight, self.bias)


class Standardise(Norm):
    """Subtract the mean and divide by the standard deviation of the training set, D of each.

    Both are buffers: they are saved with the head, and no gradient moves them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Take mean and spread from the training clips, (T, D) each; one clip in memory at a time.

        A dimension that hardly moves is left at a hundredth of the mean spread, lest its noise be
        blown up.
        """
        self._survey(feats)

    def _survey(self, feats: Iterable[Tensor]) -> int:
        """Set mean and scale; return how many frames there were."""
        count = 0
        first = second = torch.zeros(len(self.mean), dtype=torch.float64)
        for feats_TD in feats:
            wide_TD = feats_TD.double()
            count += len(wide_TD)
            first = first + wide_TD.sum(0)
            second = second + wide_TD.square().sum(0)
        mean_D = first / count
        spread_D = (second / count - mean_D.square()).clamp_min(0).sqrt()
        least = max(float(spread_D.mean()) / 100, 1e-6)
        self.mean.copy_(mean_D)
        self.scale.copy_(spread_D.clamp_min(least))
        return count

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the features with mean 0 and spread 1 over the training frames."""
        return (feats_BTD - self.mean) / self.scale


class Motion(Standardise):
    """Principal directions of the standardised frames, and of their deviations from their clip.

    A clip's mean says what is shown, and drowns what moves: of the principal directions of all
    frames hardly one is about time. Both bases are buffers, found once in the training set.
    """

    look: Tensor
    move: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("look", torch.zeros(dim, min(LOOK, dim)))
        self.register_buffer("move", torch.zeros(dim, min(MOVE, dim)))
        self.out_dim = self.look.shape[1] + self.move.shape[1]

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Find mean, spread and directions in the training clips, which are gone through twice.

        Of each clip only the frames that are taken stay: every ``step``-th of all frames.
        """
        clips = feats if isinstance(feats, Sequence) else list(feats)
        step = -(-self._survey(clips) // SAMPLE)
        look, move, before = [], [], 0
        for feats_TD in clips:
            scaled_TD = (feats_TD - self.mean) / self.scale
            first = -before % step
            look.append(scaled_TD[first::step].clone())
            move.append((scaled_TD - scaled_TD.mean(0))[first::step].clone())
            before += len(feats_TD)
        for basis, rows in ((self.look, look), (self.move, move)):
            basis.copy_(_principal(torch.cat(rows), basis.shape[1]))

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return both projections side by side, each with a mean square of 1 over training."""
        scaled_BTD = super().forward(feats_BTD, mask_BT).masked_fill(~mask_BT[:, :, None], 0.0)
        mean_BD = scaled_BTD.sum(1) / mask_BT.sum(1, keepdim=True)
        moved_BTD = scaled_BTD - mean_BD[:, None]
        return torch.cat((scaled_BTD @ self.look, moved_BTD @ self.move), dim=2)


class Steps(Motion):
    """What ``motion`` gives, and its changes from one frame to the next: the first has none."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.out_dim += self.move.shape[1]

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return both projections and the second one's differences side by side."""
        seen_BTD = super().forward(feats_BTD, mask_BT)
        moved_BTD = seen_BTD[:, :, self.look.shape[1] :]
        return torch.cat((seen_BTD, moved_BTD.diff(dim=1, prepend=moved_BTD[:, :1])), dim=2)


def _principal(rows_ND: Tensor, count: int) -> Tensor:
    """Return (D, count) of the first principal directions; those that are not there are zero."""
    found = min(count, *rows_ND.shape)
    with torch.random.fork_rng(devices=[]):  # It draws; the training's own stream goes on.
        torch.manual_seed(0)
        _, _, basis_DR = torch.pca_lowrank(rows_ND, q=found, niter=3)
    spread = (rows_ND @ basis_DR).square().mean().sqrt().clamp_min(1e-6)
    return nn.functional.pad(basis_DR / spread, (0, count - found))
