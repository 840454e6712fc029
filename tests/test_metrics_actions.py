"""Accuracy, confusion, floor and interval, on tables small enough to count by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reelscribe.pipeline.metrics.actions import score_actions
from reelscribe.pipeline.metrics.intervals import bootstrap_interval

LABELS = ("bowl", "dive", "ride")
TRUTH = [0, 0, 1, 1]
# Right, wrong (says dive), right, wrong (says bowl).
PROBABILITIES = [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]]


def test_counts_by_hand() -> None:
    scores = score_actions(TRUTH, PROBABILITIES, LABELS, train_labels=[1, 1, 2])
    assert scores.videos == 4
    assert scores.top1 == 0.5
    assert scores.top5 == 1.0, "three classes are all among five"
    assert scores.confusion_KK.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert scores.per_class == {"bowl": 0.5, "dive": 0.5, "ride": None}


def test_the_floor_is_the_training_sets_majority() -> None:
    # "ride" is the most frequent class of training and never tested: saying it scores nothing.
    scores = score_actions(TRUTH, PROBABILITIES, LABELS, train_labels=[2, 2, 0])
    assert (scores.floor_label, scores.floor) == ("ride", 0.0)
    # A tie goes to the first label.
    scores = score_actions([0, 0, 0, 1], PROBABILITIES, LABELS, train_labels=[1, 0])
    assert (scores.floor_label, scores.floor) == ("bowl", 0.75)


def test_top5_takes_the_five_most_probable_of_seven() -> None:
    labels = [str(k) for k in range(7)]
    row = [0.30, 0.25, 0.20, 0.12, 0.08, 0.04, 0.01]
    scores = score_actions([4, 5], [row, row], labels, train_labels=[0])
    assert (scores.top1, scores.top5) == (0.0, 0.5)


def test_a_head_that_says_nothing_has_no_luck() -> None:
    # Rows of zeros and ones: the first five ones of each row are its five best, in that order.
    rows = np.random.default_rng(0).integers(0, 2, size=(200, 101)).astype(float)
    ones = [np.flatnonzero(row)[:5].tolist() for row in rows]
    labels = [str(k) for k in range(101)]
    first = score_actions([five[0] for five in ones], rows, labels, train_labels=[0])
    assert (first.top1, first.top5) == (1.0, 1.0)
    fifth = score_actions([five[4] for five in ones], rows, labels, train_labels=[0])
    assert (fifth.top1, fifth.top5) == (0.0, 1.0)


def test_is_ready_for_json() -> None:
    scores = score_actions(TRUTH, PROBABILITIES, LABELS, train_labels=[0]).to_json()
    assert json.loads(json.dumps(scores)) == scores
    assert scores["confusion"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("truth", "probabilities", "train", "message"),
    [
        ([0, 3], PROBABILITIES[:2], [0], "truth has 1 numbers that are no class, first 3"),
        ([0, -1], PROBABILITIES[:2], [0], "first -1; allowed are the whole numbers 0 to 2"),
        ([0], PROBABILITIES, [0], r"each of 1 videos .* got the shape \(4, 3\)"),
        ([], [], [0], "truth is empty"),
        (TRUTH, PROBABILITIES, [], "train_labels is empty"),
        ([0], [[float("nan"), 0, 1]], [0], "1 videos have a probability of NaN, first row 0"),
    ],
)
def test_refuses_what_does_not_fit(
    truth: list[int], probabilities: list[list[float]], train: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score_actions(truth, probabilities, LABELS, train_labels=train)


def test_interval_of_a_coin() -> None:
    # 100 videos, half of them right: the mean has a standard deviation of 0.05, so 0.5 +- 0.098.
    low, high = bootstrap_interval([0.0, 1.0] * 50)
    assert low == pytest.approx(0.40, abs=0.015)
    assert high == pytest.approx(0.60, abs=0.015)


def test_interval_is_seeded_and_bounded() -> None:
    values = np.arange(20.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    assert bootstrap_interval([0.25]) == (0.25, 0.25)


def test_interval_of_many_values_draws_in_blocks() -> None:
    """Five million values at a thousand resamples would be 40 GB of indexes in one piece."""
    low, high = bootstrap_interval(np.tile([0.0, 1.0], 2_500_000), resamples=4)
    assert 0.499 < low <= high < 0.501


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_interval_refuses(values: list[float]) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        bootstrap_interval(values)
