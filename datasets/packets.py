"""What a video file holds, from its packets alone: no frame is decoded here.

Reads video files through PyAV; writes nothing. The list of packets is the truth that decoders are
held to: how many frames, when each appears, and from which key frames a seek is exact.

Shapes: N frames in the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

MAX_PIXELS = 100_000_000
"""A frame with more is refused: nothing that people film has it, and it fills the memory."""

MAX_SECONDS = 30 * 24 * 3600
"""A longer video is refused: it is a mistake in the times of its frames, and would be looked at
forever."""


class VideoError(ValueError):
    """A video cannot be read; the message is one line with the reason."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a video's container says, held against its packets."""

    duration: float
    """In seconds, from the first frame's start to the last frame's end."""
    frames: int
    """Packets that are shown, counted."""
    width: int
    """In pixels, as stored: before a rotation by metadata."""
    height: int
    """In pixels, as stored."""
    rate: float
    """Average frames a second, or 0 where the container has none."""
    codec: str
    """FFmpeg's name of the format, for example ``h264``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """The frames of a file's best video stream, in the order of presentation: all, or a part.

    Positions count from the video's first frame, in a part too.
    """

    ticks_N: NDArray[np.int64]
    """Ascending, in units of ``tick``: pts as stored, or decoding times where pts cannot be had."""
    first: int = 0
    """The position of ``ticks_N[0]``."""
    origin: int
    """When the video's first frame appears, in ticks."""
    keys: NDArray[np.intp]
    """Positions of the key frames that a decoder can start from, ascending."""
    flagged: NDArray[np.intp]
    """Positions of all that the file calls key frames, ascending."""
    tick: float
    """Seconds."""
    step: int
    """Ticks from one frame to the next, as a rule."""
    timed: bool
    """Whether ``ticks_N`` are pts; AVI and raw streams have decoding times at best."""
    clean: bool
    """Whether nothing refers across any key frame, so that counting on from one is exact."""
    pixels: str
    """FFmpeg's name of the pixel format, for example ``yuv420p``."""
    probe: Probe
    """The same in round figures, always of the whole video."""

    @property
    def whole(self) -> bool:
        """Whether all frames of the video are here."""
        return len(self.ticks_N) == self.probe.frames

    def pts_N(self) -> NDArray[np.float64]:
        """Return (N,) presentation times in seconds after the video's first frame."""
        pts_N = (self.ticks_N - self.origin).astype(np.float64)
        pts_N *= self.tick
        return pts_N

    def ticks_at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return when the frames at these positions appear, in ticks."""
        ticks: NDArray[np.int64] = self.ticks_N[rows - self.first]
        return ticks


_Entry = tuple["int | None", "int | None", int, bool, bool]
"""pts, dts, duration, whether a key frame, whether one that resets the decoder."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and the video stream that FFmpeg thinks best: one thread, strict about errors.

    Raises:
        VideoError: it is not a video, or one with frames over ``MAX_PIXELS``.
    """
    import av

    _check_file(path)
    av.logging.set_level(None)
    try:
        # An absolute path cannot be taken for a URL, as "a:b.mp4" can.
        container = av.open(str(path.absolute()), metadata_errors="replace")
    except av.FFmpegError as error:
        raise VideoError(f"FFmpeg cannot open it: {error.strerror}") from None
    with container:
        stream = cast("VideoStream | None", container.streams.best("video"))
        if stream is None:
            raise VideoError("no video stream")
        codec = cast("VideoCodecContext | None", stream.codec_context)
        if codec is None:
            raise VideoError("no decoder for its video stream")
        if codec.width * codec.height > MAX_PIXELS:
            size = f"{codec.width} x {codec.height}"
            raise VideoError(f"frames of {size} are over {MAX_PIXELS:,} pixels")
        codec.thread_count = 1
        codec.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
        yield container, stream


def _check_file(path: Path) -> None:
    """Refuse what must not even be opened: to open a pipe is to wait for whoever writes to it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        reason = "a link to a file that is not there" if path.is_symlink() else "not found"
        raise VideoError(reason) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"cannot be opened: {reason}") from None
    if stat.S_ISDIR(found.st_mode):
        raise VideoError("not a file but a folder")
    if not stat.S_ISREG(found.st_mode):
        raise VideoError("not a file but a pipe, a socket or a device")
    if not found.st_size:
        raise VideoError("empty file")
    if not os.access(path, os.R_OK):
        raise VideoError("cannot be opened: permission denied")


def read_index(path: Path) -> Index:
    """List the packets of the best video stream.

    Raises:
        VideoError: it has no frames, or ends before its header says.
    """
    import av

    with opened(path) as (container, stream):
        try:
            entries = _entries(container, stream)
        except av.FFmpegError as error:
            raise VideoError(f"damaged: {error.strerror}") from None
        if not entries:
            raise VideoError("no frames in its video stream")
        return _index(entries, stream, format=container.format.name)


