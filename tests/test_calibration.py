"""Calibration: temperatures, curves and limits that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reelscribe.pipeline.calibration import (
    calibrate,
    expected_error,
    fit_temperature,
    reliability,
    softmax,
    threshold,
    why_not,
)


def drawn(temperature: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits_NK = rng.normal(0, 3, (count, 5))
    sums_NK = softmax(logits_NK / temperature).cumsum(1)
    return logits_NK, (rng.random((count, 1)) > sums_NK).sum(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_truth_is_found(temperature: float) -> None:
    logits_NK, truth_N = drawn(temperature)
    found = fit_temperature(logits_NK, truth_N)
    assert found == pytest.approx(temperature, rel=0.1)
    assert expected_error(softmax(logits_NK / found), truth_N) < 0.03


def test_an_overconfident_head_is_mended_and_its_order_kept() -> None:
    logits_NK, truth_N = drawn(3.0)
    found = calibrate(logits_NK, truth_N.tolist(), [1.0] * len(truth_N))
    assert found["ece_before"] > 0.2
    assert found["ece"] < 0.03
    assert found["top1"] == (logits_NK.argmax(1) == truth_N).mean()
    assert sum(row["clips"] for row in found["bins"]) == len(truth_N)


def test_a_head_that_is_always_right_is_not_certain() -> None:
    """Ten of ten right: the truth counts as 11 / 12, the mean confidence too."""
    logits_NK = np.tile([3.0, 0.0], (10, 1))
    found = fit_temperature(logits_NK, np.zeros(10, int))
    assert softmax(logits_NK / found)[0, 0] == pytest.approx(11 / 12, abs=1e-6)


def test_the_curve_of_four_clips() -> None:
    probability_NK = np.array([[0.95, 0.05], [0.91, 0.09], [0.6, 0.4], [1.0, 0.0]])
    truth_N = np.array([0, 1, 1, 0])
    assert reliability(probability_NK, truth_N) == [
        {"from": 0.6, "clips": 1, "confidence": 0.6, "right": 0.0},
        {"from": 0.9, "clips": 3, "confidence": pytest.approx(2.86 / 3), "right": 2 / 3},
    ]
    # (1 x .6 + 3 x |.9533 - .6667|) / 4
    assert expected_error(probability_NK, truth_N) == pytest.approx((0.6 + 2.86 - 2) / 4)


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1], 0.6),
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0], 0.7),
        ([0.9, 0.8, 0.7, 0.3], [1, 1, 1, 1], 0.5),  # never what is less likely right than wrong
        ([0.9, 0.8], [0, 0], 1.0),
        ([0.9, 0.9], [1, 0], 1.0),  # equal ones are answered together
        ([0.9] * 19 + [0.6], [1] * 19 + [0], 0.6),  # 19 of 20 are enough
    ],
)
def test_the_threshold_is_the_lowest_that_is_right_often_enough(
    confidence: list[float], right: list[int], expected: float
) -> None:
    found = threshold(np.array(confidence), np.array(right, bool))
    assert found == pytest.approx(expected, abs=2e-4)


def test_what_is_held_back_says_why() -> None:
    limits = {"threshold": 0.55, "similarity": 0.3}
    assert why_not(limits, "Archery", 0.9, 0.8) is None
    assert why_not(limits, "Archery", 0.55, 0.3) is None
    assert why_not(limits, "Archery", 0.31, 0.8) == (
        "most probable was Archery at 0.31, below 0.55"
    )
    assert why_not(limits, "Archery", 0.99, 0.12) == (
        "unlike the training clips (0.12, below 0.30); most probable was Archery at 0.99"
    )


def test_one_clip_in_twenty_is_called_unlike() -> None:
    logits_NK = np.tile([3.0, 0.0], (21, 1))
    found = calibrate(logits_NK, [0] * 21, [i / 20 for i in range(21)])
    assert found["similarity"] == 0.05
    assert found["answered"] == 20 / 21
    assert found["answered_top1"] == 1.0
