"""Which Java processes are there: for tests of programs that must not be left behind."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path


def children() -> list[int]:
    """The Java processes that this one started and that are still there."""
    found = subprocess.check_output(
        ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(os.getpid())], text=True
    )
    # Orphans come to this process once a test has used Ray; it may not have buried one yet.
    rows = [line.split() for line in found.splitlines() if "java" in line]
    return sorted(int(pid) for pid, state, *_ in rows if not state.startswith("Z"))


def running(pid: int) -> bool:
    """Whether it, or one of its threads: a first thread that has ended waits for the others."""
    folder = Path(f"/proc/{pid}")
    try:
        zombie = "State:\tZ" in (folder / "status").read_text()
        return not zombie or len(list((folder / "task").iterdir())) > 1
    except FileNotFoundError:
        return False


def wait_for_end(pid: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(pid)
