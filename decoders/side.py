"""Side input: what a caption head is told of a clip beside its frames.

The category of the clip, which MSR-VTT gives for every video, or what an action head says of the
same features. Both are put beside every frame (as by Ramanishka et al. 2016,
https://doi.org/10.1145/2964284.2984066, beside the state of what writes), so all families take it.

A category travels with the features, as one more column: 0 where it is not known, else its number
and one. Clips of one's own have none, so in training it is hidden at random: a vector of its own
stands for "unknown".

Shapes: B clips, T frames, D features a frame, K classes, S values of the side input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.mapped import Mapped
from reelscribe.decoders.scaling import Norm, create_norm

CATEGORIES = 20
"""Of MSR-VTT: music, people, gaming ..."""

WIDTH = 32
"""Values that stand for a category."""

HIDDEN = 0.2
"""The share of clips whose category is hidden while the head learns."""


def with_category(feats_TD: Tensor, category: int | None) -> Tensor:
    """Return features with the category as their last column.

    Raises:
        ValueError: there is no such category.
    """
    if category is not None and not 0 <= category < CATEGORIES:
        raise ValueError(f"a category is a number from 0 to {CATEGORIES - 1}, got {category}")
    told = 0.0 if category is None else category + 1.0
    return torch.cat((feats_TD, feats_TD.new_full((len(feats_TD), 1), told)), dim=1)


def create_inputs(norm: str, dim: int, side: Mapping[str, Any] | None) -> Norm:
    """Return what is done to features first, with the side input beside it where there is one.

    Args:
        norm: see :func:`create_norm`.
        dim: width of the features, with the column of a category.
        side: None; ``{"kind": "category"}``; or ``{"kind": "action", "classes": K, "head": ...}``
            with the settings of the action head.
    """
    if side is None:
        return create_norm(norm, dim)
    if side["kind"] == "category":
        return WithCategory(create_norm(norm, dim - 1))
    head = ActionHead(dim=dim, classes=side["classes"], **side["head"])
    return WithActions(create_norm(norm, dim), head, classes=side["classes"])


class WithCategory(Norm):
    """The frames without their last column, and beside them what stands for the category."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.embed = nn.Embedding(CATEGORIES + 1, WIDTH)
        self.out_dim = norm.out_dim + WIDTH

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Look at the training clips; their last column is no feature."""
        clips = feats if isinstance(feats, Sequence) else list(feats)
        self.norm.measure(Mapped(clips, lambda feats_TD: feats_TD[:, :-1]))

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return inputs_BTD of the frames where ``mask_BT`` is True."""
        # The first frame is never padding. What was spoilt on its way is as good as unknown.
        told_B = feats_BTD[:, 0, -1].nan_to_num().clamp(0, CATEGORIES).long()
        if self.training:
            hidden_B = torch.rand(len(told_B), device=told_B.device) < HIDDEN
            told_B = told_B.masked_fill(hidden_B, 0)
        side_BTS = self.embed(told_B)[:, None].expand(-1, feats_BTD.shape[1], -1)
        return torch.cat((self.norm(feats_BTD[:, :, :-1], mask_BT), side_BTS), dim=2)


class WithActions(Norm):
    """The frames, and beside each the probabilities of a trained action head, which stays as is."""

    def __init__(self, norm: Norm, head: ActionHead, *, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.head = head.eval().requires_grad_(False)
        self.out_dim = norm.out_dim + classes

    def train(self, mode: bool = True) -> WithActions:
        """Switch to training or back, the action head apart: it answers as it would alone."""
        super().train(mode)
        self.head.eval()
        return self

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Look at the training clips."""
        self.norm.measure(feats)

    def forward(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return inputs_BTD of the frames where ``mask_BT`` is True."""
        with torch.no_grad():
            chances_BK = self.head(feats_BTD, mask_BT.sum(dim=1)).softmax(dim=1)
        side_BTK = chances_BK[:, None].expand(-1, feats_BTD.shape[1], -1)
        return torch.cat((self.norm(feats_BTD, mask_BT), side_BTK), dim=2)
