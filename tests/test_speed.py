"""bf16 and compiled training: on the CPU what runs on a GPU, and the same head to a tolerance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline import speed
from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import TrainingConfig, load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_jsonl
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.tasks import ActionTask, Example, device
from reelscribe.pipeline.training import State, fit

if TYPE_CHECKING:
    from conftest import Trained


def taught(run: Path, cell: str, **settings: object) -> tuple[ActionTask, State]:
    """Train a small head to tell clips that rise from clips that fall."""
    torch.manual_seed(0)
    rise_TD = torch.linspace(-1, 1, 5)[:, None].repeat(1, 8)
    clips = []
    for n in range(48):
        feats_TD = rise_TD[: 3 + n % 3] if n % 2 else rise_TD[: 3 + n % 3].flip(0)
        noisy_TD = feats_TD + 0.3 * torch.randn_like(feats_TD)
        clips.append(Example(name=str(n), feats_TD=noisy_TD, label=n % 2))
    head = ActionHead(dim=8, classes=2, cell=cell, hidden=8, dropout=0.1, norm="standard")
    head.measure([clip.feats_TD for clip in clips])
    task = ActionTask(head, clips[:32], clips[32:], batch=8)
    config = TrainingConfig.model_validate({"epochs": 8, "lr": 0.02, "patience": 8, **settings})
    return task, fit(task, config, run, made_of="x")


@pytest.mark.parametrize(
    ("named", "gpu", "found"),
    [
        ("", False, "cpu"),
        ("cuda", False, "cpu"),
        ("", True, "cuda"),
        ("cpu", True, "cpu"),
        ("torch:cpu", True, "cpu"),
        ("cuda:1", True, "cuda:1"),
    ],
)
def test_heads_are_trained_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, named: str, gpu: bool, found: str
) -> None:
    monkeypatch.setenv("REELSCRIBE_DEVICE", named)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert device() == torch.device(found)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "transformer"])
def test_bf16_learns_as_float32_does_and_saves_float32(tmp_path: Path, cell: str) -> None:
    _, plain = taught(tmp_path / "plain", cell)
    task, half = taught(tmp_path / "half", cell, precision="bf16")
    assert min(plain.best_score, half.best_score) >= 0.9
    first, other = plain.rows[0]["loss"], half.rows[0]["loss"]
    assert first != other == pytest.approx(first, rel=0.02)
    assert {value.dtype for value in task.head.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_compiled_it_is_the_same_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    # Traced as for a GPU; only what makes the kernels, and takes a minute, is left out.
    monkeypatch.setattr(speed, "BACKEND", "eager")
    task, plain = taught(tmp_path / "plain", cell)
    names = set(task.head.state_dict())
    task, fast = taught(tmp_path / "fast", cell, compile=True, epochs=8)
    assert set(task.head.state_dict()) == names
    for a, b in zip(plain.rows, fast.rows, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)


@pytest.mark.parametrize("task", ["action", "caption"])
def test_a_run_in_bf16_has_a_head_that_loads_as_any_other(
    tmp_path: Path, trained: Trained, task: str
) -> None:
    name = "theatre" if task == "action" else "theatre_captions"
    place = Place(cache=trained.cache, runner=Runner(workers=2, local=True))
    settings = [*trained.settings(task), "training.precision=bf16", f"output={tmp_path / 'run'}"]
    train_run(load_config(Path(name), settings), place)
    head, _ = load_head(tmp_path / "run")
    assert next(head.parameters()).dtype == torch.float32
    assert next(head.parameters()).device.type == "cpu"
    assert read_jsonl(tmp_path / "run" / "metrics.jsonl")[0]["clips_per_second"] > 0


def test_what_cannot_be_compiled_is_one_line(
    tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "BACKEND", "no_such_backend")
    place = Place(cache=trained.cache, runner=Runner(workers=2, local=True))
    settings = [*trained.settings("action"), "training.compile=true", f"output={tmp_path / 'run'}"]
    said = r"^training\.compile is true and torch cannot .*no_such_backend.*; set it to false$"
    with pytest.raises(ValueError, match=said):
        train_run(load_config(Path("theatre"), settings), place)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, {"compile": True}])
def test_on_a_gpu_it_learns_the_same(tmp_path: Path, settings: dict[str, object]) -> None:
    assert torch.cuda.is_available()
    task, state = taught(tmp_path, "lstm", **settings)
    assert next(task.head.parameters()).device.type == "cuda"
    assert state.best_score >= 0.9


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("action", []),
        ("action", ["training.precision=bf16", "training.compile=true"]),
        ("caption", ["head.family=s2vt", "training.precision=bf16"]),
        ("caption", ["head.family=transformer", "training.compile=true"]),
        ("caption", ["training.scst_epochs=1"]),
    ],
)
def test_a_run_on_a_gpu_has_a_head_that_a_cpu_reads(
    tmp_path: Path, trained: Trained, task: str, settings: list[str]
) -> None:
    assert torch.cuda.is_available()
    assert device().type == "cuda"
    name = "theatre" if task == "action" else "theatre_captions"
    place = Place(cache=trained.cache, runner=Runner(workers=2, local=True))
    run = tmp_path / "run"
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    train_run(load_config(Path(name), [*trained.settings(task), *settings, f"output={run}"]), place)
    head, _ = load_head(run)
    assert {value.device.type for value in head.state_dict().values()} == {"cpu"}
    assert len(read_jsonl(run / "metrics.jsonl")) == 2
    if "training.scst_epochs=1" in settings:
        assert len(read_jsonl(run / "scst" / "metrics.jsonl")) == 1
    assert torch.cuda.max_memory_allocated() > before
