"""Which clips of a dataset can be read at all: each is opened, and no more than that.

Reads the clips, in worker processes: one that crashes a decoder costs itself alone. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from reelscribe.datasets.by_pyav import read_pyav
from reelscribe.datasets.clip import Finding, Split
from reelscribe.datasets.reading import plan_reading
from reelscribe.datasets.sampling import Sampling
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.guard import Failed
from reelscribe.pipeline.progress import Progress

NAMED = 20
"""Clips that cannot be read and are named with their reason; the rest is counted."""


def open_video(path: Path) -> int:
    """Return how many frames a video's packets hold, with its first frame decoded.

    Raises:
        ValueError: it is not a whole video; damage behind the first frame is seen in its packets
            or, as with wrong colours, not before it is encoded.
    """
    reading = plan_reading(path, Sampling(count=1))
    for _ in read_pyav(reading, np.array([0])):
        pass
    return reading.index.probe.frames


def about_reading(
    splits: Iterable[Callable[[], Split]],
    runner: Runner,
    *,
    work: Callable[[Path], int] = open_video,
) -> Iterator[Finding]:
    """Open every clip of some splits once, and say which cannot be read and why.

    Args:
        splits: what loads each; one that cannot be loaded is left to those who say why.
        runner: where the clips are opened.
        work: what opens one.
    """
    once: dict[Path, None] = {}
    for load in splits:
        with suppress(ValueError):
            once.update(dict.fromkeys(clip.path for clip in load().clips()))
    paths, reasons = list(once), dict[Path, str]()
    with Progress("read", len(paths), "clips") as progress:
        for ended in runner.run(work, paths):
            if isinstance(ended, Failed):
                reasons[ended.job] = ended.reason
            progress()
    if paths:
        yield _finding(sorted(reasons.items()), len(paths))


def _finding(bad: Sequence[tuple[Path, str]], count: int) -> Finding:
    if not bad:
        return Finding(level="note", text=f"all {count:,} clips on disk can be read")
    more = (f"and {len(bad) - NAMED:,} more",) if len(bad) > NAMED else ()
    return Finding(
        level="error",
        text=f"{len(bad):,} of {count:,} clips cannot be read; copy or download them again",
        examples=(*(f"{path}: {reason}" for path, reason in bad[:NAMED]), *more),
    )
