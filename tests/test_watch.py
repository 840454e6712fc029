"""Losses and gradients that go wrong are named with their step, their clips and the last norms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.watch import ENOUGH, Diverged, Watch


def watch(*, clipped: bool) -> Watch:
    return Watch(clipped=clipped, names=lambda batch: ["a", "b"])


def value(number: float) -> Tensor:
    return torch.tensor(number)


def test_a_nan_loss_names_the_last_norms() -> None:
    seen = watch(clipped=True)
    for step, norm in enumerate((9.0, 1.0, 2.0, 3.0, 4.5)):
        seen.norm(value(norm), 3, step, None)
    with pytest.raises(Diverged) as stopped:
        seen.loss(value(math.nan), 3, 5, None)
    assert str(stopped.value) == (
        "the loss is nan at epoch 3, step 5 (last gradient norms: 1, 2, 3, 4.5; clips: a, b); "
        "lower training.lr or training.clip_norm"
    )


def test_a_gradient_that_is_no_number_stops_before_the_step() -> None:
    with pytest.raises(Diverged, match=r"^the gradient's norm is inf at epoch 1, step 0 .*or set"):
        watch(clipped=False).norm(value(math.inf), 1, 0, None)


def test_an_explosion_is_named_once_where_nothing_clips(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for clipped in (True, False):
        seen = watch(clipped=clipped)
        for step in range(ENOUGH):
            seen.norm(value(1.0), 1, step, None)
        seen.norm(value(99.0), 1, 10, None)
        seen.norm(value(101.0), 1, 11, None)
        seen.norm(value(5000.0), 1, 12, None)
        said = capsys.readouterr().err
        assert seen.explosions == (0 if clipped else 2)
        assert said.count("exploding gradient at epoch 1, step 11: its norm is 101, usually 1") == (
            0 if clipped else 1
        )
    with pytest.raises(Diverged, match=r"exploded with training.clip_norm 0 \(2 steps\); set it"):
        seen.loss(value(math.nan), 2, 0, None)


def test_a_run_that_diverges_ends_with_one_line(tmp_path: Path, own_cache: Path) -> None:
    """A plain rnn at an absurd rate: one line, and nothing that counts as a model."""
    rng = np.random.default_rng(0)
    for label in ("down", "up"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for n in range(8):
            np.save(tmp_path / "in" / label / f"{n}.npy", rng.normal(size=(30, 4)))
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder}}\nencoder: {{precomputed: {tmp_path / 'in'}}}\n"
        f"head: {{task: action, cell: rnn, hidden: 8}}\noutput: {tmp_path / 'run'}\n"
        "training: {epochs: 40, lr: 1.0e+6, clip_norm: 0, weight_decay: 100, batch: 4}\n"
    )
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    with pytest.raises(Diverged, match=r"^the .* (at|after) epoch \d+.*set training.clip_norm$"):
        train_run(load_config(tmp_path / "a.yaml"), place)
    assert not (tmp_path / "run" / "model.json").exists()
