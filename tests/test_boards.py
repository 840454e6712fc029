"""Curves for TensorBoard: every epoch once, whatever was killed; and the package may be absent."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from test_holding import written

from reelscribe.pipeline import training
from reelscribe.pipeline.boards import Board, check_tensorboard
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_jsonl, write_jsonl
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import train_run

Points = dict[str, list[tuple[int, float]]]


def points(folder: Path) -> Points:
    """Return tag -> steps and values."""
    accumulator: Any = importlib.import_module(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    found: Points = {}
    reader = accumulator.EventAccumulator(str(folder)).Reload()
    for tag in reader.Tags()["scalars"]:
        found[tag] = [(event.step, event.value) for event in reader.Scalars(tag)]
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_metrics_hold_is_there_once(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
    write_jsonl(tmp_path / "metrics.jsonl", rows)
    for _ in range(2):  # The second time goes on where the first was killed.
        board = Board(tmp_path)
    board.add({"epoch": 3, "loss": 0.5, "lr": 0.25})
    board.close()
    assert points(tmp_path / "tensorboard") == {
        "loss": [(1, 2.0), (2, 1.0), (3, 0.5)],
        "lr": [(3, 0.25)],
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_resumed_training_has_all_its_epochs(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    config, shared = written(tmp_path, "training.epochs=5", "training.patience=5")
    settings = load_config(config, [*shared, f"output={tmp_path / 'run'}"])
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    add = Board.add

    def cut(board: Board, row: dict[str, float]) -> None:
        add(board, row)
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Board, "add", cut)
        with pytest.raises(KeyboardInterrupt):
            train_run(settings, place, curves=True)
    train_run(settings, place, resume=True, curves=True)
    rows = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    found = points(tmp_path / "run" / "tensorboard")
    # Event files hold float32.
    for (step, value), row in zip(found["loss"], rows, strict=True):
        assert (step, pytest.approx(value, rel=1e-6)) == (row["epoch"], row["loss"])
    assert [step for step, _ in found["val_top1"]] == [1, 2, 3, 4, 5]
    assert {"grad_norm", "clips_per_second", "lr"} <= set(found)


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelscribe.pipeline.boards.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^--tensorboard needs the package tensorboard"):
        check_tensorboard()
