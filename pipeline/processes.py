"""Plain worker processes, for ``--local``: no Ray, the same faults survived.

Each worker is a fresh Python (spawned, so that no lock or thread is inherited) that takes one pack
of jobs at a time over a pipe; the next ones wait in the driver. One that dies is replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

from reelscribe.pipeline.guard import Limits, guarded_pack
from reelscribe.pipeline.schedule import Died


class Processes:
    """Up to ``workers`` processes, started as there is work for them."""

    def __init__(self, work: Callable[[Any], Any], *, workers: int, limits: Limits) -> None:
        self._work, self._limits, self._most = work, limits, workers
        self._busy: dict[Any, _Worker] = {}
        self._idle: list[_Worker] = []
        # Here and not in the pipe: a full pipe would make both ends wait for each other.
        self._waiting: deque[Sequence[Any]] = deque()

    def give(self, pack: Sequence[Any]) -> None:
        """Hand a pack to whoever is free, or to whoever will be first."""
        if len(self._busy) >= self._most:
            self._waiting.append(pack)
            return
        worker = self._idle.pop() if self._idle else _Worker(self._work, self._limits)
        worker.give(pack)
        self._busy[worker.pipe] = worker

    def take(self) -> Iterator[tuple[Sequence[Any], Any]]:
        """Wait for packs to end; yield each and how it ended."""
        for pipe in wait(list(self._busy)) if self._busy else ():
            worker = self._busy.pop(pipe)
            pack, ended = worker.take()
            if isinstance(ended, Died):
                worker.stop()
            else:
                self._idle.append(worker)
            if self._waiting:
                self.give(self._waiting.popleft())
            yield pack, ended

    def close(self) -> None:
        """End every process, busy or not."""
        for worker in (*self._busy.values(), *self._idle):
            worker.stop()
        self._busy.clear()
        self._idle.clear()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, limits), daemon=True)
        self.process.start()
        theirs.close()
        self.limits = limits
        self.pack: Sequence[Any] = ()
        self.since = 0.0

    def give(self, pack: Sequence[Any]) -> None:
        """Hand over one pack."""
        self.pack, self.since = pack, monotonic()
        with contextlib.suppress(OSError):  # It died while idle: take() finds that out.
            self.pipe.send(pack)

    def take(self) -> tuple[Sequence[Any], Any]:
        """Return the pack and how it ended."""
        try:
            return self.pack, self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return self.pack, Died(how=self._how_it_died())

    def _how_it_died(self) -> str:
        """Say in one line what ended the process."""
        if monotonic() - self.since >= self.limits.seconds:
            return f"took longer than {self.limits.seconds:g} s, twice"
        code = self.process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"took its worker process down, twice ({name})"

    def stop(self) -> None:
        """End the process, busy or not."""
        self.pipe.close()
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()


def _serve(pipe: Connection, work: Callable[[Any], Any], limits: Limits) -> None:
    # Ctrl-C goes to the whole group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            pack = pipe.recv()
        except EOFError:
            return
        pipe.send(guarded_pack(work, pack, limits))
