"""Decode with PyAV: any file that FFmpeg knows, strictly, by seeking where that spares frames.

Reads video files; writes nothing. FFmpeg's strict error detection is on, so bits that do not decode
end the read; what it conceals all the same, it marks, and that ends the read too.

Shapes: H x W pixels, C = 3 (red, green, blue).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.packets import Index, VideoError, opened
from reelscribe.datasets.reading import SEEK_GAIN, Part, Reading

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

MAY_HIDE = frozenset({"mpeg4", "vp8"})
"""Codecs where a packet may show nothing (a skipped picture): the one before stays on screen."""


class Shown(NamedTuple):
    """What is on screen at a wanted position."""

    row: int
    pts: float
    """When it appeared, in seconds after the video's first frame."""
    image_HWC: NDArray[np.uint8]
    """RGB, upright."""


class Count:
    """How many frames were decoded so far, for messages and tests."""

    def __init__(self) -> None:
        self.frames = 0


def read_pyav(
    reading: Reading, wanted: NDArray[np.intp], count: Count | None = None
) -> Iterator[Shown]:
    """Yield the pictures at ascending positions, each once.

    By seeking, or by key frames alone, where that is worth it. Where it fails, on from the same
    picture: decoding no frame that is not needed, so that damage elsewhere in the file costs
    nothing; and at last from the start of the file, for what refers back across key frames.

    Raises:
        VideoError: the file is damaged.
    """
    count, done, failed = count or Count(), 0, None
    for way in _ways(reading):
        left = wanted[done:]
        count.frames = 0
        try:
            for one in way(left, count):
                yield one
                done += 1
            return
        except VideoError as error:
            failed = failed or error
    assert failed is not None
    raise failed


_Way = Callable[[NDArray[np.intp], Count], Iterator[Shown]]


def _ways(reading: Reading) -> Iterator[_Way]:
    """Yield ways to read, the cheapest first."""

    def in_parts(*, gain: int) -> _Way:
        return lambda left, count: _read_parts(reading, reading.parts(left, gain=gain), count)

    def from_start(left: NDArray[np.intp], count: Count) -> Iterator[Shown]:
        return _read_parts(reading, [(None, left.tolist())], count)

    if not reading.keyframes:
        yield in_parts(gain=SEEK_GAIN)
        yield in_parts(gain=0)
        yield from_start
        return
    yield lambda left, count: _keyframes(reading, left, count)
    # Without times, a key frame's position is not its place among all frames.
    if reading.index.timed:
        yield from_start


def _read_parts(reading: Reading, parts: list[Part], count: Count) -> Iterator[Shown]:
    import av

    index = reading.index
    picture = _pictures(index)
    try:
        with opened(reading.path) as (container, stream):
            for key, wanted in parts:
                if key is not None:
                    container.seek(_tick(index, key), stream=stream)
                for row, at, frame in _shown(container, stream, index, wanted, count):
                    yield Shown(row, (at - index.origin) * index.tick, picture(frame))
    except av.FFmpegError as error:
        raise _stopped(error, index, count) from None


def _stopped(error: Exception, index: Index, count: Count) -> VideoError:
    total, why = index.probe.frames, getattr(error, "strerror", None) or error
    return VideoError(f"damaged: the decoder stopped after {count.frames} of {total} frames: {why}")


def _tick(index: Index, row: int) -> int:
    return int(index.ticks_N[row - index.first])


def _shown(
    container: InputContainer, stream: VideoStream, index: Index, wanted: list[int], count: Count
) -> Iterator[tuple[int, int, VideoFrame]]:
    """Decode on, and yield what is on screen at each wanted position, with its tick.

    Raises:
        VideoError: the frame that belongs there does not come.
    """
    ticks = index.ticks_at(np.array(wanted, dtype=np.intp)).tolist()
    todo = 0
    may_hide = index.probe.codec in MAY_HIDE
    last: tuple[int, VideoFrame] | None = None

    def stays() -> tuple[int, int, VideoFrame]:
        """Return the frame before, if it may stay on screen at the next wanted position."""
        if last is None or last[0] > ticks[todo] or (last[0] != ticks[todo] and not may_hide):
            seconds = (ticks[todo] - index.origin) * index.tick
            reason = f"no frame came at {seconds:.3f} s, after {count.frames} frames"
            raise VideoError(f"damaged: {reason} of {index.probe.frames}")
        return wanted[todo], *last

    for at, frame in _timed(container, stream, index, count):
        while todo < len(wanted) and at > ticks[todo]:
            yield stays()
            todo += 1
        if todo < len(wanted) and at == ticks[todo]:
            yield wanted[todo], at, frame
            todo += 1
        if todo == len(wanted):
            return
        last = (at, frame)
    while todo < len(wanted):
        yield stays()
        todo += 1


