"""The heads that ship: whole, small, marked wherever they answer, and without what is not ours."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.checkpoint import load_head, read_manifest
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.ready import READY, notice, read_card, ready_as, runs_of
from reelscribe.pipeline.records import TOP

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
CARD = (Path(__file__).parents[1] / "configs" / "ready" / "model_card.md").read_text()


@pytest.mark.parametrize("task", READY)
def test_it_loads_in_single_precision_and_is_small(task: str) -> None:
    head, manifest = load_head(READY[task])
    assert manifest.task == task
    assert {value.dtype for value in head.state_dict().values()} == {torch.float32}
    stored = load_file(READY[task] / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert sum(path.stat().st_size for path in READY[task].iterdir()) < 3e6


@pytest.mark.parametrize("task", READY)
def test_it_holds_no_clip_and_no_caption(task: str) -> None:
    head, manifest = load_head(READY[task])
    assert not any(name.startswith("recall") for name in head.state_dict())
    assert {path.name for path in READY[task].iterdir()} == {
        "model.safetensors",
        "model.json",
        "card.json",
    }
    text = (READY[task] / "model.json").read_text() + (READY[task] / "card.json").read_text()
    assert "/" not in text, "no path of the machine that trained it"
    assert all(" " not in word for word in manifest.words), "words and no sentences"
    if isinstance(head, ActionHead):
        # One direction a class, and not one a clip.
        assert head.familiar.means_KD.shape == (9, manifest.dim)


@pytest.mark.parametrize("task", READY)
def test_its_recipe_ships_and_trains_such_a_head(task: str, tmp_path: Path) -> None:
    manifest, card = read_manifest(READY[task]), read_card(task)
    sets = [f"data.root={tmp_path}", f"data.annotations={tmp_path}"]
    config = load_config(Path(f"ready_{task}s"), sets)
    settings = config.head.model_dump(mode="json")
    assert {**settings, **manifest.head} == settings
    assert manifest.trained["dataset"] == config.data.dataset == card["dataset"]
    assert card["seed"] == config.training.seed
    assert manifest.frames == config.frames.model_dump(mode="json", exclude_none=True)


def test_the_card_has_the_scores_that_ship() -> None:
    for task in READY:
        card = read_card(task)
        for value in (card[card["measure"]], card["floor"], *card["ci95"]):
            assert f"{value:.3f}" in CARD
    for label in read_manifest(READY["action"]).labels:
        assert label in CARD
    calibration = read_manifest(READY["action"]).calibration
    for name in ("temperature", "threshold", "similarity"):
        assert f"{calibration[name]:.2f}" in CARD


def test_it_is_asked_where_no_run_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_of(None, None) == READY
    mine = tmp_path / "mine"
    assert runs_of(mine, None) == {"action": mine}
    assert runs_of(Path("ready"), mine) == {"action": READY["action"], "caption": mine}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ready").mkdir()
    assert runs_of(Path("ready"), None) == {"action": Path("ready")}


def test_a_copy_of_it_is_marked_too(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(READY["action"], tmp_path / "my actions"))
    assert ready_as(read_manifest(copy)) == "ready ucf101, 9 classes"
    assert ready_as(replace(read_manifest(copy), numbers="0" * 64)) is None


def test_its_notice_says_what_it_cannot_do() -> None:
    assert "knows ApplyEyeMakeup, " in notice("action")
    assert "and nothing else" in notice("action")
    assert "most captions are wrong" in notice("caption")
    assert all("\n" not in notice(task) for task in READY)


def test_a_folder_is_described_without_a_run_and_all_is_marked(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    """Figures on a stage are none of the nine actions, and no head should say that they are."""
    clips = sorted(Path(trained.clips).rglob("*.mp4"))[:2]
    ended = reelscribe("describe", *clips, "--out", "out", "--local")
    assert ended.returncode == 0, ended.stderr
    assert notice("action") in ended.stderr
    assert notice("caption") in ended.stderr
    out = tmp_path / "out"
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    for row in rows:
        assert row["by"]["actions"] == "ready ucf101, 9 classes"
        assert row["by"]["caption"].startswith("ready msvd")
        assert row["actions"] == []
        assert row["abstained"].startswith(("unlike the training clips", "most probable was"))
        assert row["abstained"] == row["segments"][0]["abstained"]
        assert len(row["objects"]) == TOP
        assert f"{row['path']}: [ready] no action" in ended.stderr
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert all("actions: ready ucf101" in row["by"] and row["abstained"] for row in table)
    assert [row["object"] for row in table] == [row["objects"][0]["label"] for row in rows]
    assert "ready ucf101, 9 classes" in (out / "report" / "index.html").read_text()


@pytest.mark.slow
def test_a_real_clip_of_its_classes_is_named(
    real_data: Path, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    """A test clip of split 1: no training and no validation clip is of its group."""
    clip = real_data / "ucf101" / "UCF-101" / "BalanceBeam" / "v_BalanceBeam_g03_c01.avi"
    ended = reelscribe("describe", clip, "--out", "out", "--local", "--action", "ready")
    assert ended.returncode == 0, ended.stderr
    (row,) = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert row["actions"][0]["label"] == "BalanceBeam"
    assert row["caption"] is None
    assert row["objects"][0]["label"] == "balance beam"
