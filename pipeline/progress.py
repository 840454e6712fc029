"""Progress on stderr: a bar with rate and ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

EVERY = 5.0
"""Seconds between two plain lines."""


def say(text: str) -> None:
    """Print one line to stderr; results alone go to stdout."""
    # soft_wrap: a path must be copyable from a narrow terminal too.
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(text, soft_wrap=True)


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
        self.done = 0
        self.note = ""
        self._started = self._spoken = monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and self.total:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=self.total, note="")
        return self

    def __call__(self, note: str = "") -> None:
        """One more is done; ``note`` is what a terminal shows beside the bar."""
        self.done += 1
        self.note = note or f"{self._rate():.1f} {self.unit}/s"
        if self._bar is not None:
            self._bar.update(self._task, advance=1, note=self.note)
        elif monotonic() - self._spoken >= EVERY and self.done < self.total:
            self._spoken = monotonic()
            left = (self.total - self.done) / max(self._rate(), 1e-9)
            say(f"{self.what}: {self.done}/{self.total}, {self.note}, {left:.0f} s left")

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
            say(f"{self.what}: {self.done}/{self.total} in {seconds:.1f} s, {self.note}")

    def _rate(self) -> float:
        return self.done / max(monotonic() - self._started, 1e-9)
