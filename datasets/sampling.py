"""Which frames of a video are read: a count, a rate or the key frames, by presentation time.

Reads and writes nothing. A frame is chosen because it is on screen at a moment, never because of
its index: variable frame rates, B-frames and videos that do not start at 0 need nothing special.

Shapes: N frames in the video, T frames chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

MAX_FRAMES = 1_000_000
"""More of one video are refused: their features alone would fill the memory."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How many frames, or how many a second, or the key frames alone."""

    count: int | None = None
    """Frames a video: the centres of ``count`` equal parts of its duration."""
    fps: float | None = None
    """Frames a second of video: the centres of parts of ``1 / fps`` seconds."""
    keyframes: bool = False
    """The frames that the file calls key frames: they need no others, and so cost the least."""
    at_most: int | None = None
    """With ``fps``: a video that would give more gives this many, spread as by ``count``. With
    ``keyframes``: at most so many, the latest at the centres of equal parts of the duration."""

    def __post_init__(self) -> None:
        if not isinstance(self.keyframes, bool):
            raise ValueError(f"frames.keyframes is {self.keyframes!r}; it must be true or false")
        if (self.count is not None) + (self.fps is not None) + self.keyframes != 1:
            raise ValueError(
                f"frames: count is {self.count}, fps is {self.fps}, keyframes is {self.keyframes}; "
                "give exactly one, for example {count: 16} or {fps: 2.0, at_most: 64}"
            )
        if self.at_most is not None and self.count is not None:
            raise ValueError(
                f"frames.at_most {self.at_most} goes with fps or keyframes, not with count"
            )
        for name, value in self.recipe().items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"frames.{name} is {value}; it must be more than 0")
            if name != "fps" and value != int(value):
                raise ValueError(f"frames.{name} is {value}; it must be a whole number")

    def recipe(self) -> dict[str, int | float]:
        """Return the settings that are set, for a recipe of features."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value
            for name, value in values.items()
            if value is not None and value is not False
        }


def moments(start: float, end: float, sampling: Sampling) -> NDArray[np.float64]:
    """Return the (T,) presentation times, in seconds, at which to look at ``[start, end)``.

    Raises:
        ValueError: there are more than ``MAX_FRAMES``.
    """
    count = sampling.count
    if sampling.fps is not None:
        # The k with start + (k + 0.5) / fps < end; the small number keeps a moment that rounding
        # put on the edge out.
        count = max(1, math.ceil((end - start) * sampling.fps - 0.5 - 1e-9))
        if sampling.at_most is None or count <= sampling.at_most:
            if count > MAX_FRAMES:
                raise ValueError(
                    f"frames.fps {sampling.fps} asks for {count:,} frames of {end - start:,.0f} "
                    f"seconds; at most {MAX_FRAMES:,}: lower it, or give at_most"
                )
            return start + (np.arange(count, dtype=np.float64) + 0.5) / sampling.fps
        count = sampling.at_most
    assert count is not None
    return start + (np.arange(count, dtype=np.float64) + 0.5) * (end - start) / count


def choose(
    pts_N: NDArray[np.float64],
    *,
    end: float,
    sampling: Sampling,
    keys: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Choose the frames that are on screen at the moments asked for.

    Args:
        pts_N: presentation times in seconds, ascending; the first need not be 0.
        end: when the last frame leaves the screen, in seconds.
        sampling: what is asked for.
        keys: positions of the key frames, ascending; for ``sampling.keyframes``.

    Returns:
        (T,) ascending indices into ``pts_N``. With ``count``, T is exactly that: a video with
        fewer frames repeats some. Key frames are never repeated.

    Raises:
        ValueError: there are no frames, or they are not in order.
    """
    if not len(pts_N):
        raise ValueError("no frames to choose from")
    if np.any(np.diff(pts_N) < 0):
        raise ValueError("presentation times must ascend")
    start, end = float(pts_N[0]), max(end, float(pts_N[-1]))
    if not sampling.keyframes:
        return _on_screen(pts_N, moments(start, end, sampling))
    if keys is None or not len(keys):
        raise ValueError("it has no key frames to choose from")
    if sampling.at_most is None or len(keys) <= sampling.at_most:
        return keys
    times_T = moments(start, end, Sampling(count=sampling.at_most))
    return keys[np.unique(_on_screen(pts_N[keys], times_T))]


def _on_screen(pts_N: NDArray[np.float64], times_T: NDArray[np.float64]) -> NDArray[np.intp]:
    # A frame that starts at the moment itself is on screen; binary fractions of pts such as
    # 0.1 must not push it out.
    chosen_T = np.searchsorted(pts_N, times_T + 1e-9, side="right") - 1
    return np.clip(chosen_T, 0, len(pts_N) - 1)