def _timed(
    container: InputContainer, stream: VideoStream, index: Index, count: Count
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield each frame with its tick, as ``index.ticks_N`` counts them."""
    start, shift, at = index.origin, None, None
    for frame in container.decode(stream):
        _check(frame, index, count)
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


def _check(frame: VideoFrame, index: Index, count: Count) -> None:
    # Strict decoding lets some of what H.264 conceals pass, but marks it.
    if frame.is_corrupt:
        total = index.probe.frames
        raise VideoError(f"damaged: a frame is incomplete, after {count.frames} of {total} frames")
    count.frames += 1


def _keyframes(reading: Reading, wanted: NDArray[np.intp], count: Count) -> Iterator[Shown]:
    """Yield key frames, each decoded by itself: nothing else is given to the decoder."""
    import av

    index = reading.index
    picture = _pictures(index)
    try:
        with opened(reading.path) as (container, stream):
            if index.timed:
                found = _lone_frames(container, stream, index, wanted)
            else:
                found = _nth_frames(container, stream, index, wanted, count)
            for row, at, frame in found:
                if index.timed:
                    _check(frame, index, count)
                yield Shown(row, (at - index.origin) * index.tick, picture(frame))
    except av.FFmpegError as error:
        raise _stopped(error, index, count) from None


def _lone_frames(
    container: InputContainer, stream: VideoStream, index: Index, wanted: NDArray[np.intp]
) -> Iterator[tuple[int, int, VideoFrame]]:
    codec = stream.codec_context
    # For packets that hold another picture beside the key frame.
    codec.skip_frame = "NONKEY"
    before, keys = 0, frozenset(index.keys.tolist())
    if index.first:
        container.seek(_tick(index, index.first), stream=stream)
        before = index.first
    for row, tick in zip(wanted.tolist(), index.ticks_at(wanted).tolist(), strict=True):
        # Elsewhere a seek may land behind: transport streams are searched by decoding time.
        if row in keys and row - before > SEEK_GAIN:
            container.seek(tick, stream=stream)
        before = row
        packets = (packet for packet in container.demux(stream) if packet.pts == tick)
        packet = next(packets, None)
        if packet is None:
            raise VideoError(f"damaged: the key frame at position {row} cannot be found")
        # Drained and flushed, the decoder keeps nothing that the next key frame could be mixed
        # with; one that needs others to be whole (a recovery point) does not come out.
        frames = [*codec.decode(packet), *codec.decode(None)]
        codec.flush_buffers()
        alone = [frame for frame in frames if frame.pts == tick]
        if not alone:
            raise VideoError(f"damaged: the key frame at position {row} does not decode")
        yield row, tick, alone[0]


def _nth_frames(
    container: InputContainer,
    stream: VideoStream,
    index: Index,
    wanted: NDArray[np.intp],
    count: Count,
) -> Iterator[tuple[int, int, VideoFrame]]:
    """As above where frames have no times: all are decoded, to know when each appears.

    Positions are then those of packets; the n-th key frame that comes out is the n-th of these.
    """
    rows = dict(zip(index.flagged.tolist(), range(len(index.flagged)), strict=True))
    places, came = {rows[row]: row for row in wanted.tolist()}, 0
    for at, frame in _timed(container, stream, index, count):
        if frame.key_frame:
            if came in places:
                yield places.pop(came), at, frame
            came += 1
        if not places:
            return
    raise VideoError(f"damaged: {came} of {len(rows)} key frames came")


def _pictures(index: Index) -> Callable[[VideoFrame], NDArray[np.uint8]]:
    """Return what turns frames into RGB at the stream's size, upright as their metadata says."""
    from av.video.reformatter import VideoReformatter

    # One for all frames: setting a converter up costs as much as it then takes for a frame.
    converter = VideoReformatter()

    def picture(frame: VideoFrame) -> NDArray[np.uint8]:
        # A stream may change its size; all frames of a video have one.
        rgb = converter.reformat(
            frame, width=index.probe.width, height=index.probe.height, format="rgb24", threads=1
        )
        image_HWC = cast("NDArray[np.uint8]", rgb.to_ndarray())
        return np.rot90(image_HWC, round(frame.rotation / 90) % 4)

    return picture
