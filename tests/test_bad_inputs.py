"""Folders of one's own with something odd about them: they work, or are refused in one line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]


def sequences(tmp_path: Path, clips: dict[str, int]) -> str:
    """Write this many sequences of features a class; return the config's name."""
    rng = np.random.default_rng(0)
    for label, count in clips.items():
        (tmp_path / "in" / label).mkdir(parents=True)
        for n in range(count):
            np.save(tmp_path / "in" / label / f"{label}{n}.npy", rng.normal(size=(3, 4)))
    (tmp_path / "a.yaml").write_text(
        "data: {dataset: folder}\nencoder: {precomputed: in}\noutput: run\n"
        "head: {task: action, hidden: 4}\ntraining: {epochs: 2}\n"
    )
    return "a.yaml"


@pytest.mark.parametrize(
    ("clips", "says"),
    [
        ({"a": 1, "b": 1, "c": 1}, "has no val clips under in; for train, val and test a class"),
        ({"a": 9}, "one class only (a); an action head needs two"),
    ],
)
def test_too_little_is_refused_in_one_line(
    tmp_path: Path, reelscribe: Reelscribe, clips: dict[str, int], says: str
) -> None:
    refused = reelscribe("train", sequences(tmp_path, clips), "--local")
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_labels_of_any_script_and_empty_classes_go_through(
    tmp_path: Path, reelscribe: Reelscribe
) -> None:
    labels = {"my cat \U0001f408": 6, "cafe\u0301 & <b>": 6, "empty": 0}
    ended = reelscribe("train", sequences(tmp_path, labels), "--local", "--json")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads(ended.stdout)
    assert set(scores["labels"]) == {"my cat \U0001f408", "cafe\u0301 & <b>"}
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "<b>0" not in page
    assert "my cat \U0001f408" in page


def test_a_model_of_other_classes_or_features_is_not_asked(
    tmp_path: Path, reelscribe: Reelscribe
) -> None:
    config = sequences(tmp_path, {"a": 6, "b": 6})
    assert reelscribe("train", config, "--local").returncode == 0
    (tmp_path / "in" / "b").rename(tmp_path / "in" / "bb")
    refused = reelscribe("evaluate", config, "--local")
    assert refused.returncode == 2
    assert "was trained otherwise" in refused.stderr
    (tmp_path / "in" / "bb").rename(tmp_path / "in" / "b")
    for path in (tmp_path / "in").rglob("*.npy"):
        np.save(path, np.load(path)[:, :3])
    refused = reelscribe("evaluate", config, "--local")
    assert refused.returncode == 2
    assert "run was trained otherwise (recipe.encoder.dim 4 -> 3; " in refused.stderr
    assert "Traceback" not in refused.stderr
