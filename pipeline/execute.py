"""Run one function over many jobs in worker processes: Ray tasks, or plain processes.

The only module that imports ray. A job that raises costs that job. A job that takes its worker down
(a crash in a decoder, a hang, a runaway) is tried once more, alone, and then written down with its
reason. At most two jobs a worker are in flight and no result is held, so the driver's memory does
not grow with the number of jobs.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import Any, TypeVar

from reelscribe.pipeline.guard import Done, Failed, Limits, guarded
from reelscribe.pipeline.processes import run_in_processes

Job = TypeVar("Job")
Result = TypeVar("Result")
Outcome = Done[Job, Result] | Failed[Job]


def cores() -> int:
    """Return how many cores this process may use (a container's share, not the machine's)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Where work runs. Nothing of it changes a result."""

    workers: int = field(default_factory=cores)
    local: bool = False
    """Without Ray: plain processes of this machine."""
    address: str | None = None
    """A Ray cluster's; None starts one inside this machine, for this command alone."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"--workers is a number of processes, at least 1; got {self.workers}")

    def run(
        self, work: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[Done[Job, Result] | Failed[Job]]:
        """Yield an outcome for each job, in the order in which they end.

        Args:
            work: a function that pickles; it runs in other processes.
            jobs: values that pickle; read one by one, no faster than they are worked off.
        """
        if self.local:
            return run_in_processes(work, jobs, workers=self.workers, limits=self.limits)
        return _run_in_ray(work, jobs, self)


def _run_in_ray(
    work: Callable[[Job], Result], jobs: Iterable[Job], runner: Runner
) -> Iterator[Outcome[Job, Result]]:
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return  # Starting Ray takes seconds: not for nothing.
    import ray

    _start(runner)
    task: Any = ray.remote(num_cpus=1, max_retries=0)(guarded)
    shared = ray.put(work)
    crashed: list[Job] = []
    for outcome in _in_flight(task, shared, chain([first], waiting), runner, runner.workers * 2):
        if isinstance(outcome, _Crashed):
            crashed.append(outcome.job)
        else:
            yield outcome
    for outcome in _in_flight(task, shared, crashed, runner, 1):
        died = isinstance(outcome, _Crashed)
        yield outcome.written_down(runner.limits) if died else outcome


@dataclass(frozen=True, kw_only=True)
class _Crashed:
    """A job whose worker died."""

    job: Any
    seconds: float

    def written_down(self, limits: Limits) -> Failed[Any]:
        if self.seconds >= limits.seconds:
            reason = f"took longer than {limits.seconds:g} s, twice"
        else:
            reason = "took its worker process down, twice (a crash in the decoder, or memory)"
        return Failed(job=self.job, reason=reason)


def _in_flight(
    task: Any, shared: Any, jobs: Iterable[Any], runner: Runner, at_most: int
) -> Iterator[Any]:
    import ray

    flying: dict[Any, tuple[Any, float]] = {}
    waiting = iter(jobs)
    exhausted = False
    while flying or not exhausted:
        while not exhausted and len(flying) < at_most:
            try:
                job = next(waiting)
            except StopIteration:
                exhausted = True
                break
            flying[task.remote(shared, job, runner.limits)] = (job, monotonic())
        if not flying:
            break
        for ref in ray.wait(list(flying), num_returns=1)[0]:
            job, since = flying.pop(ref)
            try:
                yield ray.get(ref)
            except ray.exceptions.RayTaskError:
                raise  # The guard itself failed: a bug of ours.
            except ray.exceptions.RayError:
                yield _Crashed(job=job, seconds=monotonic() - since)


def _start(runner: Runner) -> None:
    """Connect to Ray, or start it; what runs already with the same settings is kept."""
    import logging

    import ray

    wanted = (runner.address, runner.workers)
    if ray.is_initialized():
        if _running == [wanted]:
            return
        stop()
    # Ray tells drivers of a change in its defaults for accelerators; we ask for none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if runner.address is None:
        options |= {"num_cpus": runner.workers, "num_gpus": 0, "include_dashboard": False}
    try:
        _knock(runner.address)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=runner.address or "local", **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"no Ray at {runner.address or 'this machine'} ({' '.join(str(error).split())[:200]}); "
            "check --ray-address, or run without Ray: --local"
        ) from None
    _running[:] = [wanted]


def _knock(address: str | None) -> None:
    """Raise OSError where nothing listens at ``host:port``: Ray itself would wait for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def stop() -> None:
    """Stop what :class:`Runner` started of Ray, and free its memory; harmless where it did not."""
    if _running:
        import ray

        ray.shutdown()
        _running.clear()


_running: list[tuple[str | None, int]] = []
"""Address and workers of the Ray that this process started, if it did."""
