"""Glimpses: what the lens saw in validation clips, as the run's page draws it."""

from __future__ import annotations

from pathlib import Path

from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.report.glimpses import read_glimpses
from reelscribe.pipeline.report.run import write_run_page

LAYER = {"layer": 0, "backwards": False, "gates": {"update": [0.5, 0.7], "reset": [0.1, 0.1]}}
CLIP = {
    "path": "wave/<b>1.mp4",
    "true": "wave",
    "cell": "gru",
    "times": [0.5, 1.5],
    "answers": {"run": [0.9, 0.2], "wave": [0.1, 0.8]},
    "attention": [0.25, 0.75],
    "layers": [LAYER | {"cell_norm": None, "state_norm": [1.0, 3.0]}],
    "gradients": {"gru": [0.2, 0.1]},
}


def test_a_run_without_a_lens_has_no_glimpses(tmp_path: Path) -> None:
    assert read_glimpses(tmp_path) == []


def test_each_clip_has_its_answer_attention_gates_memory_and_gradient(tmp_path: Path) -> None:
    write_json(tmp_path / "lens.json", {"run": "r", "clips": [CLIP]})
    (one,) = read_glimpses(tmp_path)
    assert (one["label"], one["said"], one["sure"]) == ("wave", "wave", 0.8)
    assert [lane.name for lane in one["lanes"]] == [
        "Answer",
        "Attention",
        "Gates, forwards",
        "Memory",
        "Gradient",
    ]
    # Two frames of one second each: 0.5 and 1.5 of 2 s; "wave" comes first, as it is the answer.
    assert 'class="l0" d="M250 90L750 20"' in one["lanes"][0].svg
    assert one["lanes"][0].keys == ("wave", "run")
    assert one["lanes"][3].high == "3"


def test_the_runs_page_shows_them_and_how_sure_it_may_be(tmp_path: Path) -> None:
    write_json(tmp_path / "lens.json", {"run": "r", "clips": [CLIP]})
    bins = [{"confidence": 0.7, "right": 0.5, "clips": 4}]
    scores = {"task": "action", "calibration": {"bins": bins, "ece": 0.2, "answered": 0.9}}
    write_json(tmp_path / "scores.json", scores)
    text = write_run_page(tmp_path).read_text()
    assert "What the memory does" in text
    assert "wave/&lt;b&gt;1.mp4" in text
    assert "The mean distance from it is 20.0%. 90.0% of the test videos are answered" in text
