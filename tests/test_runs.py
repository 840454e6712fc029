"""Runs over a config: what is done again, what is refused, and what a broken clip costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_holding import written

from reelscribe.pipeline.config import Config, load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_json
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.inputs import Place, load_split
from reelscribe.pipeline.plan import forget
from reelscribe.pipeline.runs import compare, evaluate_run, train_run
from reelscribe.pipeline.telling import BEAMS


@pytest.fixture
def place(trained: Any) -> Place:
    return Place(cache=trained.cache, runner=Runner(workers=1, local=True))


def config(trained: Any, run: Path, *changes: str, task: str = "action") -> Config:
    name = {"action": "theatre", "caption": "theatre_captions"}[task]
    return load_config(Path(name), [*trained.settings(task), f"output={run}", *changes])


@pytest.fixture
def run(trained: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.action, tmp_path / "run"))


def times(run: Path) -> dict[str, int]:
    names = ("model.safetensors", "predictions.jsonl", "scores.json")
    return {name: (run / name).stat().st_mtime_ns for name in names}


def test_a_second_training_does_nothing(trained: Any, run: Path, place: Place) -> None:
    before = times(run)
    result = train_run(config(trained, run), place)
    assert times(run) == before
    assert result.scores == json.loads((run / "scores.json").read_text())


def test_what_a_kill_left_is_done_again(trained: Any, run: Path, place: Place) -> None:
    forget(run, "predict")  # As the stage does before it writes; then it was killed.
    before = times(run)
    train_run(config(trained, run), place)
    after = times(run)
    assert after["model.safetensors"] == before["model.safetensors"]
    assert after["predictions.jsonl"] > before["predictions.jsonl"]


def test_a_damaged_model_is_trained_again(trained: Any, run: Path, place: Place) -> None:
    model = run / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    train_run(config(trained, run), place)
    assert model.read_bytes() == whole, "the same seed gives the same head"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.seed=7", "training.seed 0 -> 7"),
        ("head.cell=gru", "head.cell lstm -> gru"),
        ("data.seed=1", "data.train.digest"),
    ],
)
def test_another_trainings_model_is_not_scored_as_this_ones(
    trained: Any, run: Path, place: Place, change: str, said: str, tmp_path: Path
) -> None:
    """Complaint 1 (C3D#156): a model of split 1 scored on split 2 has seen the test clips."""
    changes = [change]
    if change.startswith("data."):
        changes.append(f"data.root={tmp_path / 'other clips'}")
    with pytest.raises(ValueError, match="was trained otherwise") as refused:
        evaluate_run(config(trained, run, *changes), place)
    assert said in str(refused.value)


def test_evaluate_asks_again_with_another_beam(trained: Any, tmp_path: Path, place: Place) -> None:
    run = Path(shutil.copytree(trained.caption, tmp_path / "captions"))
    before = json.loads((run / "model.json").read_text())["search"]["beam"]
    result = evaluate_run(config(trained, run, "head.beam=2", task="caption"), place)
    assert before == 5
    # Whoever describes with this run asks it as it was asked when it was scored.
    assert json.loads((run / "model.json").read_text())["search"]["beam"] == 2
    assert {"CIDEr", "METEOR", "Bleu_4", "floor", "human", "ci95"} <= set(result.scores)
    assert set(result.scores["intervals"]) == set(result.scores["floor_scores"])
    assert result.scores["floor_from"] == "training captions"
    assert 0 <= result.scores["novel"] <= 1
    page = (run / "report" / "index.html").read_text()
    assert "All metrics" in page
    assert f"{result.scores['floor_scores']['METEOR']:.4f}" in page


def test_validation_clips_choose_the_beam(trained: Any, tmp_path: Path, place: Place) -> None:
    run = Path(shutil.copytree(trained.caption, tmp_path / "captions"))
    settings = config(trained, run, "head.beam=auto", task="caption")
    evaluate_run(settings, place)
    model = json.loads((run / "model.json").read_text())
    assert model["search"]["beam"] in BEAMS
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert all(len(row["n_best"]) == model["search"]["beam"] for row in rows)
    # After a refit the validation clips are known to the head: they can choose nothing.
    model["trained"]["refit"] = True
    (run / "model.json").write_text(json.dumps(model))
    with pytest.raises(ValueError, match=r"trained again on its validation clips, .* a number"):
        evaluate_run(settings, place)


def test_a_broken_clip_costs_that_clip(trained: Any, tmp_path: Path) -> None:
    """Complaint 7 (mmaction2#893): skip what cannot be decoded, and tell me WHICH file."""
    clips = Path(shutil.copytree(trained.clips, tmp_path / "clips"))
    broken = sorted(clips.rglob("*.mp4"))[4]
    broken.write_bytes(broken.read_bytes()[:900])
    settings = config(trained, tmp_path / "run", f"data.root={clips}", "training.refit=true")
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    result = train_run(settings, place)
    assert list(result.failed) == [broken]
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["subset"] is True
    assert scores["refit"] is True
    assert [failure["path"] for failure in scores["failed"]] == [str(broken)]
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert broken.name in page
    assert not list((tmp_path / "run").rglob("training.pt"))


@pytest.mark.parametrize(
    ("cells", "seeds", "said"),
    [([], 1, "names no cell"), (["lstn"], 1, "did you mean 'lstm'"), (["lstm"], 0, "at least 1")],
)
def test_compare_refuses_before_it_works(
    trained: Any, tmp_path: Path, place: Place, cells: list[str], seeds: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        compare(config(trained, tmp_path / "run"), place, cells=cells, seeds=seeds)


def test_compare_sets_cells_side_by_side(trained: Any, tmp_path: Path, place: Place) -> None:
    settings = config(trained, tmp_path / "run", "head.hidden=4")
    table = compare(settings, place, cells=["none", "gru"], seeds=2).scores
    assert [row["cell"] for row in table["rows"]] == ["none", "gru"]
    for row in table["rows"]:
        assert row["score"] == pytest.approx(sum(row["per_seed"]) / 2)
        assert row["train_seconds"] > 0
    # none: a norm of 1280 x 2 and 1280 x 12 + 12 to classify. gru adds 3 gates of two directions.
    none, gru = (row["params"] for row in table["rows"])
    assert none == 2 * 1280 + 1280 * 12 + 12
    gates = 2 * 3 * (4 * 1280 + 4 * 4 + 2 * 4)
    assert gru == 2 * 1280 + gates + 8 * 12 + 12
    assert (tmp_path / "run" / "compare" / "report" / "index.html").is_file()


def test_a_head_of_the_same_numbers_that_answers_otherwise_is_asked_again(
    tmp_path: Path, own_cache: Path
) -> None:
    """After a refit more phases leave all numbers as they were, and not the answers."""
    settings = ["training.refit=true", "head.thin=2", f"output={tmp_path / 'run'}"]
    path, shared = written(tmp_path, *settings)
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    found = []
    for phases in (1, 4):
        train_run(load_config(path, [*shared, f"head.phases={phases}"]), place)
        model = hash_file(tmp_path / "run" / "model.safetensors")
        asked = read_json(tmp_path / "run" / "stages.json")["predict"]["head"]["phases"]
        found.append((model, asked, times(tmp_path / "run")["predictions.jsonl"]))
    assert found[0][0] == found[1][0]
    assert [asked for _, asked, _ in found] == [1, 4]
    assert found[0][2] < found[1][2]


def test_defaults_of_an_earlier_version_in_a_runs_config_are_no_mistake(
    trained: Any, tmp_path: Path
) -> None:
    """A run's config.yaml holds all settings; scst_baseline was another by default."""
    kept = config(trained, tmp_path / "run", "training.scst_baseline=greedy")
    assert load_split(kept).train


@pytest.mark.parametrize("name", ["scst_epochs=3", "by_length=true", "scheduled_sampling=0.2"])
def test_actions_have_no_settings_of_captions(trained: Any, tmp_path: Path, name: str) -> None:
    wrong = config(trained, tmp_path / "run", f"training.{name}")
    key = name.partition("=")[0]
    with pytest.raises(ValueError, match=rf"^training\.{key} is .* action: it is for captions"):
        load_split(wrong)