def _entries(container: InputContainer, stream: VideoStream) -> list[_Entry]:
    # Matroska has no count of frames; there the end of all streams tells a cut file.
    matroska = "matroska" in container.format.name
    length, codec, ours = _nal_length(stream), stream.codec_context.name, stream.index
    entries: list[_Entry] = []
    packets, ends = 0, dict.fromkeys(range(len(container.streams)), 0)
    # An hour has 100,000 packets and more: what is asked of each is kept to the least.
    for packet in container.demux() if matroska else container.demux(stream):
        if not packet.size:
            continue
        pts, duration = packet.pts, packet.duration or 0
        if matroska:
            at = packet.stream_index
            ends[at] = max(ends.get(at, 0), (pts or 0) + duration)
            if at != ours:
                continue
        packets += 1
        if packet.is_corrupt:
            raise VideoError(f"the file ends inside frame {packets}")
        if packet.is_discard:
            continue
        key = packet.is_keyframe
        exact = key and _is_exact(packet, codec, length)
        entries.append((pts, packet.dts, duration, key, exact))
    if packets < stream.frames:
        raise VideoError(f"the file ends after {packets} of {stream.frames} frames")
    if matroska:
        bases = {stream.index: float(stream.time_base or 0) for stream in container.streams}
        reached = max(end * bases.get(at, 0.0) for at, end in ends.items())
        seconds = (container.duration or 0) / 1e6
        if reached + 1 < seconds:
            raise VideoError(f"the file ends after {reached:.1f} of {seconds:.1f} seconds")
    return entries


def _nal_length(stream: VideoStream) -> int:
    """Return how many bytes hold a NAL unit's length, or 0 where start codes part them."""
    extra = stream.codec_context.extradata or b""
    at = {"h264": 4, "hevc": 21}.get(stream.codec_context.name, len(extra))
    return (extra[at] & 3) + 1 if len(extra) > at and extra[0] == 1 else 0


def _is_exact(packet: Packet[Stream] | Packet[VideoStream], codec: str, length: int) -> bool:
    """Whether a key frame resets the decoder: an IDR picture, where the codec has other kinds."""
    if not length:
        return codec in ("vp8", "vp9", "mjpeg")
    data, at = memoryview(packet), 0
    while at + length < len(data):
        head = data[at + length]
        if head & 31 == 5 if codec == "h264" else head >> 1 & 63 in (19, 20):
            return True
        at += length + int.from_bytes(data[at : at + length], "big")
    return False


def _index(entries: list[_Entry], stream: VideoStream, *, format: str) -> Index:
    """Put the packets from decoding order into the order of presentation."""
    codec = stream.codec_context
    tick = float(stream.time_base or 0) or 1.0
    rate = float(stream.average_rate or 0)
    usual = max(1, round(1 / (rate * tick))) if rate else 1
    pts_N, dts_N, duration_N, key_N, exact_N = zip(*entries, strict=True)
    ticks = _unique(pts_N)
    # FFmpeg makes up the pts of AVI, and gets B-frames wrong.
    timed = ticks is not None and format != "avi"
    if not timed:
        ticks = _unique(dts_N)
    if ticks is None:
        ticks = np.arange(len(entries), dtype=np.int64) * usual
    order = np.argsort(ticks, kind="stable")
    ticks_N = ticks[order]
    step = int(np.median(np.diff(ticks_N))) if len(ticks_N) > 1 else usual
    end = int(ticks_N[-1]) + (duration_N[order[-1]] or step)
    duration = (end - int(ticks_N[0])) * tick
    if duration > MAX_SECONDS:
        raise VideoError(
            f"its frames' times span {duration:,.0f} seconds; at most {MAX_SECONDS:,} are read"
        )
    # Strict decoding from an H.264 key frame that is no IDR picture ends at the frames before it,
    # which refer to what was not read.
    start_N = np.array(exact_N if codec.name == "h264" else key_N)
    if format == "mpegts":
        # It is searched by decoding time, so a seek lands behind the key frame: none is made.
        start_N[1:] = False
    return Index(
        ticks_N=ticks_N,
        origin=int(ticks_N[0]),
        keys=np.flatnonzero(start_N[order]),
        flagged=np.flatnonzero(np.array(key_N)[order]),
        tick=tick,
        step=step,
        timed=timed,
        clean=timed and key_N[0] and exact_N.count(True) == key_N.count(True),
        pixels=codec.pix_fmt or "",
        probe=Probe(
            duration=duration,
            frames=len(ticks_N),
            width=codec.width,
            height=codec.height,
            rate=rate,
            codec=codec.codec.canonical_name,
        ),
    )


def _unique(ticks: tuple[int | None, ...]) -> NDArray[np.int64] | None:
    if None in ticks:
        return None
    ticks_N = np.array(ticks, dtype=np.int64)
    return ticks_N if len(np.unique(ticks_N)) == len(ticks_N) else None
