"""What readers and writers that only attend have in common: where a place is, how a layer is made.

Shapes: T places in a sequence, H values at each, F wave lengths.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def sinusoids(places: int, width: int) -> Tensor:
    """Return positions_TH: sines, then cosines, of wave lengths from 2 pi to 10,000 times that."""
    rates_F = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles_TF = torch.arange(places)[:, None] * rates_F
    return torch.cat((angles_TF.sin(), angles_TF.cos()), dim=1)[:, :width]


def layer_settings(width: int, dropout: float) -> dict[str, Any]:
    """Return what torch's encoder and decoder layers are made with, norms first."""
    return {
        "d_model": width,
        # Heads of 64 as in the paper, or as near to it as divides the width.
        "nhead": math.gcd(width, max(1, width // 64)),
        "dim_feedforward": 4 * width,
        "dropout": dropout,
        "batch_first": True,
        "norm_first": True,
    }
