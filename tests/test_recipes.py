"""Recipes that no command of the README runs: those for a GPU and a network, and time's arrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from test_msrvtt import TEST, TRAIN_VAL, halves
from test_ucf101 import stem

from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_jsonl
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import train_run

CLIP = ("ucf101_clip", "msrvtt_clip")

LITTLE = ("frames.count=2", "head.hidden=8", "training.batch=4")
"""What a test of a minute cannot do at the recipe's size."""


@pytest.mark.parametrize("name", CLIP)
def test_its_network_has_weights_on_the_hub_and_is_a_clip_tower(name: str, tmp_path: Path) -> None:
    sets = [f"data.root={tmp_path}", f"data.annotations={tmp_path}"]
    config = load_config(Path(name), sets)
    assert config.encoder.weights == "hub"
    assert config.encoder.backbone in timm.list_pretrained("convnext*clip*")
    assert config.frames.count == 32
    assert (config.head.cell, config.data.missing) == ("lstm", "refuse")
    if config.head.task == "caption":
        assert config.head.family == "attention"
        assert config.training.scst_epochs > 0


def actions(root: Path, make_video: Callable[..., Path], step: int = 1) -> None:
    """Lay out two classes of UCF101: a clip each to learn from, validate and test by.

    A frame is brighter by ``step`` than the one before it.
    """
    lines: dict[str, list[str]] = {"trainlist01": [], "testlist01": []}
    for number, label in enumerate(("Archery", "Bowling"), start=1):
        for group, listed in ((1, "testlist01"), (8, "trainlist01"), (25, "trainlist01")):
            name = f"{label}/{stem(label, group)}.avi"
            shade = 80 * number + group - step
            make_video(root / name, frames=6, grey=lambda i, n=shade: (n + step * (i + 1)) % 256)
            lines[listed].append(name if group == 1 else f"{name} {number}")
    lines["classInd"] = ["1 Archery", "2 Bowling"]
    for file, said in lines.items():
        (root / f"{file}.txt").write_text("\n".join(said))


def captions(root: Path, make_video: Callable[..., Path]) -> None:
    """Lay out four videos of MSR-VTT: two to learn from."""
    for name, half in halves().items():
        (root / name).write_text(json.dumps(half))
    for number in range(4):
        make_video(root / f"video{number}.mp4", frames=6, grey=lambda i, n=number: 50 * n + i)
    assert {TRAIN_VAL, TEST} == set(halves())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random numbers for the architecture of both."""
    torch.manual_seed(0)
    model: Any = timm.create_model("convnext_base", pretrained=False, num_classes=0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIP)
def test_it_runs_with_random_weights(
    name: str, tmp_path: Path, weights: Path, own_cache: Path, make_video: Callable[..., Path]
) -> None:
    (actions if name == "ucf101_clip" else captions)(tmp_path, make_video)
    caption = ["training.scst_epochs=1", "head.min_count=1"] if name == "msrvtt_clip" else []
    places = [f"data.root={tmp_path}", f"data.annotations={tmp_path}", f"output={tmp_path / 'run'}"]
    # One graph serves both: exporting it takes most of the time.
    network = [f"encoder.weights={weights}", "encoder.backbone=convnext_base.clip_laion2b_augreg"]
    config = load_config(Path(name), [*places, *network, *LITTLE, "training.epochs=2", *caption])
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    scores = train_run(config, place).scores
    head, manifest = load_head(tmp_path / "run")
    assert manifest.dim == head.dim == 1024
    assert len(read_jsonl(tmp_path / "run" / "metrics.jsonl")) == 2
    said = read_jsonl(tmp_path / "run" / "predictions.jsonl")
    assert len(said) == (2 if name == "ucf101_clip" else 1)
    assert ("CIDEr" if name == "msrvtt_clip" else "top1") in scores
    assert (tmp_path / "run" / "scst" / "metrics.jsonl").is_file() == (name == "msrvtt_clip")


@pytest.mark.parametrize("cell", ["none", "lstm"])
def test_the_arrow_of_time_is_told_by_a_memory_alone(
    cell: str, tmp_path: Path, own_cache: Path, make_video: Callable[..., Path]
) -> None:
    """Clips that brighten, and their reverses that darken, with ImageNet features."""
    actions(tmp_path, make_video, step=12)
    places = [f"data.root={tmp_path}", f"data.annotations={tmp_path}", f"output={tmp_path / 'run'}"]
    few = [
        "frames.count=6",
        "head.thin=3",
        f"head.cell={cell}",
        "training.epochs=30",
        "data.trim=0",
    ]
    config = load_config(Path("ucf101_arrow"), [*places, *few, "training.refit=false"])
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    scores = train_run(config, place).scores
    _, manifest = load_head(tmp_path / "run")
    assert tuple(manifest.labels[2:]) == ("Archery (backwards)", "Bowling (backwards)")
    assert scores["direction"] == (1.0 if cell == "lstm" else 0.5)
    assert scores["order_pairs"] == scores["top1"], "every class is one of a pair; ties as there"
