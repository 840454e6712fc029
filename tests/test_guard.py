"""One piece of work: its limits in time and memory, and its failure in one line."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from reelscribe.pipeline.guard import Done, Failed, Limits, guarded, one_line


def fail(error: Exception) -> Callable[[str], None]:
    def work(job: str) -> None:
        raise error

    return work


def test_a_result() -> None:
    assert guarded(str.upper, "a", Limits()) == Done(job="a", result="A")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no frames\n  in it"), "no frames in it"),
        (ValueError(""), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError("a\r\n\tb\u2028c"), "RuntimeError: a b c"),
        (RuntimeError(), "RuntimeError"),
        (FileNotFoundError(2, "No such file or directory", "v.mp4"), "no such file or directory"),
        (OSError("odd"), "OSError: odd"),
        (OSError(5, ""), "OSError: [Errno 5]"),
        (ValueError("x" * 1000), "x" * 300),
        (MemoryError(), "needs more than 6.0 GiB"),
    ],
)
def test_a_failure_is_one_line(error: Exception, reason: str) -> None:
    assert guarded(fail(error), "a", Limits()) == Failed(job="a", reason=reason)
    assert len(one_line(error).splitlines()) == 1


def test_an_interrupt_is_no_failure_of_the_video() -> None:
    def stop(job: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(stop, "a", Limits())


def test_a_runaway_is_told_and_the_limit_taken_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    found = guarded(lambda size: len(bytearray(size)), 2**30, Limits(memory=2**28))
    assert found == Failed(job=2**30, reason="needs more than 0.2 GiB")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert guarded(lambda size: len(bytearray(size)), 2**20, Limits()) == Done(
        job=2**20, result=2**20
    )


HANG = """
import ctypes
from reelscribe.pipeline.guard import Limits, guarded
libc = ctypes.PyDLL(None)  # Holds the interpreter's lock: no Python thread and no signal gets in.
print(guarded(lambda job: libc.sleep(60), "a", Limits(seconds=0.3)))
"""

QUICK = """
import time
from reelscribe.pipeline.guard import Limits, guarded
print(guarded(str.upper, "a", Limits(seconds=0.3)).result)
time.sleep(0.6)
print("alive")
"""

LONG = """
import time
from reelscribe.pipeline.guard import Limits, guarded, still_alive
still_alive()  # Outside of a job it does nothing.

def work(job):
    for _ in range(8):
        time.sleep(0.2)
        still_alive()
    return job.upper()

print(guarded(work, "a", Limits(seconds=0.8)).result)
time.sleep(1.0)
print("alive")
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )


def test_a_hang_in_c_ends_the_process() -> None:
    """Complaint 13 (dmlc/decord#156, TinyLLaVA-Video#2): a decoder hangs, and the run with it."""
    began = time.monotonic()
    found = run(HANG)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
    assert time.monotonic() - began < 15


def test_the_watchdog_sleeps_when_the_work_is_done() -> None:
    assert run(QUICK).stdout == "A\nalive\n"


def test_a_long_job_that_says_so_is_no_hang() -> None:
    assert run(LONG).stdout == "A\nalive\n"


def test_guarding_loads_nothing_heavy() -> None:
    script = "import sys, reelscribe.pipeline.guard; print({'ray', 'torch'} & set(sys.modules))"
    assert run(script).stdout == "set()\n"
