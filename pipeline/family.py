"""The processes below this one: so that a command that is interrupted leaves none behind.

Linux alone; elsewhere nothing is found and nothing is done. Ray's own shutdown takes seconds, and
one that comes while Ray is starting leaves its agents running for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from time import monotonic, sleep

_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be found."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """Return the living processes below this one; the dead that nobody waited for are none."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # "pid (name) state parent ...": a name may hold anything, brackets too.
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children[int(parent)].append(int(entry.parent.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def end_descendants(within: float = 1.0) -> None:
    """Kill every process below this one, and those that they start meanwhile.

    Args:
        within: seconds after which it gives up.
    """
    deadline = monotonic() + within
    while (living := descendants()) and monotonic() < deadline:
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        sleep(0.02)
