"""Lanes: what happened along a video's time, each drawn as wide as the player is.

Reads and writes nothing. Every lane is an ``<svg>`` that the page stretches, so the same share of
its width is the same moment in all of them. A few hundred bytes each: 10,000 pages are written of
them, for which matplotlib would take an hour.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from reelscribe.pipeline.report.pages import clock

WIDE, TALL = 1000, 100
"""The lane's own coordinates."""

MOST = 300
"""Points of a line; more are averaged in groups."""

STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000)
"""Seconds between two ticks of the time axis."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Values along a part of the video; a segment that was read by itself is one."""

    start: float
    """In seconds."""
    end: float
    times: Sequence[float]
    """In seconds."""
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One lane, ready to show."""

    name: str
    about: str
    """What it says in plain words."""
    keys: tuple[str, ...]
    """What its lines are called; none where there is one alone."""
    svg: Markup
    high: str
    """What its upper end stands for; the lower one is 0."""


def line_lane(
    name: str, about: str, lines: dict[str, list[Piece]], duration: float, *, high: float = 0.0
) -> Lane:
    """Return a lane of lines.

    Args:
        name: of the lane.
        about: what it says in plain words.
        lines: name -> its pieces.
        duration: of the video, in seconds.
        high: the value at its upper end; 0 takes the highest there is.
    """
    every = [value for pieces in lines.values() for one in pieces for value in one.values]
    high = high or max(every, default=0.0) or 1.0
    paths = [
        f'<path class="l{place}" d="{_line(pieces, duration, high)}"/>'
        for place, pieces in enumerate(lines.values())
    ]
    return Lane(
        name=name,
        about=about,
        keys=tuple(lines) if len(lines) > 1 else (),
        svg=_svg(paths, f"{name}: {_in_words(lines)}"),
        high=f"{high:.2g}",
    )


def bar_lane(name: str, about: str, pieces: Sequence[Piece], duration: float) -> Lane:
    """Return a lane of one bar a frame, from half-way to its neighbours on either side."""
    high = max((value for one in pieces for value in one.values), default=0.0) or 1.0
    paths = [f'<path class="fill" d="{_bars(pieces, duration, high)}"/>']
    return Lane(
        name=name,
        about=about,
        keys=(),
        svg=_svg(paths, f"{name}: {_in_words({'weight': list(pieces)})}"),
        high=f"{high:.2g}",
    )


def heat(times: Sequence[float], rows: Sequence[Sequence[float]], duration: float) -> Markup:
    """Return one row of cells a word, the darker the more weight; a row's darkest is full."""
    tall = TALL / max(len(rows), 1)
    cells = []
    for place, weights in enumerate(rows):
        most = max(weights, default=0.0) or 1.0
        edges = _edges(times, 0.0, duration)
        for left, right, weight in zip(edges, edges[1:], weights, strict=False):
            share = weight / most
            if share >= 0.02:
                x, wide = _x(left, duration), _x(right, duration) - _x(left, duration)
                cells.append(
                    f'<rect x="{x:g}" y="{place * tall:.4g}" width="{wide:.4g}" '
                    f'height="{0.9 * tall:.4g}" opacity="{share:.2f}"/>'
                )
    return _svg(cells, f"attention of {len(rows)} words over {len(times)} frames")


def ticks(duration: float, most: int = 8) -> list[tuple[float, str]]:
    """Return the time axis: (percent of the width, what stands there)."""
    step = next((step for step in STEPS if duration / step <= most), 36000)
    places = [step * n for n in range(math.floor(duration / step) + 1)]
    return [(100 * at / duration, _moment(at, duration)) for at in places]


def _moment(at: float, duration: float) -> str:
    if duration < 60:
        return f"{at:g} s"
    return clock(at) if at >= 60 else f"0:{at:02.0f}"


def _svg(inside: Iterable[str], label: str) -> Markup:
    return Markup(
        f'<svg class="lane" viewBox="0 0 {WIDE} {TALL}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(inside)}</svg>'
    )


def _x(second: float, duration: float) -> float:
    return round(WIDE * min(max(second / duration, 0.0), 1.0), 1)


def _y(value: float, high: float) -> float:
    return round(TALL * (1 - min(max(value / high, 0.0), 1.0)), 1)


def _edges(times: Sequence[float], start: float, end: float) -> list[float]:
    middles = [(a + b) / 2 for a, b in itertools.pairwise(times)]
    return [start, *middles, end]


def _line(pieces: Sequence[Piece], duration: float, high: float) -> str:
    """Return an SVG path; a new piece begins without a line from the last."""
    group = _group(pieces)
    parts = []
    for one in pieces:
        times, values = _averaged(one.times, group), _averaged(one.values, group)
        if len(times) == 1:  # Too short for a line of its own: a level as long as the piece is.
            times, values = [one.start, one.end], values * 2
        points = (
            f"{_x(t, duration):g} {_y(value, high):g}"
            for t, value in zip(times, values, strict=True)
        )
        parts.append("M" + "L".join(points))
    return "".join(parts)


def _bars(pieces: Sequence[Piece], duration: float, high: float) -> str:
    group = _group(pieces)
    parts = []
    for one in pieces:
        edges = _edges(_averaged(one.times, group), one.start, one.end)
        parts.append(f"M{_x(edges[0], duration):g} {TALL}")
        for right, value in zip(edges[1:], _averaged(one.values, group), strict=True):
            parts.append(f"V{_y(value, high):g}H{_x(right, duration):g}")
        parts.append(f"V{TALL}Z")
    return "".join(parts)


def _group(pieces: Sequence[Piece]) -> int:
    return math.ceil(sum(len(one.values) for one in pieces) / MOST) or 1


def _averaged(values: Sequence[float], group: int) -> list[float]:
    parts = [values[n : n + group] for n in range(0, len(values), group)]
    return [sum(part) / len(part) for part in parts]


def _in_words(lines: dict[str, list[Piece]]) -> str:
    said = []
    for name, pieces in lines.items():
        values = [value for one in pieces for value in one.values]
        if values:
            said.append(
                f"{name} from {min(values):.2g} to {max(values):.2g}, "
                f"mean {sum(values) / len(values):.2g}"
            )
    return "; ".join(said)
