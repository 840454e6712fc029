"""The exponential moving average of a head's weights, which is validated and kept in their place.

An average over the last steps is often better than the last step (Polyak and Juditsky 1992,
https://doi.org/10.1137/0330046; as deep networks use it, Tarvainen and Valpola 2017,
https://arxiv.org/abs/1703.01780). Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def decay_at(decay: float, steps: int) -> float:
    """Return the decay after ``steps`` steps: at most (1 + steps) / (10 + steps).

    TensorFlow's warm-up: the first steps' weights, which are nearly random, are soon forgotten.
    """
    return min(decay, (1 + steps) / (10 + steps))


class Average:
    """The averaged weights of one head; with a ``decay`` of 0 the head's own."""

    def __init__(self, head: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"training.ema is {decay}; it must be at least 0 and below 1")
        self.head, self.decay = head, decay
        self.model = AveragedModel(head, multi_avg_fn=self._step) if decay else None

    def update(self) -> None:
        """Take the head's weights in, after a step; the first are taken whole."""
        if self.model is not None:
            self.model.update_parameters(self.head)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the head, and its own back at the end."""
        if self.model is None:
            yield
            return
        own = _copy(self.head)
        self.head.load_state_dict(self.model.module.state_dict())
        try:
            yield
        finally:
            self.head.load_state_dict(own)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the averaged weights, by their names in the head."""
        return _copy(self.head if self.model is None else self.model.module)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        return {} if self.model is None else self.model.state_dict()

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        if self.model is not None:
            self.model.load_state_dict(values)

    def _step(self, averages: Any, weights: Any, steps: Tensor | int) -> None:
        blend = get_ema_multi_avg_fn(decay_at(self.decay, int(steps)))  # type: ignore[no-untyped-call]
        blend(averages, weights, steps)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in module.state_dict().items()}
