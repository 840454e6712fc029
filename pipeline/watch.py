"""What is watched while a head trains: losses and gradients that are no numbers, and explosions.

Reads and writes nothing but a warning on stderr. Exploding gradients: Pascanu, Mikolov and Bengio
2013, https://arxiv.org/abs/1211.5063; a recurrent network multiplies its gradient at every step, so
it grows without a bound where nothing clips it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NoReturn

import torch
from torch import Tensor

from reelscribe.pipeline.progress import say

LAST = 50
"""Norms that are remembered."""

TIMES = 100.0
"""A norm this many times the median of those before it is an explosion."""

ENOUGH = 10
"""Norms before which nothing is called unusual."""

NAMED = 4
"""Clips of a batch, and norms, that a message holds."""


class Diverged(FloatingPointError):
    """The training cannot go on: the message says where and what to change."""


@dataclass(kw_only=True)
class Watch:
    """Looks at every step's loss and gradient norm."""

    clipped: bool
    """Whether the gradient is cut to ``training.clip_norm``."""
    names: Callable[[Any], Sequence[str]]
    """What gives the names of a batch's clips."""
    norms: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))
    explosions: int = 0
    """Steps so far whose norm exploded while nothing clipped it."""

    def loss(self, loss: Tensor, epoch: int, step: int, batch: Any) -> None:
        """Stop where the loss is no number.

        Raises:
            Diverged: it is NaN or infinite.
        """
        if not torch.isfinite(loss):
            self._stop(f"the loss is {loss.item()}", epoch, step, batch)

    def norm(self, norm: Tensor, epoch: int, step: int, batch: Any) -> None:
        """Remember a gradient's norm before clipping; where it explodes unclipped, say so.

        Raises:
            Diverged: it is NaN or infinite: so are weights, by the step.
        """
        value = float(norm)
        if not torch.isfinite(norm):
            self._stop(f"the gradient's norm is {value}", epoch, step, batch)
        usual = median(self.norms) if len(self.norms) >= ENOUGH else value
        if not self.clipped and value > TIMES * max(usual, 1e-12):
            self.explosions += 1
            if self.explosions == 1:
                say(
                    f"exploding gradient at epoch {epoch}, step {step}: its norm is {value:.3g}, "
                    f"usually {usual:.3g}; training.clip_norm is 0, set it (default 5.0)"
                )
        self.norms.append(value)

    def validation(self, loss: float, epoch: int) -> None:
        """Stop where the loss on the validation clips is no number: the last step broke the head.

        Raises:
            Diverged: it is NaN or infinite.
        """
        if not math.isfinite(loss):
            self._stop(f"the validation loss is {loss} after", epoch, None, None)

    def _stop(self, what: str, epoch: int, step: int | None, batch: Any) -> NoReturn:
        last = ", ".join(f"{norm:.3g}" for norm in list(self.norms)[-NAMED:]) or "none yet"
        names = [] if step is None else list(self.names(batch))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        place = f" epoch {epoch}" if step is None else f" at epoch {epoch}, step {step}"
        shown = f"; clips: {', '.join(names[:NAMED])}{more}" if names else ""
        exploded = (
            f"the gradient exploded with training.clip_norm 0 ({self.explosions} steps); set it"
            if self.explosions
            else "lower training.lr"
            + (" or training.clip_norm" if self.clipped else ", or set training.clip_norm")
        )
        raise Diverged(f"{what}{place} (last gradient norms: {last}{shown}); {exploded}")
