"""What the driver and the workers of an encode run say to each other: jobs and their results.

Reads and writes nothing. T = frames, S = pixels of a crop's side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.reading import Reading


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video file as it was when it was hashed."""

    path: Path
    sha256: str
    size: int
    """Bytes."""
    mtime_ns: int

    def check(self) -> None:
        """Raise where the file is no longer the same.

        Raises:
            ValueError: it changed.
            OSError: it is gone.
        """
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ValueError("changed while it was being read; run again when it is whole")


@dataclass(frozen=True, kw_only=True)
class VideoJob:
    """One video, from the beginning."""

    path: Path
    pyav: bool = False
    """Read it with PyAV alone: decord took a worker down over it."""
    whole: bool = False
    """Read it in one go: a piece of it could not be read by itself."""


@dataclass(frozen=True, kw_only=True)
class PieceJob:
    """A part of a long video."""

    source: Source
    reading: Reading
    span: tuple[int, int]
    """Which of the video's T frames these are."""


@dataclass(frozen=True, kw_only=True)
class JoinJob:
    """The end of a long video: its pieces become one entry."""

    source: Source
    spans: tuple[tuple[int, int], ...]
    duration: float
    """Of the video, in seconds."""


Job = VideoJob | PieceJob | JoinJob


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A video has its features."""

    source: Source
    fresh: bool
    """False where the store had this content already, under whatever name."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A video is long; these are its pieces."""

    source: Source
    pieces: tuple[PieceJob, ...]
    duration: float


@dataclass(frozen=True, kw_only=True)
class PieceDone:
    """A piece has its features."""

    path: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class Cropped:
    """A video or a piece is decoded; a GPU has yet to encode it (feeding.py)."""

    job: VideoJob | PieceJob
    source: Source
    crops_TSSC: NDArray[np.uint8]
    pts_T: NDArray[np.float64]
    about: Mapping[str, Any]


Result = Encoded | Cut | PieceDone | Cropped


def path_of(job: Job) -> Path:
    """Return the video that a job is about."""
    return job.path if isinstance(job, VideoJob) else job.source.path


def without_decord(job: Job) -> Job:
    """Return what a job becomes once it has taken a worker down twice."""
    return replace(job, pyav=True) if isinstance(job, VideoJob) else job
