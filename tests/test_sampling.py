"""Which frames are chosen, in figures that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.datasets.sampling import Sampling, choose


def rows(pts: list[float], end: float, **settings: Any) -> list[int]:
    chosen_T = choose(np.array(pts), end=end, sampling=Sampling(**settings))
    return [int(row) for row in chosen_T]


def at(rate: float, frames: int, start: float = 0.0) -> tuple[list[float], float]:
    """Presentation times of a constant rate, and the end."""
    return [start + i / rate for i in range(frames)], start + frames / rate


def test_count_takes_the_frames_at_the_centres_of_equal_parts() -> None:
    # Two parts of [0, 1): looked at 0.25 and 0.75, where frames 2 and 7 are on screen.
    assert rows(*at(10, 10), count=2) == [2, 7]
    assert rows(*at(10, 10), count=1) == [5]
    assert rows(*at(10, 10), count=10) == list(range(10))


def test_a_frame_that_starts_at_the_moment_is_on_screen() -> None:
    # Five parts of [0, 1): 0.1, 0.3, 0.5, 0.7, 0.9, none of which is exact in binary.
    assert rows(*at(10, 10), count=5) == [1, 3, 5, 7, 9]


def test_count_goes_by_time_where_the_rate_varies() -> None:
    # Frame 1 stays for 8 of 10 seconds; by index, the choice would be 0, 1, 2, 3.
    assert rows([0.0, 1.0, 9.0, 9.5], 10.0, count=4) == [1, 1, 1, 1]
    assert rows([0.0, 1.0, 9.0, 9.5], 10.0, count=10) == [0, 1, 1, 1, 1, 1, 1, 1, 1, 3]


def test_a_video_need_not_start_at_zero() -> None:
    for settings in ({"count": 4}, {"fps": 3.0}, {"fps": 5.0, "at_most": 3}):
        assert rows(*at(10, 20), **settings) == rows(*at(10, 20, start=63.5), **settings)


def test_fewer_frames_than_asked_are_repeated() -> None:
    assert rows([0.0], 0.04, count=4) == [0, 0, 0, 0]
    assert rows(*at(10, 3), count=6) == [0, 0, 1, 1, 2, 2]


def test_fps_looks_at_the_centre_of_each_part_and_at_least_once() -> None:
    # 2 a second over 2.0 s: 0.25, 0.75, 1.25, 1.75.
    assert rows(*at(10, 20), fps=2.0) == [2, 7, 12, 17]
    # 2.2 s: a fifth moment would be at 2.25, after the end; 2.3 s has it.
    assert rows(*at(10, 22), fps=2.0) == [2, 7, 12, 17]
    assert rows(*at(10, 23), fps=2.0) == [2, 7, 12, 17, 22]
    assert rows(*at(10, 2), fps=1.0) == [1]


def test_25_and_2997_frames_a_second_are_looked_at_at_the_same_moments() -> None:
    """Complaint 17 (pytorch/vision#4112): UCF101 mixes 25 and 29.97 frames a second."""
    moments = [0.25, 0.75, 1.25, 1.75]
    assert rows(*at(25, 50), fps=2.0) == [6, 18, 31, 43]
    ntsc = 30000 / 1001
    assert rows(*at(ntsc, 60), fps=2.0) == [int(t * ntsc) for t in moments] == [7, 22, 37, 52]


def test_more_than_at_most_become_that_many_over_the_whole_video() -> None:
    assert rows(*at(10, 100), fps=2.0, at_most=20) == rows(*at(10, 100), fps=2.0)
    assert rows(*at(10, 100), fps=2.0, at_most=4) == rows(*at(10, 100), count=4)


def test_fps_gives_no_frame_beyond_the_last() -> None:
    """Complaint 6 (v-iashin/video_features#86): frames missed, and times of 0, at the tail."""
    chosen = rows(*at(25, 101), fps=25.0)
    assert chosen == list(range(101))


@given(
    gaps=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60),
    start=st.floats(-10.0, 1e4),
    count=st.integers(1, 100),
)
def test_count_always_gives_that_many_in_order(gaps: list[float], start: float, count: int) -> None:
    pts_N = start + np.cumsum([0.0, *gaps[:-1]])
    chosen_T = choose(pts_N, end=float(pts_N[-1]) + gaps[-1], sampling=Sampling(count=count))
    assert len(chosen_T) == count
    assert np.all(np.diff(chosen_T) >= 0)
    assert chosen_T.min() >= 0
    assert chosen_T.max() < len(pts_N)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "give exactly one"),
        ({"count": 4, "fps": 2.0}, "give exactly one"),
        ({"count": 0}, "frames.count is 0"),
        ({"count": 2.5}, "whole number"),
        ({"fps": -1.0}, "frames.fps is -1.0"),
        ({"fps": float("nan")}, "frames.fps is nan"),
        ({"fps": 2.0, "at_most": 0}, "frames.at_most is 0"),
        ({"count": 4, "at_most": 9}, "goes with fps"),
    ],
)
def test_a_wrong_sampling_is_refused_in_one_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Sampling(**settings)
    assert "\n" not in str(caught.value)


def test_the_recipe_has_what_is_set() -> None:
    assert Sampling(count=16).recipe() == {"count": 16}
    assert Sampling(fps=2.0, at_most=64).recipe() == {"fps": 2.0, "at_most": 64}


def test_no_frames_and_times_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        rows([], 1.0, count=1)
    with pytest.raises(ValueError, match="ascend"):
        rows([0.0, 0.2, 0.1], 1.0, count=1)
