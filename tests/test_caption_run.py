"""A caption run through all stages with everything switched on: small, and no good scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import evaluate_run, train_run

if TYPE_CHECKING:
    from conftest import Trained


def test_cross_entropy_then_cider_then_refit_then_consensus(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    settings = [
        *trained.settings("caption"),
        f"output={run}",
        "head.family=s2vt",
        "head.norm=standard",
        "head.consensus=true",
        "head.beam=auto",
        "training.scst_epochs=2",
        "training.scst_lr=1.0e-3",
        "training.scheduled_sampling=0.1",
        "training.refit=true",
    ]
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    result = train_run(load_config(Path("theatre_captions"), settings), place)
    critical = read_json(run / "model.json")["trained"]["scst"]
    assert critical["kept"] == (critical["to"] > critical["from"])
    assert f"val CIDEr {critical['from']:.3f} -> {critical['to']:.3f}" in capsys.readouterr().err
    assert len(read_jsonl(run / "scst" / "metrics.jsonl")) == 2
    assert (run / "refit" / "scst").is_dir() == critical["kept"]
    assert not list(run.rglob("training.pt"))

    head, manifest = load_head(run)
    chosen = manifest.trained["search"]
    assert chosen["val_CIDEr"] >= chosen["val_CIDEr_greedy"]
    assert manifest.search["beam"] == chosen["beam"]
    assert type(head).__name__ == "S2VT"
    rows = read_jsonl(run / "predictions.jsonl")
    assert all(row["agreement"] >= 0 and row["greedy"] for row in rows)
    scores = result.scores
    assert {"count", "colour", "action", "direction"} == set(scores["slots"])
    assert all(0 <= share <= 1 for share in scores["slots"].values())
    page = (run / "report" / "index.html").read_text()
    assert "colour named rightly" in page
    assert page.count("<b>Alarm.</b>") == len(scores["alarms"])

    # How it is asked is no part of what was trained.
    asked = [*settings, "head.no_repeat=2"]
    again = evaluate_run(load_config(Path("theatre_captions"), asked), place)
    assert again.scores["slots"] == json.loads((run / "scores.json").read_text())["slots"]
    assert read_json(run / "model.json")["search"]["no_repeat"] == 2
