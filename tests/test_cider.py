"""CIDEr-D in numpy against the reference code, and the floors that are made with it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.cider.cider import Cider

from reelscribe.pipeline.metrics.cider import CiderD, best_constant
from reelscribe.pipeline.metrics.files import read_predictions, read_references


def split(references: list[list[str]]) -> list[list[list[str]]]:
    return [[text.split() for text in refs] for refs in references]


def reference_code(hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    gts = dict(enumerate(references))
    scores = Cider().compute_score(gts, {i: [text] for i, text in enumerate(hypotheses)})[1]
    return np.asarray(scores)


def test_by_hand() -> None:
    """Two videos with one reference each: every n-gram of the first has the idf log 2."""
    cider = CiderD([[["a", "cat", "sat", "down"]], [["one", "dog"]]])
    # Said to the letter: all four cosines are 1. The second has no n-grams of 3 and 4 words.
    same = cider.score([["a", "cat", "sat", "down"], ["one", "dog"]])
    assert same == pytest.approx([10.0, 5.0])
    # One of two words of the reference, and no bigram: the cosine is 1 / sqrt 2, one word short.
    half = cider.score([["dog"]], which=[1])
    assert half == pytest.approx([10 / 4 / math.sqrt(2) * math.exp(-1 / 72)])


def test_a_word_in_every_video_weighs_nothing() -> None:
    cider = CiderD([[["a", "cat"]], [["a", "dog"]]])
    assert cider.score([["a"], ["a"]]).tolist() == [0.0, 0.0]


def test_a_single_video_scores_zero() -> None:
    """Complaint 21 (salaniz/pycocoevalcap#18): CIDEr is 0 for one sample, whatever it says.

    The quick CIDEr agrees with the reference code in this; ``score_captions`` says so in words.
    """
    assert CiderD([[["a", "cat"]]]).score([["a", "cat"]]).tolist() == [0.0]
    assert reference_code(["a cat"], [["a cat"]]).tolist() == [0.0]


def test_a_batch_is_scored_with_the_idf_of_the_whole_set() -> None:
    """Complaint 21 (salaniz/pycocoevalcap#18, coco-caption#9): the reward of a batch stays 0.

    With ``which``, a batch keeps the idf of the whole set.
    """
    references = [["a cat sat"], ["a dog ran"], ["a man sang"]]
    cider = CiderD(split(references))
    whole = cider.score([["a", "cat"], ["a", "dog"], ["a", "man"]])
    batch = cider.score([["a", "man"], ["a", "cat"], ["a", "cat"]], which=[2, 0, 0])
    assert batch.tolist() == [whole[2], whole[0], whole[0]]
    assert batch.min() > 0


HARD = [
    ["", "a man is playing", "a man is playing a guitar on a stage"],
    ["the the the the", "a dog", "", ""],
    ["x", "x x", "x x x x x"],
    ["a man is talking", "someone talks to someone about something"],
]


@pytest.mark.parametrize(
    "said",
    [
        ["", "", "", ""],
        ["a man is playing a guitar on a stage"] * 4,
        ["zz zz zz zz", "the the", "x x x", "qq a man qq a man"],
        ["a", "the the the the the the the", "x", "someone someone"],
    ],
)
def test_equals_the_reference_code_on_hard_captions(said: list[str]) -> None:
    """Empty, repeated, unknown and one-word captions."""
    ours = CiderD(split(HARD)).score([text.split() for text in said])
    np.testing.assert_allclose(ours, reference_code(said, HARD), atol=1e-12)


CAPTION = st.lists(st.sampled_from("abcde"), max_size=7).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_equals_the_reference_code_on_made_captions(data: st.DataObject) -> None:
    references = data.draw(
        st.lists(st.lists(CAPTION, min_size=1, max_size=4), min_size=1, max_size=5)
    )
    references[0].append("a b")  # the reference code fails where there is no word at all
    hypothesis = st.one_of(CAPTION, CAPTION.map(lambda text: text.replace("a", "new")))
    said = [data.draw(hypothesis) for _ in references]
    ours = CiderD(split(references)).score([text.split() for text in said])
    np.testing.assert_allclose(ours, reference_code(said, references), atol=1e-9)


def test_equals_the_reference_code_on_real_captions(real_data: Path) -> None:
    folder = real_data / "caption_eval"
    against = read_references(folder / "msvd_references.txt")
    said = read_predictions(folder / "msvd_s2vt_predicted_sentences.txt")
    references = [against[name] for name in said]
    ours = CiderD(split(references)).score([text.split() for text in said.values()])
    assert ours.mean() > 0.1
    np.testing.assert_allclose(ours, reference_code(list(said.values()), references), atol=1e-6)


@pytest.mark.slow
def test_equals_the_reference_code_on_the_msrvtt_test_set(real_data: Path) -> None:
    against = read_references(real_data / "msrvtt" / "test_videodatainfo.json.zip")
    references = list(against.values())
    draw = random.Random(0)
    said = [draw.choice(refs if i % 2 else references[i - 1]) for i, refs in enumerate(references)]
    ours = CiderD(split(references)).score([text.split() for text in said])
    np.testing.assert_allclose(ours, reference_code(said, references), atol=1e-6)


def test_the_best_constant_need_not_be_the_most_frequent() -> None:
    """Complaint 24 (RMN#17): the same sentence for every video has a score, and it is shown."""
    references = [["a cat", "it"], ["a cat", "it"], ["a dog", "it"], ["a bird", "it"]]
    cider = CiderD(split(references))
    # "it" is in every video: idf 0. "a cat" is in two of four.
    assert best_constant(None, references, cider)[0] == "a cat"
    caption, score = best_constant(["it", "it", "it", "a bird"], references, cider)
    assert caption == "a bird"
    assert score == cider.score([["a", "bird"]] * 4).mean()
    assert best_constant(["it", "it", "it", "a bird"], references, cider, top=1) == ("it", 0.0)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="1 of 2 videos have none"):
        CiderD([[["a"]], []])
    with pytest.raises(ValueError, match="0 of 0 videos"):
        CiderD([])
    with pytest.raises(ValueError, match="1 captions for 2 videos"):
        CiderD([[["a"]], [["b"]]]).score([["a"]])
