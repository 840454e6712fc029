"""Batches of features on the device that learns; on a GPU they stay there, as far as they fit.

Reads what :class:`pipeline.holding.OnDisk` reads, and how much of the GPU is free; writes nothing.
Shapes: B clips, T frames, D features a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

GIB = 1024**3

SHARE = 0.5
"""Of the free memory, a GPU's or the processor's, what features may take; the rest is for work."""


class Clip(Protocol):
    """What is put there; two clips are the same if they are one object."""

    @property
    def feats_TD(self) -> Tensor:
        """The features, in the processor's memory or read from the disk."""


def pad(feats: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (B, T, D) with zeros behind the shorter clips, and the lengths (B)."""
    lengths_B = torch.tensor([feats_TD.shape[0] for feats_TD in feats], device=device)
    return _stack(feats).to(device), lengths_B


def _stack(feats: Sequence[Tensor]) -> Tensor:
    # Stacking clips of one length is faster than filling up what needs none.
    alike = len({feats_TD.shape[0] for feats_TD in feats}) == 1
    return torch.stack(list(feats)) if alike else pad_sequence(list(feats), batch_first=True)


class Shelf:
    """Where batches come from: what was on a GPU once is not copied there again."""

    def __init__(self, device: torch.device, room: float) -> None:
        """Take the bytes that may stay."""
        self.device, self.left = device, room
        self._there: dict[Clip, Tensor] = {}

    @classmethod
    def on(cls, device: torch.device, memory: float | None = None) -> Shelf:
        """Return one with room for ``memory`` GiB, and for SHARE of what is free at most.

        None on a CPU: what it needs is in its memory already, or too large for it.
        """
        room = SHARE * free_on(device)
        return cls(device, room if memory is None else min(room, memory * GIB))

    def clear(self) -> None:
        """Let go of all that stays, and keep nothing from now on."""
        self.left = 0.0
        self._there.clear()

    def batch(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        """Return the clips' features (B, T, D), zeros behind the shorter, and the lengths (B)."""
        if not self._there and self.left <= 0:
            return pad([clip.feats_TD for clip in clips], self.device)
        new = [clip for clip in dict.fromkeys(clips) if clip not in self._there]
        copied = self._copied(new) if new else {}
        feats = [copied[clip] if clip in copied else self._there[clip] for clip in clips]
        # Once more even if all are new: what is done to a batch must not change what stays.
        return pad(feats, self.device)

    def _copied(self, clips: Sequence[Clip]) -> dict[Clip, Tensor]:
        """Copy clips to the device, all in one; they stay there if there is room for them."""
        feats = [clip.feats_TD for clip in clips]
        # First seen in a validation, a clip may be learnt from later.
        with torch.inference_mode(mode=False):
            feats_BTD = _stack(feats).to(self.device)
        copied = {
            clip: copy_TD[: len(feats_TD)]
            for clip, copy_TD, feats_TD in zip(clips, feats_BTD, feats, strict=True)
        }
        if feats_BTD.nbytes <= self.left:
            self.left -= feats_BTD.nbytes
            self._there |= copied
        return copied


def free_on(device: torch.device) -> float:
    """Return the bytes that this process may still take of a GPU; 0 for a CPU."""
    if device.type != "cuda":
        return 0.0
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for the next tensor is free too.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
