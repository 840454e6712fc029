"""Where long videos are cut."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from reelscribe.pipeline.segments import Segmentation, Span, fixed, shots


def edges(spans: list[Span]) -> list[float]:
    assert all(a.end == b.start for a, b in itertools.pairwise(spans))
    return [spans[0].start, *(span.end for span in spans)]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (30.0, [0, 10, 20, 30]),
        (34.9, [0, 10, 20, 34.9]),
        (35.0, [0, 10, 20, 30, 35]),
        (4.0, [0, 4]),
        (16.0, [0, 10, 16]),
    ],
)
def test_fixed_parts_leave_no_scrap(duration: float, expected: list[float]) -> None:
    assert edges(fixed(duration, 10.0)) == expected


def features(*shots_of: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Frames of scenes: (how many, which); scenes share nothing."""
    rows = [np.eye(8)[scene] + 0.05 * k / count for count, scene in shots_of for k in range(count)]
    return np.array(rows, dtype=np.float32)


def test_shots_are_cut_where_the_features_change() -> None:
    feats_TD = features((10, 0), (6, 1), (14, 2))
    pts_T = np.arange(30) / 2
    assert edges(shots(feats_TD, pts_T, 15.0)) == [0, 4.75, 7.75, 15.0]
    assert edges(shots(features((30, 0)), pts_T, 15.0)) == [0, 15.0]


def test_a_flash_is_no_shot_and_a_long_shot_is_cut_evenly() -> None:
    feats_TD = features((10, 0), (1, 1), (10, 0))
    assert len(edges(shots(feats_TD, np.arange(21) / 2, 10.5))) <= 3
    still = features((120, 0))
    assert edges(shots(still, np.arange(120) / 2, 60.0)) == [0, 20, 40, 60]


def test_one_frame_is_one_shot() -> None:
    assert edges(shots(features((1, 0)), np.zeros(1), 3.0)) == [0, 3.0]


def test_a_span_without_a_frame_has_the_nearest() -> None:
    pts_T = np.array([0.0, 1.0, 9.0])
    assert Span(start=0.5, end=2.0).frames(pts_T).tolist() == [1]
    assert Span(start=3.0, end=4.0).frames(pts_T).tolist() == [1]
    assert Span(start=6.0, end=7.0).frames(pts_T).tolist() == [2]
    assert Span(start=1.0, end=9.0).frames(pts_T).tolist() == [1]


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("none", "none", 10),
        ("shots", "shots", 10),
        ("fixed:5s", "fixed", 5),
        ("fixed", "fixed", 10),
    ],
)
def test_what_can_be_asked_for(text: str, kind: str, seconds: float) -> None:
    assert Segmentation.parse(text) == Segmentation(kind=kind, seconds=seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "fix", "fixed:0s", "fixed:-3s", "fixed:1e9", "shots:3", "fixed:5m"]
)
def test_what_cannot_says_what_can(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: none, shots, or fixed:10s"):
        Segmentation.parse(text)
