"""Film strips: a few frames of a video side by side in one JPEG, to show what it is about.

Reads a video; writes one JPEG. A strip's name is made of the video's content and never of its file
name, so two videos of one name have two strips, and no file name reaches the disk a second time.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image, ImageOps

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.pipeline.files import write_whole

BAND = (20, 19, 18)
"""The film between two frames, as RGB."""

NARROWEST, WIDEST = 0.4, 2.4
"""Width over height of one frame in the strip; beyond, the middle of the frame is shown."""


def strip_name(sha256: str) -> str:
    """Return where the strip of the video with this sha256 lies, relative to ``report/``."""
    assert re.fullmatch(r"[0-9a-f]{16,64}", sha256), f"{sha256!r} is no sha256"
    return f"strips/{sha256[:32]}.jpg"


def make_strip(video: Path, out: Path, *, frames: int = 8, height: int = 96) -> None:
    """Write ``frames`` frames of ``video``, evenly spread over its time, as one JPEG.

    Args:
        video: the file to read.
        out: the JPEG to write; its folder is made.
        frames: how many frames, from left to right.
        height: of the strip, in pixels.

    Raises:
        ValueError: ``frames`` or ``height`` is out of range, or the video cannot be decoded.
    """
    if not 1 <= frames <= 64:
        raise ValueError(f"a strip has 1 to 64 frames, not {frames}")
    if not 16 <= height <= 1024:
        raise ValueError(f"a strip is 16 to 1024 pixels high, not {height}")
    frames_THWC = read_frames(video, Sampling(count=frames)).frames_THWC
    tall, wide = frames_THWC.shape[1:3]
    width = max(1, round(height * min(max(wide / tall, NARROWEST), WIDEST)))
    # A pixel of film on either side of each frame: whatever number of frames a page shows in a row,
    # the row is cut between two frames and never through one.
    strip = Image.new("RGB", (len(frames_THWC) * (width + 2), height), BAND)
    for place, frame_HWC in enumerate(frames_THWC):
        frame = ImageOps.fit(Image.fromarray(frame_HWC), (width, height))
        strip.paste(frame, (place * (width + 2) + 1, 0))
    data = io.BytesIO()
    strip.save(data, "JPEG", quality=82, optimize=True)
    write_whole(out, data.getvalue())
