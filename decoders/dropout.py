"""Dropout of whole sequences: one mask for all frames of a clip.

Reads and writes nothing. Shapes: B clips, T frames, D values a frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceDropout(nn.Dropout):
    """Drop the same values of every frame of a clip, others in the next clip.

    Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287, at what a layer reads; the recurrent
    connections inside torch's fused cells are left whole. A mask of its own a frame, as plain
    dropout draws it, adds noise over time that a memory then has to average out.
    """

    def forward(self, feats_BTD: Tensor) -> Tensor:
        """Return the features with a share of them 0 and the others scaled up, while training."""
        if not self.training or not self.p:
            return feats_BTD
        mask_B1D = torch.empty_like(feats_BTD[:, :1]).bernoulli_(1 - self.p)
        return feats_BTD * (mask_B1D / (1 - self.p))
