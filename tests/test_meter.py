"""An epoch in numbers, and what is said while a long one runs."""

from __future__ import annotations

import pytest
import torch

from reelscribe.pipeline import meter
from reelscribe.pipeline.meter import Meter


def test_means_are_over_steps_and_clips_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(meter, "monotonic", lambda: now[0])
    one = Meter(3, 4)
    one.step(torch.tensor([1.0, 8.0]), 64)
    now[0] += 0.5
    assert one.note() == ""
    one.step(torch.tensor([2.0, 2.0]), 36)
    now[0] += 1.5
    assert one.note() == "epoch 3, batch 2/4, loss 1.500, norm 5.00, 50 clips/s"
    assert one.note() == ""
    assert one.row() == {
        "epoch": 3,
        "loss": 1.5,
        "grad_norm": 5.0,
        "grad_norm_max": 8.0,
        "clips_per_second": 50.0,
    }
