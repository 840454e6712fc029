"""Calibration: how sure an action head may call itself, and below what it says nothing.

Fitted on validation clips alone, which the head has not learnt from; with ``training.refit`` the
head of the first pass, for the one that learns from all of them later. One temperature divides all
logits, so that of the answers given at 0.8 some 80 % are right (Guo et al. 2017,
https://arxiv.org/abs/1706.04599). An answer is held back below the lowest confidence from which the
answers were right often enough (the rule of Geifman and El-Yaniv 2017,
https://arxiv.org/abs/1705.08500, without its bound), and where a clip is less like the training
clips than nearly all validation clips are (decoders/familiar.py). Reads and writes nothing.

N clips, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIGHT = 0.95
"""The share of the given answers that is to be right."""

LEAST = 0.5
"""No answer that is less likely right than wrong, whatever the validation clips say."""

STRANGE = 0.05
"""The share of validation clips that is called unlike the training clips."""

HELD_BACK = ("threshold", "similarity")
"""The names of the two limits, a probability and a cosine, below which nothing is said."""

BINS = 10
"""Of equal width, for the reliability curve and the calibration error."""

COLDEST, HOTTEST = 0.05, 20.0
"""The range in which a temperature is looked for."""

Array = NDArray[np.float64]


def calibrate(
    logits_NK: Array, truth: Sequence[int], similarity: Sequence[float]
) -> dict[str, Any]:
    """Return what ``model.json`` keeps as ``calibration``.

    Args:
        logits_NK: of the validation clips.
        truth: their N classes.
        similarity: how much each is like the training clips.
    """
    truth_N = np.asarray(truth)
    temperature = fit_temperature(logits_NK, truth_N)
    before, after = softmax(logits_NK), softmax(logits_NK / temperature)
    confidence_N, right_N = after.max(1), after.argmax(1) == truth_N
    found = {
        "temperature": round(temperature, 4),
        "threshold": round(threshold(confidence_N, right_N), 4),
        "similarity": round(float(np.quantile(similarity, STRANGE)), 4),
        "clips": len(truth_N),
        "top1": float(right_N.mean()),
        "ece_before": expected_error(before, truth_N),
        "ece": expected_error(after, truth_N),
        "bins": reliability(after, truth_N),
    }
    given_N = (confidence_N >= found["threshold"]) & (np.asarray(similarity) >= found["similarity"])
    return found | answered(given_N, right_N)


def fit_temperature(logits_NK: Array, truth_N: NDArray[np.intp]) -> float:
    """Return T for which softmax(logits / T) has the least cross-entropy.

    The truth counts as (N + 1) / (N + 2) and not as 1 (Platt 1999, "Probabilistic outputs for
    support vector machines"): where a head is right about every validation clip, T would be 0 and
    all confidences 1. The loss is convex in 1 / T, so its slope is halved down to nothing.
    """
    count, classes = logits_NK.shape
    sure = (count + 1) / (count + 2)
    targets_NK = np.full((count, classes), (1 - sure) / (classes - 1))
    targets_NK[np.arange(count), truth_N] = sure
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(60):
        middle = (low + high) / 2
        excess_NK = softmax(logits_NK * np.exp(middle)) - targets_NK
        if float((excess_NK * logits_NK).sum()) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def threshold(confidence_N: Array, right_N: NDArray[np.bool_]) -> float:
    """Return the lowest confidence from which RIGHT of the answers are right, at least LEAST.

    1 where there is none: nothing is answered then.
    """
    order = np.argsort(-confidence_N, kind="stable")
    shares_N = right_N[order].cumsum() / np.arange(1, len(order) + 1)
    # Equal confidences are answered together or not at all.
    ends_N = np.append(np.diff(confidence_N[order]) != 0, True)
    enough = np.flatnonzero((shares_N >= RIGHT) & ends_N)
    if not len(enough):
        return 1.0
    return max(LEAST, float(confidence_N[order][enough[-1]]) - 1e-4)


def reliability(probability_NK: Array, truth_N: NDArray[np.intp]) -> list[dict[str, float]]:
    """Return for each bin that holds clips: how many, how sure, how often right."""
    confidence_N = probability_NK.max(1)
    right_N = probability_NK.argmax(1) == truth_N
    bin_N = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    return [
        {
            "from": k / BINS,
            "clips": int(inside.sum()),
            "confidence": float(confidence_N[inside].mean()),
            "right": float(right_N[inside].mean()),
        }
        for k in range(BINS)
        if (inside := bin_N == k).any()
    ]


def expected_error(probability_NK: Array, truth_N: NDArray[np.intp]) -> float:
    """Return the expected calibration error: how far the bins' confidence is from their share."""
    bins = reliability(probability_NK, truth_N)
    gaps = (row["clips"] * abs(row["confidence"] - row["right"]) for row in bins)
    return float(sum(gaps) / len(truth_N))


def answered(given_N: NDArray[np.bool_], right_N: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return the share that is answered, and the share of that which is right."""
    right = float(right_N[given_N].mean()) if given_N.any() else None
    return {"answered": float(given_N.mean()), "answered_top1": right}


def why_not(
    calibration: Mapping[str, Any], label: str, probability: float, similarity: float
) -> str | None:
    """Return why the most probable action is not said, in words; None where it is."""
    if similarity < calibration["similarity"]:
        return (
            f"unlike the training clips ({similarity:.2f}, below "
            f"{calibration['similarity']:.2f}); most probable was {label} at {probability:.2f}"
        )
    if probability < calibration["threshold"]:
        least = calibration["threshold"]
        return f"most probable was {label} at {probability:.2f}, below {least:.2f}"
    return None


def summary(calibration: Mapping[str, Any]) -> str:
    """Return in a line what was found."""
    found = (
        f"calibrated: temperature {calibration['temperature']:.2f}, expected error "
        f"{calibration['ece_before']:.3f} -> {calibration['ece']:.3f}; "
    )
    if calibration["threshold"] < 1:
        return found + (
            f"describe answers from {calibration['threshold']:.2f} up "
            f"({calibration['answered']:.0%} of {calibration['clips']} validation clips)"
        )
    return found + (
        f"at no confidence were {RIGHT:.0%} of the answers right: describe holds all actions of "
        "this head back, but for --abstain off"
    )


def softmax(logits_NK: Array) -> Array:
    """Return probabilities a row."""
    powers_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    found: Array = powers_NK / powers_NK.sum(axis=1, keepdims=True)
    return found
