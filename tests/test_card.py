"""What a caption score is read beside: intervals, floor, human, known splits, another system."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reelscribe.pipeline.metrics import caption_card, score_captions, versus
from reelscribe.pipeline.metrics.intervals import bootstrap_interval, compare, resample
from reelscribe.pipeline.metrics.references import References
from reelscribe.pipeline.metrics.splits import part_of_a_known_split
from reelscribe.pipeline.metrics.summands import of_mean

QUICK = ("Bleu", "ROUGE_L", "CIDEr")
AGAINST = {
    f"v{i}": [f"a {what} is {doing}", f"the {what} is {doing} now", f"one {what}"]
    for i, (what, doing) in enumerate(
        [("man", "running"), ("dog", "eating"), ("cat", "asleep"), ("bird", "singing")] * 6
    )
}
SAID = {name: refs[0] for name, refs in AGAINST.items()}


def test_intervals_of_means_are_those_of_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).random(300)
    samples = resample({"CIDEr": of_mean("CIDEr", values)}, seed=5)["CIDEr"]
    low, high = np.percentile(samples, [2.5, 97.5])
    assert (low, high) == pytest.approx(bootstrap_interval(values, seed=5))


def test_bleu_of_a_resample_is_of_its_summed_counts() -> None:
    """Of two videos, a resample has one of them twice, or each once: 4 of 16 words, no mean."""
    found = score_captions(
        {"a": "a b c d", "b": " ".join(["x"] * 12)},
        {"a": ["a b c d"], "b": ["y"]},
        metrics=["Bleu"],
    )
    samples = resample(found.statistics)["Bleu_1"]
    assert sorted({round(float(score), 6) for score in samples}) == [0.0, 0.25, 1.0]


def test_the_floor_and_the_human_have_every_score() -> None:
    found = score_captions(SAID, AGAINST, metrics=QUICK)
    card = caption_card(found)
    assert json.loads(json.dumps(card)) == card
    names = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"]
    for key in ("intervals", "floor_scores", "human_scores", "same_references"):
        assert list(card[key]) == names, key
    assert card["floor"] == card["floor_scores"]["CIDEr"]
    assert card["human"] == card["human_scores"]["CIDEr"]
    again = score_captions(dict.fromkeys(AGAINST, card["floor_caption"]), AGAINST, metrics=QUICK)
    assert again.corpus == pytest.approx(card["floor_scores"])


def test_the_human_and_the_predictions_have_the_same_references() -> None:
    """One of three is drawn: two are left for either."""
    found = score_captions(SAID, AGAINST, metrics=QUICK)
    card = caption_card(found, seed=3)
    assert card["human_references"] == 2 * len(AGAINST)
    # All references of a video alike: whichever is drawn, a human says what is left, and so do we.
    same = {name: [refs[0]] * 3 for name, refs in AGAINST.items()}
    card = caption_card(score_captions(SAID, same, metrics=QUICK))
    assert card["human_scores"] == pytest.approx(card["same_references"])
    assert card["human"] == pytest.approx(10)
    one = {name: refs[:1] for name, refs in AGAINST.items()}
    card = caption_card(score_captions(SAID, one, metrics=QUICK))
    assert [card[key] for key in ("human", "human_scores", "same_references")] == [None] * 3


def test_a_constant_caption_has_a_high_bleu_and_no_cider() -> None:
    """Complaint 24 (vijayvee/video-captioning#17): BLEU does not tell it from a model."""
    refs = {name: [*texts, "a man is doing something"] for name, texts in AGAINST.items()}
    constant = score_captions(dict.fromkeys(refs, "a man is doing something"), refs, metrics=QUICK)
    assert constant.corpus["Bleu_4"] == pytest.approx(1.0)
    assert constant.corpus["CIDEr"] < 0.6
    assert "all 24 predictions are the same sentence" in caption_card(constant)["warnings"][0]


def test_shares() -> None:
    said = {"a": "a dog runs", "b": "a dog runs", "c": "A  Cat.", "d": ""}
    refs = {name: ["one two", "one two three four"] for name in said}
    card = caption_card(
        score_captions(said, refs, metrics=["Bleu"]), train_captions=["a cat", "a dog"]
    )
    assert card["words"] == pytest.approx((3 + 3 + 2 + 0) / 4)
    assert card["words_references"] == pytest.approx(3)
    assert card["vocabulary"] == 4
    assert card["distinct"] == pytest.approx(3 / 4)
    assert card["novel"] == pytest.approx(3 / 4), "only 'A  Cat.' is a training caption"


def test_best_and_worst() -> None:
    said = dict(SAID)
    for name in list(said)[:3]:
        said[name] = "nothing of the kind"
    card = caption_card(score_captions(said, AGAINST, metrics=QUICK))
    assert {row["id"] for row in card["worst"]} >= set(list(said)[:3])
    assert [row["CIDEr"] for row in card["worst"][:3]] == [0, 0, 0]
    assert (len(card["best"]), len(card["worst"])) == (10, 10)
    assert not {row["id"] for row in card["best"]} & {row["id"] for row in card["worst"]}
    scores = [row["CIDEr"] for row in card["best"]]
    assert scores == sorted(scores, reverse=True)
    assert card["best"][0]["references"] == list(AGAINST[card["best"][0]["id"]])


def test_a_paired_test_sees_what_two_intervals_hide() -> None:
    """Each video is a little better: the intervals overlap, the paired test does not doubt."""
    values = np.random.default_rng(0).random(100)
    one, other = ({"CIDEr": of_mean("CIDEr", values + plus)} for plus in (0.01, 0.0))
    found = compare(one, other)["CIDEr"]
    assert found.difference == pytest.approx(0.01)
    assert found.ci95 == pytest.approx((0.01, 0.01))
    assert found.p == pytest.approx(2 / 1001), "the least that 1000 resamples can say"
    same = compare(one, one)["CIDEr"]
    assert (same.difference, same.p) == (0.0, 1.0)
    back = compare(other, one)["CIDEr"]
    assert (back.difference, back.p) == pytest.approx((-0.01, 2 / 1001))


def test_versus_needs_the_same_videos() -> None:
    found = score_captions(SAID, AGAINST, metrics=QUICK)
    part = {name: text for name, text in SAID.items() if name != "v3"}
    other = score_captions(part, AGAINST, metrics=QUICK, allow_missing=True)
    with pytest.raises(ValueError, match=r"different videos: 1 are in one alone \('v3'\)"):
        versus(found, other)
    test = versus(found, found)
    assert (test["better"], test["worse"], test["equal"], test["different"]) == (0, 0, 24, [])


def test_part_of_a_known_split_is_warned_about() -> None:
    """Complaint 22 (mPLUG-2#25, RecNet#20): part of the test set passed for the whole."""
    whole = [f"video{i}" for i in range(7010, 10_000)]
    assert list(part_of_a_known_split(whole, [20] * 2990)) == []
    (warning,) = part_of_a_known_split(whole[:1000], [20] * 1000)
    assert "1000 of the 2990 videos of MSR-VTT's test split" in warning
    (warning,) = part_of_a_known_split(whole, [20] * 2989 + [19])
    assert "1 of 2990 videos have fewer than the 20 references" in warning
    (warning,) = part_of_a_known_split([f"vid{i}" for i in range(1301, 1400)], [40] * 99)
    assert "99 of the 670 videos of MSVD's test split" in warning
    for names in (
        ["video7009"],
        ["video07010"],
        ["videox"],
        ["a", "video7010"],
        ["video" + "9" * 99],
    ):
        assert list(part_of_a_known_split(names, [20] * len(names))) == []
    said = {"video7010": "a cat", "video7011": "a dog"}
    card = caption_card(score_captions(said, {k: [v] for k, v in said.items()}, metrics=["CIDEr"]))
    assert "2 of the 2990 videos" in card["warnings"][0]


def test_references_are_made_ready_once_and_kept_by_content() -> None:
    first = score_captions(SAID, AGAINST, metrics=["CIDEr"])
    again = score_captions(
        dict(reversed(SAID.items())), {k: list(v) for k, v in AGAINST.items()}, metrics=["CIDEr"]
    )
    assert again.references is first.references, "the same texts, whatever holds them"
    assert again.ids == first.ids
    changed = {**AGAINST, "v0": [*AGAINST["v0"], "one more"]}
    other = score_captions(SAID, changed, metrics=["CIDEr"])
    assert other.references is not first.references
    assert isinstance(other.references, References)
    assert other.references.texts[0][-1] == "one more"
