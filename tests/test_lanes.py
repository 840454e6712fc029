"""Lanes: points where the numbers say, and few bytes however long the video is."""

from __future__ import annotations

import re

from reelscribe.pipeline.report.lanes import MOST, Piece, bar_lane, heat, line_lane, ticks


def piece(*values: float, start: float = 0.0, end: float = 10.0) -> Piece:
    step = (end - start) / len(values)
    times = [start + step * (n + 0.5) for n in range(len(values))]
    return Piece(start=start, end=end, times=times, values=values)


def test_a_line_stands_at_its_times_and_values() -> None:
    """Frames at 2.5 and 7.5 of 10 s, 0 and 1 of 1: from bottom left to top right."""
    lane = line_lane("gate", "", {"forget": [piece(0.0, 1.0)]}, 10.0, high=1.0)
    assert 'd="M250 100L750 0"' in lane.svg
    assert 'aria-label="gate: forget from 0 to 1, mean 0.5"' in lane.svg
    assert (lane.high, lane.keys) == ("1", ())


def test_each_segment_has_a_line_of_its_own() -> None:
    pieces = [piece(1.0, 1.0, end=5.0), piece(0.5, start=5.0)]
    lane = line_lane("norm", "", {"a": pieces, "b": pieces}, 10.0)
    assert 'd="M125 0L375 0M500 50L1000 50"' in lane.svg
    assert lane.keys == ("a", "b")


def test_bars_meet_half_way_between_two_frames() -> None:
    lane = bar_lane("attention", "", [piece(0.25, 0.75)], 10.0)
    assert 'd="M0 100V66.7H500V0H1000V100Z"' in lane.svg
    assert lane.high == "0.75"


def test_a_long_video_has_no_more_points_than_a_lane_shows() -> None:
    lane = line_lane("g", "", {"x": [piece(*[0.5] * 5000)]}, 10.0, high=1.0)
    assert MOST / 2 < len(re.findall(r"[ML]", lane.svg)) <= MOST


def test_an_hour_of_segments_is_still_a_line() -> None:
    pieces = [piece(0.5, 0.5, start=n * 0.01, end=(n + 1) * 0.01) for n in range(1000)]
    lane = line_lane("g", "", {"x": pieces}, 10.0, high=1.0)
    assert "M500 50L501 50" in lane.svg


def test_a_word_is_darkest_where_it_looked_most() -> None:
    drawn = heat([2.5, 7.5], [[0.2, 0.8], [0.5, 0.5]], 10.0)
    assert re.findall(r'x="(\d+)" y="(\d+)".*?opacity="([\d.]+)"', drawn) == [
        ("0", "0", "0.25"),
        ("500", "0", "1.00"),
        ("0", "50", "1.00"),
        ("500", "50", "1.00"),
    ]


def test_the_axis_has_few_ticks_at_round_times() -> None:
    assert [text for _, text in ticks(2.5)] == ["0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s"]
    assert [text for _, text in ticks(3600)][:3] == ["0:00", "10:00", "20:00"]
    assert ticks(100)[1][0] == 15
