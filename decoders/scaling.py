"""How features of any width and scale are brought to what a cell reads well.

Shapes: B clips, T frames, D features a frame, N frames of all training clips together.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import torch
from torch import Tensor, nn

NORMS = ("layer", "standard")


def create_norm(kind: str, dim: int) -> nn.Module:
    """Return the module that takes (B, T, D) and gives the same shape.

    ``layer`` looks at one frame at a time (Ba et al. 2016, https://arxiv.org/abs/1607.06450): the
    frame's own mean and scale are lost, which for features of few dimensions may be all they say.
    ``standard`` keeps them: every dimension minus its mean over the training frames, by its spread.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in NORMS:
        near = get_close_matches(kind, NORMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no norm {kind!r}; there are: {', '.join(NORMS)}{hint}")
    return nn.LayerNorm(dim) if kind == "layer" else Standardise(dim)


class Standardise(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training set, D of each.

    Both are buffers: they are saved with the head, and no gradient moves them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Take mean and spread from the training clips, (T, D) each; one clip in memory at a time.

        A dimension that hardly moves is left at a hundredth of the mean spread, lest its noise be
        blown up.
        """
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

    def forward(self, feats_BTD: Tensor) -> Tensor:
        """Return the features with mean 0 and spread 1 over the training frames."""
        return (feats_BTD - self.mean) / self.scale
