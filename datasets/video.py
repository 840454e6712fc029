"""Read chosen frames of a video file, whole or as a stream: decord first, PyAV where it cannot.

Reads video files; writes nothing. Every read starts with the packets' own times (packets.py), from
which the frames are chosen (reading.py). decord decodes (by_decord.py) where its times agree with
those, every key frame resets the decoder and nothing was said of damage; elsewhere, or where decord
would take more memory or time, PyAV does (by_pyav.py). Where both are right, their pixels are the
same.

Shapes: T frames chosen, H x W pixels, C = 3 (red, green, blue).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.by_decord import check_worth, read_decord
from reelscribe.datasets.by_pyav import Shown, read_pyav
from reelscribe.datasets.packets import MAX_PIXELS, Probe, VideoError, read_index
from reelscribe.datasets.reading import Reading, plan_reading
from reelscribe.datasets.sampling import Sampling

__all__ = [
    "MAX_PIXELS",
    "Frames",
    "Probe",
    "Reading",
    "VideoError",
    "plan_reading",
    "probe",
    "read_frames",
    "stream_frames",
]

Decoder = Literal["auto", "decord", "pyav"]
Used = Literal["decord", "pyav"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """The chosen frames of one video."""

    frames_THWC: NDArray[np.uint8]
    """RGB, upright: rotation by metadata is applied."""
    pts_T: NDArray[np.float64]
    """When each frame appears, in seconds after the video's first frame."""
    duration: float
    """Of the video, in seconds."""
    decoder: Literal["decord", "pyav"]
    """What decoded them."""

    def __post_init__(self) -> None:
        assert self.frames_THWC.ndim == 4, f"{self.frames_THWC.shape = }"
        assert self.pts_T.shape == self.frames_THWC.shape[:1], f"{self.pts_T.shape = }"

    def __repr__(self) -> str:
        return (
            f"Frames(frames_THWC {self.frames_THWC.shape}, pts_T {self.pts_T.shape}, "
            f"duration {self.duration:.3f} s, {self.decoder})"
        )


def probe(path: Path) -> Probe:
    """Count and time a video's frames without decoding them.

    Raises:
        VideoError: the file is not a whole video.
    """
    return read_index(path).probe


def read_frames(path: Path, sampling: Sampling, *, decoder: Decoder = "auto") -> Frames:
    """Read the frames that ``sampling`` chooses; no others are held in memory.

    Raises:
        VideoError: the file is not a whole, undamaged video; with ``decoder="decord"``, also
            where decord is not installed or cannot be trusted with this file.
        ValueError: there is no such decoder, or the frames are too many.
    """
    _check_decoder(decoder)
    reading = plan_reading(path, sampling)
    # All in one: more only where decord gave up midway.
    some = list(stream_frames(reading, decoder=decoder, chunk=len(reading.rows_T)))
    if len(some) == 1:
        return some[0]
    return Frames(
        frames_THWC=np.concatenate([frames.frames_THWC for frames in some]),
        pts_T=np.concatenate([frames.pts_T for frames in some]),
        duration=reading.duration,
        decoder=some[-1].decoder,
    )


def stream_frames(
    reading: Reading, *, decoder: Decoder = "auto", chunk: int = 16
) -> Iterator[Frames]:
    """Read the frames of a video, or of a piece of one, a few at a time.

    Args:
        reading: what to read.
        decoder: "auto" is decord first; where it cannot go on, PyAV does from the same frame.
        chunk: how many frames there are in memory at most, beside what the decoder holds.

    Raises:
        VideoError, ValueError: as :func:`read_frames`; the former also between frames.
    """
    _check_decoder(decoder)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    return _chunks(reading, decoder, chunk)


def _check_decoder(decoder: str) -> None:
    if decoder not in get_args(Decoder):
        raise ValueError(f"no decoder {decoder!r}; there are: {', '.join(get_args(Decoder))}")


def _chunks(reading: Reading, decoder: Decoder, chunk: int) -> Iterator[Frames]:
    wanted, times = np.unique(reading.rows_T, return_counts=True)
    frames_THWC, pts_T = np.empty((0, 0, 0, 3), dtype=np.uint8), np.empty(0)
    used: Used | None = None
    at, left = 0, len(reading.rows_T)

    def taken() -> Iterator[Frames]:
        if used is not None and at:
            yield Frames(
                frames_THWC=frames_THWC[:at],
                pts_T=pts_T[:at],
                duration=reading.duration,
                decoder=used,
            )

    for (one, by), repeats in zip(_shown(reading, wanted, decoder, chunk), times, strict=True):
        for _ in range(repeats):
            if at == len(frames_THWC) or by != used:
                yield from taken()
                # A new array each: the one before is the caller's.
                at, used, size = 0, by, min(chunk, left)
                frames_THWC = np.empty((size, *one.image_HWC.shape), dtype=np.uint8)
                pts_T = np.empty(size)
            frames_THWC[at], pts_T[at] = one.image_HWC, one.pts
            at, left = at + 1, left - 1
    yield from taken()


def _shown(
    reading: Reading, wanted: NDArray[np.intp], decoder: Decoder, batch: int
) -> Iterator[tuple[Shown, Used]]:
    """Yield each wanted picture once, and which decoder made it."""
    done = 0
    if decoder != "pyav":
        try:
            if decoder == "auto":
                check_worth(reading, wanted, batch)
            for one in read_decord(reading, wanted, batch):
                yield one, "decord"
                done += 1
            return
        except VideoError:
            if decoder == "decord":
                raise
    for one in read_pyav(reading, wanted[done:]):
        yield one, "pyav"
