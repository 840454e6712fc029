"""Plain worker processes, for ``--local``: no Ray, the same faults survived.

Each worker is a fresh Python (spawned, so that no lock or thread is inherited) that takes one job
at a time over a pipe. One that dies is replaced; its job is tried once more, alone, at the end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, TypeVar

from reelscribe.pipeline.guard import Done, Failed, Limits, guarded

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_in_processes(
    work: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int, limits: Limits
) -> Iterator[Done[Job, Result] | Failed[Job]]:
    """Yield an outcome for each job, in the order in which they end."""
    crashed: list[Job] = []
    for worker, outcome in _pool(work, jobs, workers, limits):
        if outcome is None:
            crashed.append(worker.job)
        else:
            yield outcome
    for worker, outcome in _pool(work, crashed, 1, limits):
        yield outcome or Failed(job=worker.job, reason=worker.how_it_died(limits))


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, limits), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Any = None
        self.since = 0.0

    def give(self, job: Any) -> None:
        """Hand over one job."""
        self.job, self.since = job, monotonic()
        with contextlib.suppress(OSError):  # It died while idle: take() finds that out.
            self.pipe.send(job)

    def take(self) -> Any | None:
        """Return the outcome; None where the process died over it."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return None

    def how_it_died(self, limits: Limits) -> str:
        """Say in one line what ended the process."""
        if monotonic() - self.since >= limits.seconds:
            return f"took longer than {limits.seconds:g} s, twice"
        code = self.process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"took its worker process down, twice ({name})"

    def stop(self) -> None:
        """End the process, busy or not."""
        self.pipe.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()


def _pool(
    work: Callable[[Any], Any], jobs: Iterable[Any], workers: int, limits: Limits
) -> Iterator[tuple[_Worker, Any | None]]:
    waiting = iter(jobs)
    busy: dict[Any, _Worker] = {}
    everyone: list[_Worker] = []
    try:
        for job in _up_to(workers, waiting):
            worker = _Worker(work, limits)
            everyone.append(worker)
            worker.give(job)
            busy[worker.pipe] = worker
        while busy:
            for pipe in wait(list(busy)):
                worker = busy.pop(pipe)
                outcome = worker.take()
                yield worker, outcome
                following = next(waiting, None)
                if following is None:
                    continue
                if outcome is None:
                    worker = _Worker(work, limits)
                    everyone.append(worker)
                worker.give(following)
                busy[worker.pipe] = worker
    finally:
        for worker in everyone:
            worker.stop()


def _up_to(count: int, jobs: Iterator[Any]) -> Iterator[Any]:
    for _, job in zip(range(count), jobs, strict=False):
        yield job


def _serve(pipe: Connection, work: Callable[[Any], Any], limits: Limits) -> None:
    # Ctrl-C goes to the whole group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(guarded(work, job, limits))
