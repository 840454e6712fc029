"""Clips whose pictures say their number, so that a test can ask which frames it was given."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from reelscribe.datasets.video import Frames

FRAMES = 120
TICK = Fraction(1, 90)


def picture(i: int, height: int = 96, width: int = 128) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Picture i: its number as eight black or white bars above a pattern that moves."""
    y, x = np.mgrid[0:height, 0:width]
    image_HW = 128 + 60 * np.sin((x + 3 * i) / 7) * np.cos((y + 2 * i) / 5)
    for bit in range(8):
        bar = slice(bit * width // 8, (bit + 1) * width // 8)
        image_HW[: height // 2, bar] = 255 * (i >> bit & 1)
    return np.repeat(image_HW[..., None], 3, axis=2).astype(np.uint8)


def numbers(frames: Frames) -> list[int]:
    """Read the pictures' numbers back."""
    return [number_of(image_HWC) for image_HWC in frames.frames_THWC]


def number_of(image_HWC: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    bars = np.array_split(image_HWC[: image_HWC.shape[0] // 2, :, 1], 8, axis=1)
    return sum(1 << bit for bit in range(8) if bars[bit].mean() > 128)


def make(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    *,
    pts: Callable[[int], int] = lambda i: 3 * i,
    tick: Fraction = TICK,
    pixels: str = "yuv420p",
    frames: int = FRAMES,
    size: tuple[int, int] = (128, 96),
) -> Path:
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = stream.time_base = tick
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(i, size[1], size[0]), format="rgb24")
            frame.pts, frame.time_base = pts(i), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def uneven(i: int) -> int:
    """A variable rate: 30 a second with jitter, and a still second after picture 60."""
    return 3 * i + i * i % 3 + (90 if i > 60 else 0)


CLOSED = {"x264-params": "keyint=30:bframes=3:log-level=none"}
OPEN = {"x264-params": "keyint=30:bframes=3:b-adapt=0:open-gop=1:log-level=none"}
REFRESH = {"x264-params": "keyint=40:intra-refresh=1:bframes=0:log-level=none"}
