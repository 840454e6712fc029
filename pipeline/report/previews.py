"""Previews: a small copy of a video in a format that browsers play.

Reads a video; writes one MP4 (H.264, no sound). Like a strip it is named by the video's content.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelscribe.pipeline.files import write_with
from reelscribe.pipeline.guard import still_alive
from reelscribe.pipeline.report.strips import strip_name

UNPLAYABLE = (".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ts", ".wmv")
"""Suffixes of files that no common browser plays."""

TALLEST = 240
"""Pixels; a preview is for seeing what happens, not for enjoying it."""

CLOCK = Fraction(1, 1000)
"""A millisecond: the unit of a preview's times."""


def preview_name(sha256: str) -> str:
    """Return where the preview of the video with this sha256 lies, relative to ``report/``."""
    return strip_name(sha256).replace("strips/", "previews/").replace(".jpg", ".mp4")


def make_preview(video: Path, out: Path) -> None:
    """Write a small MP4 of ``video`` with the same times.

    Raises:
        ValueError: it cannot be read, or holds no picture.
    """
    try:
        write_with(out, lambda part: _copy(video, part))
    except FFmpegError as error:
        raise ValueError(f"FFmpeg: {error.strerror}") from None


def _copy(video: Path, out: Path) -> None:
    with av.open(str(video)) as source, av.open(str(out), "w", format="mp4") as target:
        if not source.streams.video:
            raise ValueError("no picture in it")
        aspect = source.streams.video[0].sample_aspect_ratio or Fraction(1)
        stream: VideoStream | None = None
        last, began = -1, 0.0
        for number, frame in enumerate(source.decode(source.streams.video[0])):
            if stream is None:
                # Records, too, count from the first frame; a broadcast begins at any time.
                stream, began = _stream(target, frame, aspect), frame.time or 0.0
            small = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            # Times must rise: old containers repeat some, or have none.
            last = max(last + 1, round(1000 * ((frame.time or 0.0) - began)))
            small.pts, small.time_base = last, CLOCK
            target.mux(stream.encode(small))
            if number % 100 == 0:
                still_alive()
        if stream is None:
            raise ValueError("no picture in it")
        target.mux(stream.encode())


def _stream(
    target: av.container.OutputContainer, first: VideoFrame, aspect: Fraction
) -> VideoStream:
    """Return the copy's stream; ``aspect`` is the width of a pixel over its height."""
    tall = min(TALLEST, first.height)
    options = {"preset": "veryfast", "crf": "30", "movflags": "faststart"}
    stream: VideoStream = target.add_stream("libx264", rate=30, options=options)
    # H.264 in 4:2:0 wants even sides.
    stream.width = max(2, round(first.width * aspect * tall / first.height) // 2 * 2)
    stream.height = max(2, tall // 2 * 2)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = CLOCK
    return stream
