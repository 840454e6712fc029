"""What is to be read of a video, before a frame is decoded: which frames, at what cost.

Reads video files' packets (packets.py), then frames (video.py); writes nothing.

Shapes: T chosen frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.packets import Index, read_index
from reelscribe.datasets.sampling import Sampling, choose
from reelscribe.datasets.video import Decoder, Frames, read_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What is to be read of a video, before a frame is decoded."""

    path: Path
    index: Index
    rows_T: NDArray[np.intp]
    """Positions of the chosen frames, ascending."""

    @property
    def duration(self) -> float:
        """Of the video, in seconds."""
        return self.index.probe.duration

    @property
    def work(self) -> float:
        """An estimate of the seconds that one thread needs: the same on every machine."""
        pixels = self.index.probe.width * self.index.probe.height
        return len(self.index.ticks_N) * pixels / 300e6 + len(self.rows_T) * 0.012

    def pieces(self, seconds: float) -> tuple[Reading, ...]:
        """Return the parts that workers may share; no video is cut yet, so there is one."""
        return (self,)


def plan_reading(path: Path, sampling: Sampling) -> Reading:
    """Choose a video's frames from its packets; none is decoded.

    Raises:
        VideoError: the file is not a whole video.
    """
    index = read_index(path)
    rows_T = choose(index.pts_N(), end=index.probe.duration, sampling=sampling)
    return Reading(path=path, index=index, rows_T=rows_T)


def stream_frames(
    reading: Reading, *, decoder: Decoder = "auto", chunk: int = 16
) -> Iterator[Frames]:
    """Yield the chosen frames in order; as yet all of them at once, whatever ``chunk`` is.

    Raises:
        VideoError: the file is not a whole, undamaged video.
    """
    yield read_rows(reading.path, reading.index, reading.rows_T, decoder=decoder)
