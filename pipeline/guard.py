"""What a worker does around one piece of work: limits in time and memory, and reasons in one line.

Runs inside worker processes; imports neither ray nor torch.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one piece of work may take."""

    seconds: float = 600.0
    """Without a sign of life; see :func:`still_alive`."""
    memory: int = 6 * 1024**3
    """Bytes of private memory that a worker may add to what it has when the work begins."""


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Job, Result]):
    """A job that gave its result."""

    job: Job
    result: Result


@dataclass(frozen=True, kw_only=True)
class Failed(Generic[Job]):
    """A job that gave none."""

    job: Job
    reason: str
    """One line for the user."""
    died: bool = False
    """Whether it took its worker process with it."""


class Hopeless(ValueError):
    """No other job would fare better (a full disk, say): the run ends, with this in one line."""


@dataclass(frozen=True, kw_only=True)
class Ended(Generic[Job, Result]):
    """What a worker says of a pack of jobs."""

    outcomes: Sequence[Done[Job, Result] | Failed[Job]]
    seconds: float
    """What the whole pack took, in the worker."""


def guarded_pack(
    work: Callable[[Job], Result], pack: Sequence[Job], limits: Limits
) -> Ended[Job, Result] | Hopeless:
    """Run ``work`` on each job of a pack, each within its own limits."""
    began = monotonic()
    try:
        outcomes = [guarded(work, job, limits) for job in pack]
    except Hopeless as error:
        return error
    return Ended(outcomes=outcomes, seconds=monotonic() - began)


def guarded(
    work: Callable[[Job], Result], job: Job, limits: Limits
) -> Done[Job, Result] | Failed[Job]:
    """Run ``work(job)``; turn every exception into its reason, and end the process on a hang.

    Raises:
        Hopeless: as ``work`` does.

    A hang inside C code answers to nothing in Python, so a watchdog thread written in C
    (:mod:`faulthandler`) ends the process; whoever waits for it sees the worker die.
    """
    with open(os.devnull, "w") as nowhere, _memory_limit(limits.memory):

        def arm() -> None:
            faulthandler.dump_traceback_later(limits.seconds, exit=True, file=nowhere)

        arm()
        _arms.append(arm)
        try:
            return Done(job=job, result=work(job))
        except Hopeless:
            raise
        except MemoryError:
            return Failed(job=job, reason=f"needs more than {limits.memory / 1024**3:.1f} GiB")
        except Exception as error:
            return Failed(job=job, reason=one_line(error))
        finally:
            _arms.pop()
            faulthandler.cancel_dump_traceback_later()


_arms: list[Callable[[], None]] = []
"""What starts the watchdog's time anew; empty outside of a job."""


def still_alive() -> None:
    """Say from within a job that it goes on: a long one is no hang. Harmless outside of one."""
    if _arms:
        _arms[-1]()


def one_line(error: BaseException) -> str:
    """Return what an exception says, in one line; its type too where it is not one of ours."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, ValueError) and text:
        return text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def _memory_limit(extra: int) -> Iterator[None]:
    """Let the process's private memory grow by ``extra`` bytes at most, where the system can."""
    used = _private_bytes()
    if used is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + extra
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _private_bytes() -> int | None:
    """Return the process's data segment in bytes (what RLIMIT_DATA counts), Linux alone."""
    if not sys.platform.startswith("linux"):
        return None
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None
