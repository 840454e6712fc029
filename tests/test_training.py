"""The training loop: what it keeps, when it stops, and that a resumed one is the same one."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reelscribe.pipeline import training
from reelscribe.pipeline.config import TrainingConfig
from reelscribe.pipeline.recipe import Precision
from reelscribe.pipeline.training import fit, unfinished
from reelscribe.pipeline.watch import Diverged


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Line:
    """Fit y = 2 x, with a dropout so that the random stream matters; scores can be dictated."""

    measure = "score"
    steps = 4

    def __init__(self, scores: list[float] | None = None, *, loss: float = 1.0) -> None:
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)
        self.head = nn.Sequential(nn.Dropout(0.5), self.line)
        self.scores = iter(scores) if scores is not None else None
        self.scale = loss

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        for _ in range(self.steps):
            yield torch.randn(8, 3, generator=generator)

    def names(self, batch: Tensor) -> list[str]:
        return [f"clip{n}" for n in range(len(batch))]

    def loss(self, batch: Tensor) -> Tensor:
        error: Tensor = self.head(batch)[:, 0] - 2 * batch.sum(1)
        return self.scale * error.square().mean()

    def validate(self) -> tuple[float, float]:
        score = -float(self.loss(torch.ones(1, 3)))
        return (score if self.scores is None else next(self.scores)), -score


def losses(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def test_it_learns_and_writes_a_line_an_epoch(tmp_path: Path) -> None:
    state = fit(Line(), TrainingConfig(epochs=5, lr=0.1), tmp_path, made_of="x")
    rows = losses(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]
    assert set(rows[0]) == {
        *("epoch", "loss", "val_loss", "val_score", "lr", "grad_norm", "grad_norm_max"),
    }
    assert state.best_epoch == max(rows, key=lambda row: row["val_score"])["epoch"]


def test_the_best_epoch_is_kept_and_patience_ends_it(tmp_path: Path) -> None:
    task = Line([0.1, 0.7, 0.3, 0.2, 0.9])
    seen: list[Tensor] = []
    state = fit(
        task,
        TrainingConfig(epochs=5, patience=2, lr=0.1),
        tmp_path,
        made_of="x",
        told=lambda row: seen.append(task.line.weight.detach().clone()),
    )
    # Epochs 3 and 4 are no better than epoch 2, so epoch 5 is never reached.
    assert (state.epoch, state.best_epoch, state.best_score) == (4, 2, 0.7)
    torch.testing.assert_close(task.line.weight, seen[1])


def test_with_an_average_it_is_validated_and_kept(tmp_path: Path) -> None:
    task, weights = Line(), []
    settings = TrainingConfig(epochs=3, lr=0.1, ema=0.5, patience=3)
    validate = task.validate

    def watched() -> tuple[float, float]:
        weights.append(task.line.weight.detach().clone())
        return validate()

    task.validate = watched  # type: ignore[method-assign]
    trained: list[Tensor] = []
    state = fit(
        task,
        settings,
        tmp_path,
        made_of="x",
        told=lambda row: trained.append(task.line.weight.detach().clone()),
    )
    assert torch.equal(task.line.weight, weights[state.best_epoch - 1])
    # Training goes on from its own weights, which are not those that were validated.
    assert not any(torch.equal(*pair) for pair in zip(weights, trained, strict=True))
    plain = Line()
    own: list[Tensor] = []
    fit(
        plain,
        settings.model_copy(update={"ema": 0.0}),
        tmp_path,
        made_of="x",
        told=lambda row: own.append(plain.line.weight.detach().clone()),
    )
    assert all(torch.equal(*pair) for pair in zip(trained, own, strict=True))


def test_of_two_equal_scores_the_lower_loss_is_kept(tmp_path: Path) -> None:
    state = fit(Line([0.7] * 3), TrainingConfig(epochs=3, lr=0.1), tmp_path, made_of="x")
    best = min(losses(tmp_path), key=lambda row: row["val_loss"])
    assert state.best_epoch == best["epoch"] == 3


def test_clipping_is_logged_as_it_was_before(tmp_path: Path) -> None:
    fit(Line(loss=1000.0), TrainingConfig(epochs=1, clip_norm=0.5), tmp_path, made_of="x")
    assert losses(tmp_path)[0]["grad_norm"] > 100


def test_a_loss_that_is_no_number_stops_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged,
        match=r"^the loss is inf at epoch 1, step 0 \(last gradient norms: none yet; clips: clip0, "
        r"clip1, clip2, clip3 and 4 more\); lower training.lr or training.clip_norm$",
    ):
        fit(Line(loss=math.inf), TrainingConfig(epochs=3), tmp_path, made_of="x")


def test_the_seed_decides(tmp_path: Path) -> None:
    """Complaint 24 (RMN#17): +-5 CIDEr by seed, and no way to run the same one again."""
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(Line(), TrainingConfig(epochs=3, seed=seed), tmp_path / name, made_of="x")
        runs[name] = losses(tmp_path / name)
    assert runs["a"] == runs["b"] != runs["c"]


class _Cut(Exception):
    """The power went."""


@pytest.mark.parametrize(("ema", "precision"), [(0.0, "float32"), (0.9, "float32"), (0.9, "bf16")])
def test_resumed_is_the_same_as_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float, precision: Precision
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    settings = TrainingConfig(epochs=8, lr=0.05, patience=8, ema=ema, precision=precision)
    whole = Line()
    fit(whole, settings, tmp_path / "whole", made_of="x")

    def cut(row: Any) -> None:
        if row["epoch"] == 5:
            raise _Cut

    with pytest.raises(_Cut):
        fit(Line(), settings, tmp_path / "cut", made_of="x", told=cut)
    assert unfinished(tmp_path / "cut")
    rest = Line()
    fit(rest, settings, tmp_path / "cut", made_of="x", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert torch.equal(rest.line.weight, whole.line.weight)


def test_the_state_of_another_training_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    fit(Line(), TrainingConfig(epochs=2), tmp_path, made_of="x")
    with pytest.raises(ValueError, match="begun with other data or settings"):
        fit(Line(), TrainingConfig(epochs=2), tmp_path, made_of="y", resume=True)
    (tmp_path / "training.pt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"training\.pt is damaged"):
        fit(Line(), TrainingConfig(epochs=2), tmp_path, made_of="x", resume=True)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_training import Line
from reelscribe.pipeline import training
from reelscribe.pipeline.config import TrainingConfig
training.SAVE_EVERY = 0.0
import time, torch
torch.set_num_threads(1)
settings = TrainingConfig(epochs=40, lr=0.05, patience=40, ema=0.95)
training.fit(Line(), settings, Path(sys.argv[1]), made_of="x", resume=True,
             told=lambda row: time.sleep(0.02))
"""


@pytest.mark.slow
def test_killed_again_and_again_it_ends_at_the_same_losses(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    kills = 0
    for attempt in range(20):
        with subprocess.Popen([sys.executable, script, tmp_path / "run"]) as process:
            aim = len(losses(tmp_path / "run")) + 6 if (tmp_path / "run").is_dir() else 6
            while process.poll() is None:
                there = (tmp_path / "run" / "metrics.jsonl").is_file()
                if attempt < 4 and there and len(losses(tmp_path / "run")) >= aim:
                    os.kill(process.pid, signal.SIGKILL)
                    kills += 1
                    break
                time.sleep(0.005)
        if process.returncode == 0:
            break
    assert kills >= 3
    settings = TrainingConfig(epochs=40, lr=0.05, patience=40, ema=0.95)
    fit(Line(), settings, tmp_path / "one", made_of="x")
    assert losses(tmp_path / "run") == losses(tmp_path / "one")
