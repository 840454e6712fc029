"""What would run, and why: each stage fresh or stale, in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from reelscribe.pipeline.config import Config, load_config
from reelscribe.pipeline.inputs import load_split
from reelscribe.pipeline.plan import plan


def steps(trained: object, run: Path, *changes: str) -> dict[str, str]:
    config = configured(trained, run, *changes)
    found = plan(config, load_split(config), trained.cache)  # type: ignore[attr-defined]
    return {step.stage: "fresh" if step.fresh else step.why for step in found}


def configured(trained: object, run: Path, *changes: str) -> Config:
    settings = trained.settings("action")  # type: ignore[attr-defined]
    return load_config(Path("theatre"), [*settings, f"output={run}", *changes])


@pytest.fixture
def run(trained: object, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.action, tmp_path / "run"))  # type: ignore[attr-defined]


def test_after_a_run_all_is_fresh(trained: object, run: Path) -> None:
    assert set(steps(trained, run).values()) == {"fresh"}


def test_a_head_re_trains_and_encodes_nothing(trained: object, run: Path) -> None:
    found = steps(trained, run, "head.hidden=32", "training.lr=1e-2")
    assert found["encode"] == "fresh"
    assert found["train"] == "head.hidden 16 -> 32; training.lr 0.002 -> 0.01"
    assert found["predict"] == "waits for train"
    assert found["evaluate"] == "waits for train"


def test_other_frames_encode_again(trained: object, run: Path) -> None:
    found = steps(trained, run, "frames.count=5")
    assert found["encode"].startswith("36 of 36 videos: 0 new, changed or moved, 36 seen but not")
    assert found["train"] == "waits for the features"


@pytest.mark.parametrize(
    ("lost", "stage"),
    [("model.json", "train"), ("predictions.jsonl", "predict"), ("scores.json", "evaluate")],
)
def test_a_lost_file_is_made_again(trained: object, run: Path, lost: str, stage: str) -> None:
    (run / lost).unlink()
    found = steps(trained, run)
    assert found[stage] == f"no {lost} yet"
    assert [name for name, why in found.items() if why == "fresh"] == {
        "train": ["encode"],
        "predict": ["encode", "train"],
        "evaluate": ["encode", "train", "predict"],
    }[stage]


def test_edited_predictions_are_scored_again(trained: object, run: Path) -> None:
    with (run / "predictions.jsonl").open("a") as file:
        file.write("\n")
    assert steps(trained, run)["evaluate"].startswith("predictions ")


def test_the_run_says_all_that_decided_it(trained: object, run: Path) -> None:
    written = yaml.safe_load((run / "config.yaml").read_text())
    again = Config.model_validate({**written, "output": str(run)})
    assert again == configured(trained, run)
