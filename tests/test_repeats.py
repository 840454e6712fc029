"""Several splits and seeds as one answer: what is averaged over what, and where it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from reelscribe.pipeline.config import Config, load_config
from reelscribe.pipeline.repeats import Result, combine, interval, runs_of, splits_of, videos

Reelscribe = Callable[..., CompletedProcess[str]]
CLASSES = ("Archery", "YoYo")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Two classes of 9 groups as features, with three official lists that test two groups each."""
    rng = np.random.default_rng(0)
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{i + 1} {c}\n" for i, c in enumerate(CLASSES)))
    for split in (1, 2, 3):
        for name, inside in (("test", True), ("train", False)):
            (lists / f"{name}list0{split}.txt").write_text(
                "".join(
                    f"{c}/v_{c}_g{g:02d}_c01.avi\n"
                    for c in CLASSES
                    for g in range(1, 10)
                    if (g in (2 * split - 1, 2 * split)) == inside
                )
            )
    (tmp_path / "feats").mkdir()
    for i, c in enumerate(CLASSES):
        for g in range(1, 10):
            feats_TD = rng.normal(0, 0.1, (4, 3))
            feats_TD[:, i] += 2
            np.save(tmp_path / "feats" / f"v_{c}_g{g:02d}_c01.npy", feats_TD.astype(np.float32))
    path = tmp_path / "u.yaml"
    path.write_text(
        f"data: {{dataset: ucf101, annotations: {lists}, split: all}}\n"
        f"encoder: {{precomputed: {tmp_path / 'feats'}}}\n"
        "head: {task: action, hidden: 4, norm: standard}\n"
        "training: {epochs: 12, lr: 0.05, seed: 5}\noutput: run\n"
    )
    return path


def test_all_is_each_official_split_in_a_folder_of_its_own(config_file: Path) -> None:
    config = load_config(config_file)
    assert [(one.data.split, str(one.output)) for one in splits_of(config)] == [
        ("1", "run/split-1"),
        ("2", "run/split-2"),
        ("3", "run/split-3"),
    ]
    assert str(runs_of(config)[2].output) == "run/split-3/seed-5"
    one = load_config(config_file, ["data.split=2"])
    assert splits_of(one) == runs_of(one) == (one,)


def test_all_of_one_split_is_refused(trained: Any) -> None:
    config = load_config(Path("theatre"), [*trained.settings("action"), "data.split=all"])
    with pytest.raises(ValueError, match=r"data.split all .* and theatre has none; name one split"):
        splits_of(config)


def made(config: Config, split: str, seed: int, right: str) -> Result:
    """A run whose test videos were told rightly (r) or wrongly (w)."""
    run = config.output / f"split-{split}" / f"seed-{seed}"
    run.mkdir(parents=True)
    rows = [
        {"id": f"{split}{n}", "label": "a", "ranked": [{"label": "a" if c == "r" else "b"}]}
        for n, c in enumerate(right)
    ]
    (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = {
        "task": "action",
        "dataset": "x",
        "cell": "lstm",
        "refit": False,
        "missing": 0,
        "split": split,
        "seed": seed,
        "top1": right.count("r") / len(right),
        "videos": len(right),
        "floor": 0.5,
        "subset": split == "2",
        "failed": [],
        "leaks": {"policy": "drop", "found": ["p = q"]},
        "top5": 1.0,
    }
    return Result(run=run, scores=scores, failed={})


def test_the_mean_is_over_splits_whatever_their_size(config_file: Path, tmp_path: Path) -> None:
    config = load_config(config_file, [f"output={tmp_path / 'made'}"])
    results = [
        made(config, "1", 5, "rrww"),
        made(config, "1", 6, "rrrr"),
        made(config, "2", 5, "rw"),
        made(config, "2", 6, "ww"),
    ]
    scores = combine(config, results)
    # Seed 5: (2/4 + 1/2) / 2; seed 6: (4/4 + 0/2) / 2. Their mean 0.5, their spread 0.
    assert scores["per_seed"] == [0.5, 0.5]
    assert (scores["top1"], scores["spread"]) == (0.5, 0.0)
    assert scores["per_split"] == {"1": 0.75, "2": 0.25}
    assert (scores["videos"], scores["subset"], scores["seeds"]) == (6, True, [5, 6])
    assert scores["leaks"] == {"policy": "refuse", "found": ["p = q"]}
    assert [row["run"] for row in scores["runs"]][1] == "split-1/seed-6"
    assert videos(results) == {
        "1": {"10": 1.0, "11": 1.0, "12": 0.5, "13": 0.5},
        "2": {"20": 0.5, "21": 0.0},
    }


def test_an_interval_of_videos_that_all_agree_is_a_point() -> None:
    low, high = interval({"1": {"a": 1.0, "b": 1.0}, "2": dict.fromkeys("cd", 1.0)})
    assert (low, high) == (1.0, 1.0)
    low, high = interval({"1": {"a": 1.0, "b": 0.0}, "2": {"c": 0.0, "d": 1.0}})
    assert low < 0.5 < high


def test_train_all_splits_with_two_seeds(
    config_file: Path, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    ended = reelscribe("train", config_file, "--seeds", "2", "--local", "--json")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads(ended.stdout)
    assert scores == json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (scores["split"], scores["seeds"], scores["videos"]) == ("all", [5, 6], 12)
    assert scores["top1"] == pytest.approx(np.mean(list(scores["per_split"].values())))
    for row in scores["runs"]:
        own = json.loads((tmp_path / "run" / row["run"] / "scores.json").read_text())
        assert (own["split"], own["seed"], own["top1"]) == (row["split"], row["seed"], row["top1"])
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert page.count(">report</a>") == 6
    assert (tmp_path / "run/report/../split-3/seed-6/report/index.html").is_file()
    planned = reelscribe("plan", config_file, "--json")
    steps = json.loads(planned.stdout)
    assert [step["fresh"] for step in steps] == [True] * 12
    assert {step["run"] for step in steps} == {f"run/split-{n}/seed-5" for n in (1, 2, 3)}
    again = reelscribe("evaluate", config_file, "--seeds", "2", "--local")
    assert again.returncode == 0, again.stderr
    assert "spread over 2 seeds" in again.stdout
    assert "split 3" in again.stdout
    refused = reelscribe("train", config_file, "--seeds", "0", "--local")
    assert refused.returncode == 2
    assert "--seeds is how many times a head is trained, at least 1; got 0" in refused.stderr


def test_compare_over_all_splits_pairs_the_videos(
    config_file: Path, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    ended = reelscribe("compare", config_file, "--cells", "none,gru", "--local", "--json")
    assert ended.returncode == 0, ended.stderr
    table = json.loads(ended.stdout)
    none, gru = table["rows"]
    assert set(none["per_split"]) == {"1", "2", "3"}
    assert "over_none" not in none
    assert gru["over_none"]["gap"] == pytest.approx(gru["score"] - none["score"])
    assert (tmp_path / "run" / "compare" / "split-2" / "gru-5" / "scores.json").is_file()
    shown = reelscribe("compare", config_file, "--cells", "none,gru", "--local").stdout
    assert "against mean pooling" in shown
