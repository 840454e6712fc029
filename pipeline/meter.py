"""What an epoch comes to: mean loss, gradient norms, clips a second. Reads and writes nothing."""

from __future__ import annotations

from time import monotonic

from torch import Tensor

SPOKEN = 1.0
"""Seconds between two notes within an epoch."""


class Meter:
    """Counts the steps of one epoch; make it when the epoch begins."""

    def __init__(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps = epoch, steps
        self.began = self.spoken = monotonic()
        self.clips = 0
        self.losses: list[float] = []
        self.norms: list[float] = []

    def step(self, seen: Tensor, clips: int) -> None:
        """Count one step.

        Args:
            seen: its loss and the norm of its gradient before clipping, on the CPU.
            clips: how many were learnt from; for captions, pairs of clip and caption.
        """
        loss, norm = seen.tolist()
        self.losses.append(loss)
        self.norms.append(norm)
        self.clips += clips

    def row(self) -> dict[str, float]:
        """Return the epoch in numbers: a line of ``metrics.jsonl``, but for the validation."""
        return {
            "epoch": self.epoch,
            "loss": sum(self.losses) / len(self.losses),
            "grad_norm": sum(self.norms) / len(self.norms),
            "grad_norm_max": max(self.norms),
            "clips_per_second": self.clips / max(monotonic() - self.began, 1e-9),
        }

    def note(self) -> str:
        """Return how far a long epoch is, in words; nothing where it was just said."""
        if monotonic() - self.spoken < SPOKEN:
            return ""
        self.spoken = monotonic()
        row = self.row()
        return (
            f"epoch {self.epoch}, batch {len(self.losses)}/{self.steps}, loss {row['loss']:.3f}, "
            f"norm {row['grad_norm']:.2f}, {row['clips_per_second']:,.0f} clips/s"
        )
