"""Features of many clips as one sequence: each is read when it is looked at, and not before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from reelscribe.pipeline.holding import OnDisk
from reelscribe.pipeline.tasks import Example
from reelscribe.pipeline.views import Views


def test_each_look_reads_one_clip(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
    save_file({"features": numbers}, tmp_path / "there.safetensors")
    views = Views(
        [
            Example(feats_TD=torch.zeros(1, 2)),
            OnDisk(
                tmp_path / "there.safetensors",
                change=lambda feats_TD: feats_TD.flip(0),
                name="there",
            ),
            OnDisk(tmp_path / "gone.safetensors", change=lambda feats_TD: feats_TD, name="gone"),
        ]
    )
    assert len(views) == 3
    assert torch.equal(views[1], torch.tensor([[4.0, 5.0], [2.0, 3.0], [0.0, 1.0]]))
    assert [len(feats_TD) for feats_TD in views[:2]] == [1, 3]
    with pytest.raises(ValueError, match="of gone cannot be read"):
        views[-1]
