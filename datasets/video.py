"""Read chosen frames of a video file: decord first, PyAV where decord cannot be trusted.

Reads video files; writes nothing. Every read starts with the packets' own times (packets.py).
decord then decodes where its times agree with those and every key frame resets the decoder.
Elsewhere PyAV decodes: decord 0.6.0 finds frames by counting on from key frames, and so gives
wrong ones for open GOPs, intra refresh, transport streams and AVI (all 62 clips of a sample of
MSVD, some of UCF101; dmlc/decord#26, #195, #365). Where both are right, their pixels are the same.

PyAV runs with FFmpeg's strict error detection, so bits that do not decode end the read. decord has
no such switch: it raises for what is lost, but what its FFmpeg conceals, it gives.

Shapes: N frames in the file, T chosen, H x W pixels, C = 3 (red, green, blue).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.packets import MAX_PIXELS, Index, Probe, VideoError, opened, read_index
from reelscribe.datasets.sampling import Sampling, choose

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

__all__ = ["MAX_PIXELS", "Frames", "Probe", "VideoError", "probe", "read_frames", "read_rows"]

Decoder = Literal["auto", "decord", "pyav"]

SEEK_GAIN = 24
"""Frames that a seek must spare before it is cheaper than decoding them."""

DECORD_PIXELS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuv444p"})
"""Pixel formats that decord and PyAV turn into the same RGB; those of 10 bits differ."""

MAY_HIDE = frozenset({"mpeg4", "vp8"})
"""Codecs where a packet may show nothing (a skipped picture): the one before stays on screen."""


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
        ValueError: there is no such decoder.
    """
    _check_decoder(decoder)
    index = read_index(path)
    rows_T = choose(index.pts_N(), end=index.probe.duration, sampling=sampling)
    return read_rows(path, index, rows_T, decoder=decoder)


def read_rows(
    path: Path, index: Index, rows_T: NDArray[np.intp], *, decoder: Decoder = "auto"
) -> Frames:
    """Read the frames at ``rows_T``, ascending positions in ``index``, which is the file's own.

    Raises:
        VideoError, ValueError: as :func:`read_frames`.
    """
    _check_decoder(decoder)
    if decoder != "pyav":
        try:
            return _read_decord(path, index, rows_T)
        except VideoError:
            if decoder == "decord":
                raise
    return _read_pyav(path, index, rows_T)


def _check_decoder(decoder: str) -> None:
    if decoder not in get_args(Decoder):
        raise ValueError(f"no decoder {decoder!r}; there are: {', '.join(get_args(Decoder))}")


def _read_decord(path: Path, index: Index, rows_T: NDArray[np.intp]) -> Frames:
    """Read with decord, if its own list of frames is that of the packets."""
    if not index.clean:
        raise VideoError("decord would miscount its frames: no exact times or open key frames")
    if index.pixels not in DECORD_PIXELS:
        raise VideoError(f"decord would turn {index.pixels} into other colours")
    # At the end of a damaged file decord tries again, 10,240 times unless told.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "2048")
    try:
        import decord
    except (ImportError, OSError) as error:
        raise VideoError(f"decord cannot be imported: {error}") from None
    decord.logging.set_level(decord.logging.QUIET)
    wanted, place_T = np.unique(rows_T, return_inverse=True)
    pts_N = index.pts_N()
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != len(pts_N):
            raise VideoError(f"decord counts {len(reader)} frames of {len(pts_N)}")
        # decord keeps times as 32-bit floats.
        times_N = reader.get_frame_timestamp(range(len(pts_N)))[:, 0].astype(np.float64)
        if not np.allclose(times_N - times_N[0], pts_N, rtol=1e-6, atol=5e-4):
            raise VideoError("decord has other times for its frames")
        frames_THWC = reader.get_batch(wanted).asnumpy()
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        last_line = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise VideoError(f"decord: {last_line[0][:200]}") from None
    if len(wanted) != len(rows_T):
        frames_THWC = frames_THWC[place_T]
    return Frames(
        frames_THWC=frames_THWC,
        pts_T=pts_N[rows_T],
        duration=index.probe.duration,
        decoder="decord",
    )


def _read_pyav(path: Path, index: Index, rows_T: NDArray[np.intp]) -> Frames:
    """Read with PyAV: by seeking where that is worth it, else, or if that fails, from the start."""
    parts = _parts(index, np.unique(rows_T))
    try:
        return _read_parts(path, index, rows_T, parts)
    except VideoError:
        if len(parts) == 1 and parts[0][0] is None:
            raise
    # After a seek the first frames may refer to what was not decoded; from the start none do.
    whole: list[tuple[int | None, list[int]]] = [(None, [w for _, part in parts for w in part])]
    return _read_parts(path, index, rows_T, whole)


