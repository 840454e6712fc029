"""Which jobs go out next, in which packs; what becomes of a pack whose worker died.

Pure bookkeeping: no process, no Ray, no clock. Jobs are read one by one and only a few packs ahead,
and no result is kept, so memory does not grow with their number.

- Short jobs are packed, so that handing one over is worth its cost; towards the end packs shrink,
  so that no worker is left alone with a large one (guided self-scheduling, Polychronopoulos and
  Kuck 1987, https://doi.org/10.1109/TC.1987.5009495).
- A job may ask for more jobs (the pieces of a long video); those go before what has not begun.
- The jobs of a pack whose worker died are given out again one by one; one that takes a worker down
  by itself is tried once more, with nothing beside it, and then written down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reelscribe.pipeline.guard import Done, Ended, Failed, Hopeless

Job = TypeVar("Job")
Result = TypeVar("Result")

WORTH = 1.0
"""Seconds of work that a pack should hold: what it costs to hand one over, some 5 ms of two busy
cores, is then not seen."""

LARGEST = 256
"""Jobs a pack at most, so that one that dies costs little and progress is seen."""

AHEAD = 2
"""Packs a worker that are out at once: one at work, one waiting at its door."""


@dataclass(frozen=True, kw_only=True)
class Died:
    """A worker ended over a pack."""

    how: str
    """What is known of it, in one line."""


class Schedule(Generic[Job, Result]):
    """The jobs of one run."""

    def __init__(
        self,
        jobs: Iterable[Job],
        *,
        workers: int,
        more: Callable[[Done[Job, Result] | Failed[Job]], Iterable[Job]] = lambda outcome: (),
        again: Callable[[Job], Job] = lambda job: job,
    ) -> None:
        """Take what decides the order.

        Args:
            jobs: read lazily.
            workers: how many processes work.
            more: the jobs that an outcome asks for.
            again: what a job becomes for its last try, alone.
        """
        self._jobs = iter(jobs)
        self._read_all = False
        self._ahead: deque[Job] = deque()
        self._next: deque[Job] = deque()
        self._alone: deque[Job] = deque()
        self._is_alone = False
        self._workers = workers
        self._out = 0
        self._pace: float | None = None
        self._more, self._again = more, again

    @property
    def finished(self) -> bool:
        """Whether nothing is out and nothing is left."""
        left = self._out or self._next or self._alone or self._ahead
        return not left and self._read_all

    def take(self) -> list[Job]:
        """Return the next pack; an empty one where there is none now (or none at all)."""
        if self._is_alone or self._out >= self._workers * AHEAD:
            return []
        pack = [self._next.popleft()] if self._next else self._read()
        if not pack and self._alone and not self._out:
            self._is_alone = True
            pack = [self._again(self._alone.popleft())]
        self._out += bool(pack)
        return pack

    def put(
        self, pack: Sequence[Job], ended: Ended[Job, Result] | Died | Hopeless
    ) -> Iterator[Done[Job, Result] | Failed[Job]]:
        """Take a pack back; yield what is now known of its jobs.

        Raises:
            Hopeless: a job said so.
        """
        if isinstance(ended, Hopeless):
            raise ended
        self._out -= 1
        was_alone, self._is_alone = self._is_alone, False
        if isinstance(ended, Ended):
            self._measure(ended.seconds / len(pack))
            outcomes = list(ended.outcomes)
        elif was_alone:
            outcomes = [Failed(job=job, reason=ended.how, died=True) for job in pack]
        else:
            (self._next if len(pack) > 1 else self._alone).extend(pack)
            return
        for outcome in outcomes:
            yield outcome
            self._next.extend(self._more(outcome))

    def _read(self) -> list[Job]:
        """Read as many jobs as make a pack worth handing over, and fair to the other workers."""
        size = 1 if self._pace is None else int(WORTH / max(self._pace, WORTH / LARGEST))
        shares = self._workers * AHEAD
        while not self._read_all and len(self._ahead) < max(1, size) * shares:
            try:
                self._ahead.append(next(self._jobs))
            except StopIteration:
                self._read_all = True
        if self._read_all:
            size = min(size, len(self._ahead) // shares)
        return [self._ahead.popleft() for _ in range(min(max(1, size), len(self._ahead)))]

    def _measure(self, seconds: float) -> None:
        # The first job of a worker loads what it works with; later ones soon outweigh it.
        self._pace = seconds if self._pace is None else 0.7 * self._pace + 0.3 * seconds
