"""Decode with decord where it can be trusted, and listen to what its FFmpeg says meanwhile.

Reads video files; writes nothing. decord 0.6.0 finds frames by counting on from key frames, and so
gives wrong ones for open GOPs, intra refresh, transport streams and AVI (all 62 clips of a sample
of MSVD, some of UCF101; dmlc/decord#26, #195, #365): there it is refused. It cannot be told to be
strict either: what its FFmpeg conceals, it gives (decord PR#119). But FFmpeg says so on stderr, so
that is listened to while decord works, and decord is not believed once anything was said.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.by_pyav import Shown
from reelscribe.datasets.packets import VideoError
from reelscribe.datasets.reading import Reading

if TYPE_CHECKING:
    from types import ModuleType

PIXELS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuv444p"})
"""Pixel formats that decord and PyAV turn into the same RGB; those of 10 bits differ."""

MAX_PIXELS = 1280 * 720
"""Of a frame, for "auto". decord decodes ahead, and holds hundreds of frames as RGB: of 720p it
took 0.5 GB for 16 frames of an hour (dmlc/decord#157, #208)."""

AGAIN = 0.25
"""Share of frames decoded twice, from batch to batch, that "auto" accepts."""

SAID = 65_536
"""Bytes of what FFmpeg says that are kept; what a file can make it say has no end."""

_FFMPEG = re.compile(r"\[[^\]]+ @ 0x[0-9a-f]+\]|\[\d\d:\d\d:\d\d\] | *Last message repeated")
_STDERR = threading.Lock()


def check_worth(reading: Reading, wanted: NDArray[np.intp], batch: int) -> None:
    """Refuse what decord would read right, but at a price that PyAV does not ask.

    Raises:
        VideoError: it would, for the reason given.
    """
    probe = reading.index.probe
    if reading.keyframes:
        raise VideoError("decord decodes other frames too between key frames")
    if probe.width * probe.height > MAX_PIXELS:
        raise VideoError(f"decord would hold too many frames of {probe.width} x {probe.height}")
    # Each batch is decoded from a key frame on, be it one that the batch before began from.
    decodes = sum(part[-1] - (key or 0) + 1 for key, part in reading.parts(wanted))
    keys = reading.index.keys
    heads, tails = wanted[batch::batch], wanted[batch - 1 :: batch][: len(wanted[batch::batch])]
    starts = keys[np.searchsorted(keys, heads, side="right") - 1] if len(keys) else heads * 0
    again = int(np.maximum(tails - starts, 0).sum())
    if again > AGAIN * decodes:
        raise VideoError(f"decord would decode {again} frames again for batches of {batch}")


def read_decord(reading: Reading, wanted: NDArray[np.intp], batch: int) -> Iterator[Shown]:
    """Yield the pictures at ascending positions, decoded ``batch`` at a time.

    Raises:
        VideoError: decord is not installed, cannot be trusted with this file, or fails.
    """
    _check_trust(reading)
    decord = _import()
    pts_N = reading.index.pts_N()
    reader = None
    for first in range(0, len(wanted), batch):
        rows = wanted[first : first + batch]
        with _overheard(decord):
            try:
                reader = reader or _open(decord, reading, pts_N)
                frames_THWC = reader.get_batch(rows).asnumpy()
                # Its thread decodes ahead until it is told to seek: without end in memory, and
                # saying things when nobody listens (dmlc/decord#157, #208).
                reader.seek(0)
            except (decord.DECORDError, RuntimeError, AssertionError) as error:
                last_line = str(error).strip().splitlines()[-1:] or [type(error).__name__]
                raise VideoError(f"decord: {last_line[0][:200]}") from None
        for row, image_HWC in zip(rows.tolist(), frames_THWC, strict=True):
            yield Shown(row, float(pts_N[row]), image_HWC)


def _check_trust(reading: Reading) -> None:
    index = reading.index
    if not index.whole:
        # It reads a whole file's packets when it opens it: for each piece again.
        raise VideoError("decord would scan the whole file for a part of it")
    if not index.clean:
        raise VideoError("decord would miscount its frames: no exact times or open key frames")
    if index.pixels not in PIXELS:
        raise VideoError(f"decord would turn {index.pixels} into other colours")
    try:
        str(reading.path.absolute()).encode()
    except UnicodeEncodeError:
        raise VideoError("decord cannot open a name that is not UTF-8") from None


def _import() -> ModuleType:
    # At the end of a damaged file decord tries again, 10,240 times unless told.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "2048")
    try:
        import decord
    except (ImportError, OSError) as error:
        raise VideoError(f"decord cannot be imported: {error}") from None
    module: ModuleType = decord
    return module


def _open(decord: ModuleType, reading: Reading, pts_N: NDArray[np.float64]) -> Any:
    """Open the file, if decord's own list of frames is that of the packets."""
    reader = decord.VideoReader(str(reading.path.absolute()), num_threads=1)
    if len(reader) != len(pts_N):
        raise VideoError(f"decord counts {len(reader)} frames of {len(pts_N)}")
    # decord keeps times as 32-bit floats.
    times_N = reader.get_frame_timestamp(range(len(pts_N)))[:, 0].astype(np.float64)
    if not np.allclose(times_N - times_N[0], pts_N, rtol=1e-6, atol=5e-4):
        raise VideoError("decord has other times for its frames")
    return reader


@contextmanager
def _overheard(decord: ModuleType) -> Iterator[None]:
    """Let decord's FFmpeg speak, unseen by the user.

    Raises:
        VideoError: it said something.
    """
    said: list[str] = []
    with _stderr_to(said):
        decord.logging.set_level(decord.logging.INFO)
        try:
            yield
        finally:
            decord.logging.set_level(decord.logging.QUIET)
    if said:
        raise VideoError(f"decord: {said[0][:200]}")


@contextmanager
def _stderr_to(said: list[str]) -> Iterator[None]:
    """Point stderr's descriptor elsewhere, and list what FFmpeg wrote there in ``said``.

    The descriptor belongs to the whole process: one at a time, for as short as can be. What other
    threads wrote is passed on.
    """
    with _STDERR:
        try:
            before = os.dup(2)
        except OSError:
            before = None  # It is closed, so nobody can miss it.
        nowhere = _unnamed_file()
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            text = os.pread(nowhere, SAID, 0).decode(errors="replace")
            if before is not None:
                os.dup2(before, 2)
                os.close(before)
            elif nowhere != 2:
                os.close(2)
            os.close(nowhere)
            lines = text.splitlines(keepends=True)
            said += [line.strip() for line in lines if _FFMPEG.match(line)]
            others = "".join(line for line in lines if not _FFMPEG.match(line))
            with suppress(OSError):
                os.write(2, others.encode())


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