def _parts(index: Index, wanted: NDArray[np.intp]) -> list[tuple[int | None, list[int]]]:
    """Cut the wanted positions where seeking to a key frame spares enough frames.

    Returns:
        (position of the key frame to seek to, or None to read on; wanted positions) of each part.
    """
    parts: list[tuple[int | None, list[int]]] = [(None, [])]
    at = 0
    for row in wanted.tolist():
        nearest = int(np.searchsorted(index.keys, row, side="right")) - 1
        key = int(index.keys[nearest]) if nearest >= 0 else 0
        if index.timed and key - at > SEEK_GAIN:
            parts.append((key, []))
        parts[-1][1].append(row)
        at = row
    return [part for part in parts if part[1]]


def _read_parts(
    path: Path,
    index: Index,
    rows_T: NDArray[np.intp],
    parts: list[tuple[int | None, list[int]]],
) -> Frames:
    import av

    frames_THWC: NDArray[np.uint8] | None = None
    pts_T = np.zeros(len(rows_T))
    decoded = [0]
    try:
        with opened(path) as (container, stream):
            for key, wanted in parts:
                if key is not None:
                    container.seek(int(index.ticks_N[key]), stream=stream)
                for row, pts, frame in _shown(container, stream, index, wanted, decoded):
                    image_HWC = _upright(frame, index)
                    if frames_THWC is None:
                        frames_THWC = np.empty((len(rows_T), *image_HWC.shape), dtype=np.uint8)
                    frames_THWC[rows_T == row] = image_HWC
                    pts_T[rows_T == row] = pts
    except av.FFmpegError as error:
        total = index.probe.frames
        reason = f"the decoder stopped after {decoded[0]} of {total} frames: {error.strerror}"
        raise VideoError(f"damaged: {reason}") from None
    assert frames_THWC is not None
    return Frames(
        frames_THWC=frames_THWC, pts_T=pts_T, duration=index.probe.duration, decoder="pyav"
    )


def _shown(
    container: InputContainer,
    stream: VideoStream,
    index: Index,
    wanted: list[int],
    decoded: list[int],
) -> Iterator[tuple[int, float, VideoFrame]]:
    """Decode on, and yield what is on screen at each wanted position, with its time.

    Raises:
        VideoError: the frame that belongs there does not come.
    """
    todo = deque(wanted)
    ticks_N = index.ticks_N
    may_hide = index.probe.codec in MAY_HIDE

    def check(row: int, at: int | None) -> None:
        if at is None or at > ticks_N[row] or (at != ticks_N[row] and not may_hide):
            reason = f"no frame came at {index.pts_N()[row]:.3f} s, after {decoded[0]} frames"
            raise VideoError(f"damaged: {reason} of {index.probe.frames}")

    last: tuple[int, VideoFrame] | None = None
    for at, frame in _timed(container, stream, index):
        decoded[0] += 1
        while todo and at > ticks_N[todo[0]]:
            check(todo[0], last[0] if last else None)
            assert last is not None
            yield todo.popleft(), float(last[0] - ticks_N[0]) * index.tick, last[1]
        if todo and at == ticks_N[todo[0]]:
            yield todo.popleft(), float(at - ticks_N[0]) * index.tick, frame
        if not todo:
            return
        last = (at, frame)
    for row in todo:
        check(row, last[0] if last else None)
        assert last is not None
        yield row, float(last[0] - ticks_N[0]) * index.tick, last[1]


def _timed(
    container: InputContainer, stream: VideoStream, index: Index
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield each frame with its tick, as ``index.ticks_N`` counts them."""
    start, shift, at = int(index.ticks_N[0]), None, None
    for frame in container.decode(stream):
        if index.timed:
            if frame.pts is not None:
                yield frame.pts, frame
            continue
        # Without pts: a frame comes out in its order, with the decoding time of the packet that
        # pushed it out, late by the decoder's delay; those that the end pushes out have none.
        if frame.dts is not None:
            shift = frame.dts - start if shift is None else shift
            at = frame.dts - shift
        else:
            at = start if at is None else at + index.step
        yield at, frame


def _upright(frame: VideoFrame, index: Index) -> NDArray[np.uint8]:
    """Convert to RGB at the stream's size, turned as its metadata says."""
    # A stream may change its size; all frames of a video have one.
    rgb = frame.reformat(width=index.probe.width, height=index.probe.height, format="rgb24")
    image_HWC = cast("NDArray[np.uint8]", rgb.to_ndarray())
    return np.rot90(image_HWC, round(frame.rotation / 90) % 4)
