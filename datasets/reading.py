"""What is to be read of a video, before a frame is decoded: which frames, at what cost, in parts.

Reads video files' packets (packets.py); writes nothing. A reading can be cut at key frames into
pieces that other processes read; all their frames together are those of the whole.

Shapes: N frames in the file, T chosen.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.packets import Index, read_index
from reelscribe.datasets.sampling import Sampling, choose

SEEK_GAIN = 24
"""Frames that a seek must spare before it is cheaper than decoding them."""

PIXELS_A_SECOND = 300e6
"""How much video one thread decodes, for estimates alone."""

SECONDS_A_FRAME = 0.012
"""What is done with a wanted frame costs about so much, for estimates alone."""

Part = tuple["int | None", "list[int]"]
"""The key frame to seek to, or None to read on; the frames wanted from there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """The chosen frames of one video, or of a part of it. Can be pickled."""

    path: Path
    index: Index
    """What the file holds; in a piece, only as much as it needs."""
    rows_T: NDArray[np.intp]
    """Positions of the chosen frames in the whole video, ascending; some may repeat."""
    keyframes: bool
    """Whether they are key frames, so that no others need be decoded."""

    @property
    def pts_T(self) -> NDArray[np.float64]:
        """When each frame is due, in seconds after the video's first frame.

        Where the file has no presentation times (AVI), by decoding time: :class:`Frames` says more.
        """
        pts_T = (self.index.ticks_at(self.rows_T) - self.index.origin).astype(np.float64)
        pts_T *= self.index.tick
        return pts_T

    @property
    def duration(self) -> float:
        """Of the whole video, in seconds."""
        return self.index.probe.duration

    @property
    def decodes(self) -> int:
        """How many frames must be decoded to have the chosen ones."""
        wanted = np.unique(self.rows_T)
        if self.keyframes:
            return len(wanted)
        return sum(part[-1] - (key or 0) + 1 for key, part in self.parts(wanted))

    @property
    def work(self) -> float:
        """An estimate of the seconds that one thread needs: the same on every machine."""
        return self._cost(self.decodes, len(self.rows_T))

    def _cost(self, decodes: int, chosen: int) -> float:
        pixels = self.index.probe.width * self.index.probe.height
        return decodes * pixels / PIXELS_A_SECOND + chosen * SECONDS_A_FRAME

    def parts(self, wanted: NDArray[np.intp], *, gain: int = SEEK_GAIN) -> list[Part]:
        """Group wanted positions: those that one seek to a key frame serves.

        Args:
            wanted: ascending.
            gain: frames that a seek must spare; 0 for no frame that nobody needs.
        """
        # A piece begins with a seek; it does not know what lies before it.
        at = 0 if not self.index.first else -gain - 1
        parts: list[Part] = [(None, [])]
        for row, key in zip(wanted.tolist(), self._starts(wanted).tolist(), strict=True):
            if self.index.timed and key - at > gain:
                parts.append((key, []))
            parts[-1][1].append(row)
            at = row
        return [part for part in parts if part[1]]

    def _starts(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the key frame that each position can be decoded from; 0 where none comes first."""
        starts = np.concatenate([np.zeros(1, dtype=np.intp), self.index.keys])
        return starts[np.searchsorted(self.index.keys, rows, side="right")]

    def pieces(self, seconds: float) -> tuple[Reading, ...]:
        """Cut into readings of about ``seconds`` of work each.

        A cut is made only where a key frame resets the decoder, so what cannot be seeked to the
        frame (AVI, raw streams, open groups of pictures) stays whole.

        Raises:
            ValueError: ``seconds`` is not more than 0.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"pieces of {seconds} seconds of work; they must be more than 0")
        if not self.index.timed or self.work <= seconds:
            return (self,)
        # Groups of rows with the same start, then groups into pieces, by what they cost.
        starts_T = self._starts(self.rows_T)
        first_G = np.flatnonzero(np.diff(starts_T, prepend=-1))
        ends_G = np.append(first_G[1:], len(starts_T))
        cuts, cost = [0], 0.0
        for first, end in zip(first_G.tolist(), ends_G.tolist(), strict=True):
            rows = self.rows_T[first:end]
            spans = len(np.unique(rows)) if self.keyframes else rows[-1] - starts_T[first] + 1
            more = self._cost(int(spans), end - first)
            if cost and cost + more > seconds:
                cuts.append(first)
                cost = 0.0
            cost += more
        if len(cuts) == 1:
            return (self,)
        ends = [*cuts[1:], len(self.rows_T)]
        return tuple(
            self._piece(self.rows_T[first:end], start=int(starts_T[first]))
            for first, end in zip(cuts, ends, strict=True)
        )

    def _piece(self, rows_T: NDArray[np.intp], *, start: int) -> Reading:
        index, last = self.index, int(rows_T[-1])

        def within(keys: NDArray[np.intp]) -> NDArray[np.intp]:
            return keys[(keys >= start) & (keys <= last)]

        # Copies, not views: a view would keep the whole video's list alive.
        index = dataclasses.replace(
            index,
            ticks_N=index.ticks_N[start - index.first : last + 1 - index.first].copy(),
            first=start,
            keys=within(index.keys),
            flagged=within(index.flagged),
        )
        return dataclasses.replace(self, index=index, rows_T=rows_T.copy())


def plan_reading(path: Path, sampling: Sampling) -> Reading:
    """Choose a video's frames from its packets; none is decoded.

    Raises:
        VideoError: the file is not a whole video.
        ValueError: the choice is of more frames than can be.
    """
    index = read_index(path)
    rows_T = choose(index.pts_N(), end=index.probe.duration, sampling=sampling, keys=index.flagged)
    return Reading(path=path, index=index, rows_T=rows_T, keyframes=sampling.keyframes)
