"""Progress on stderr: a bar with rate and ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from datetime import timedelta
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

EVERY = 5.0
"""Seconds between two plain lines."""

REDRAWN = 10
"""How often a second a bar is drawn anew at most."""

WINDOW = 30
"""Counts, a second or more apart, over which the rate is taken."""


def say(text: str) -> None:
    """Print one line to stderr; results alone go to stdout."""
    # soft_wrap: a path must be copyable from a narrow terminal too.
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    console.print(printable(text), soft_wrap=True)


def printable(text: str) -> str:
    """Return one line without the codes that a file's name may hold to command a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def show_log() -> None:
    """Say what our own modules log (the datasets know no other way) as lines on stderr."""

    class Sayer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

    ours = logging.getLogger("reelscribe")
    ours.setLevel(logging.INFO)
    ours.addHandler(Sayer())


class Progress:
    """Counts towards ``total``. Use as a context manager; calling it advances by one."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = self._skipped = 0
        self.beside = ""
        """What is shown beside the rate."""
        self._note = ""
        self._started = self._spoken = monotonic()
        self._seen = deque([(self._started, 0)], maxlen=WINDOW)
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and self.total:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                console=Console(stderr=True, highlight=False, markup=False, emoji=False),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=self.total, note="", left="")
        return self

    def __call__(self, note: str = "") -> None:
        """One more is done; ``note`` is what is shown beside the count."""
        self.done += 1
        self.note(note)

    def skip(self, done: int) -> None:
        """So many were done before: they count, and say nothing of how fast it goes."""
        self.done = self._skipped = done
        self._seen[0] = (self._started, done)

    def note(self, note: str) -> None:
        """Show ``note`` beside the count; without one, the rate."""
        self._note = note
        now = monotonic()
        # A long epoch speaks many times before one more is done.
        if now - self._seen[-1][0] >= 1.0 and self.done > self._seen[-1][1]:
            if self._seen[0][0] == self._started:
                self._seen.pop()  # What the store has comes all at once, and first.
            self._seen.append((now, self.done))
        last = self.done == self.total
        if self._bar is not None:
            # Drawing costs more than looking up a video in the store.
            if last or note or now - self._spoken >= 1 / REDRAWN:
                self._spoken = now
                left = self._left()
                shown = "" if left is None else f"{timedelta(seconds=round(left))} left"
                self._bar.update(self._task, completed=self.done, note=self._shown(), left=shown)
        elif now - self._spoken >= EVERY and not last:
            self._spoken = now
            left = self._left()
            ending = "" if left is None else f", {left:.0f} s left"
            say(f"{self.what}: {self.done}/{self.total}, {self._shown()}{ending}")

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        if self._bar is not None:
            self._bar.console.print(printable(text), soft_wrap=True)
        else:
            say(text)

    def stop(self) -> None:
        """Leave the bar as it stands, so that something can be said below it."""
        if self._bar is not None:
            self._bar.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.total and kind is None:
            seconds = monotonic() - self._started
            self._seen = deque([(self._started, self._skipped)])
            say(f"{self.what}: {self.done}/{self.total} in {seconds:.1f} s, {self._shown()}")

    def _shown(self) -> str:
        rate = self._note or f"{self._rate():.1f} {self.unit}/s"
        return f"{rate}, {self.beside}" if self.beside else rate

    def _rate(self) -> float:
        """Return how many a second were done lately."""
        since, before = self._seen[0]
        if self.done == before:
            since, before = self._started, self._skipped
        return (self.done - before) / max(monotonic() - since, 1e-9)

    def _left(self) -> float | None:
        """Return the seconds that the others will take; before anything is done nobody knows."""
        (since, before), (last, done) = self._seen[0], self._seen[-1]
        if done == before:
            since, before, last, done = self._started, self._skipped, monotonic(), self.done
        if done == before:
            return None
        each = (last - since) / (done - before)
        # A part of the next one is over, if it is like the others.
        return max(0.0, (self.total - self.done) * each - min(monotonic() - last, each))
