"""Long videos on the driver's side: their pieces, given out few at a time, then joined.

Pure bookkeeping; reads and writes nothing. Where a piece cannot be read by itself, its video is
read once more in one go: what a seek cannot reach, decoding from the start may.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reelscribe.pipeline.guard import Done, Failed
from reelscribe.pipeline.jobs import (
    Cut,
    Encoded,
    Job,
    JoinJob,
    PieceJob,
    Result,
    VideoJob,
    path_of,
)

Outcome = Done[Job, Result] | Failed[Job]


@dataclass(kw_only=True)
class _Long:
    cut: Cut
    waiting: deque[PieceJob]
    done: int = 0


@dataclass(kw_only=True)
class LongVideos:
    """The videos of a run that are cut and not done yet."""

    at_once: int
    """Pieces of one video that are out together."""
    _long: dict[Path, _Long] = field(default_factory=dict)

    def more(self, outcome: Outcome) -> Iterable[Job]:
        """Return the jobs that an outcome asks for."""
        path = path_of(outcome.job)
        if isinstance(outcome, Failed):
            over = self._starts_over(outcome)
            # Pieces of it that are still out end by themselves, and nobody waits for them.
            self._long.pop(path, None)
            return [VideoJob(path=path, pyav=True, whole=True)] if over else ()
        if isinstance(outcome.result, Cut):
            long = _Long(cut=outcome.result, waiting=deque(outcome.result.pieces))
            self._long[path] = long
            return self._release(long, self.at_once)
        if not isinstance(outcome.job, PieceJob) or path not in self._long:
            return ()
        long = self._long[path]
        long.done += 1
        if long.done < len(long.cut.pieces):
            return self._release(long, 1)
        spans = tuple(piece.span for piece in long.cut.pieces)
        return [JoinJob(source=long.cut.source, spans=spans, duration=long.cut.duration)]

    def ends(self, outcome: Outcome) -> Encoded | Failed[Job] | None:
        """Return what became of a video: its features, a failure, or None: it is not known yet.

        Call it before :meth:`more`.
        """
        if isinstance(outcome, Done):
            return outcome.result if isinstance(outcome.result, Encoded) else None
        if self._starts_over(outcome):
            return None
        gone = isinstance(outcome.job, PieceJob) and path_of(outcome.job) not in self._long
        return None if gone else outcome

    def progress(self, outcome: Outcome) -> str:
        """Return how far a long video is, in words; the empty string for others.

        Call it before :meth:`more`.
        """
        path = path_of(outcome.job)
        long = self._long.get(path)
        if long is None or not (isinstance(outcome, Done) and isinstance(outcome.job, PieceJob)):
            return ""
        return f"{path.name}: piece {long.done + 1} of {len(long.cut.pieces)}"

    def _starts_over(self, failed: Failed[Job]) -> bool:
        cut = not isinstance(failed.job, VideoJob) and path_of(failed.job) in self._long
        return cut and not failed.died

    def _release(self, long: _Long, count: int) -> list[Job]:
        return [long.waiting.popleft() for _ in range(min(count, len(long.waiting)))]
