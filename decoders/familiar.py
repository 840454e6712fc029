"""How much a clip is like those that a head learnt from: what is unlike all of them is no question.

A softmax is sure of itself far from its training clips too (Hein et al. 2019,
https://arxiv.org/abs/1812.05720), so the distance is looked at beside it: the cosine to the nearest
class mean, of a clip's mean frame minus that of all training clips. Distances to class means in the
features find strangers better than the softmax does (Lee et al. 2018,
https://arxiv.org/abs/1807.03888, with a covariance, which did not help here).

Shapes: N training clips, Q questions, K classes, T frames, D features a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Familiar(nn.Module):
    """The mean of the training clips and the direction of each class from it, as buffers."""

    mean: Tensor
    means_KD: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("means_KD", torch.zeros(classes, dim))

    def learn(self, feats: Sequence[Tensor], labels: Sequence[int]) -> None:
        """Look at the training clips, (T, D) each, and their classes."""
        clips_ND = self._clips(feats)
        truth_N = torch.tensor(labels, device=clips_ND.device)
        self.mean.copy_(clips_ND.mean(0))
        rows_ND = normalize(clips_ND - self.mean, dim=1)
        sums_KD = torch.zeros_like(self.means_KD).index_add_(0, truth_N, rows_ND)
        self.means_KD.copy_(normalize(sums_KD, dim=1))

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return cosine_Q of each clip, (T, D), to the nearest class: 1 is just like it."""
        rows_QD = normalize(self._clips(feats) - self.mean, dim=1)
        return (rows_QD @ self.means_KD.T).amax(1)

    def _clips(self, feats: Sequence[Tensor]) -> Tensor:
        return torch.stack([feats_TD.float().mean(0).to(self.mean) for feats_TD in feats])
