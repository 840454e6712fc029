"""Run one function over many jobs in worker processes: Ray tasks, or plain processes.

The only module that imports ray. A job that raises costs that job; one that takes its worker down
(a crash in a decoder, a hang, a runaway) is found out and written down (schedule.py). A bounded
number of packs is in flight and no result is held, so the driver's memory does not grow with the
number of jobs.
"""

from __future__ import annotations

import os
import re
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic
from typing import Any, Protocol, TypeVar

from reelscribe.pipeline.family import adopt_orphans
from reelscribe.pipeline.guard import Done, Failed, Limits, guarded_pack
from reelscribe.pipeline.processes import Processes
from reelscribe.pipeline.schedule import Died, Schedule

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
    device: str = "cpu"
    """What encodes: the workers themselves, or ``cuda`` (every GPU here) or ``cuda:N``."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"--workers is a number of processes, at least 1; got {self.workers}")
        # torch:cpu is for trying out, without a GPU, what a GPU does.
        if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?|torch:cpu", self.device):
            raise ValueError(
                f"--device {self.device!r}; allowed: cpu, cuda (every GPU), cuda:N (one)"
            )

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Iterable[Job],
        *,
        more: Callable[[Outcome[Job, Result]], Iterable[Job]] = lambda outcome: (),
        again: Callable[[Job], Job] = lambda job: job,
    ) -> Iterator[Outcome[Job, Result]]:
        """Yield an outcome for each job, in the order in which they end.

        Args:
            work: a function that pickles; it runs in other processes.
            jobs: values that pickle; read one by one, no faster than they are worked off.
            more: the jobs that an outcome asks for; they go before what has not begun.
            again: what a job that takes workers down becomes for its last try, alone.

        Raises:
            Hopeless: a job said that no other would fare better.
        """
        waiting = iter(jobs)
        first = next(waiting, None)
        if first is None:
            return  # Starting Ray takes seconds: not for nothing.
        schedule = Schedule(chain([first], waiting), workers=self.workers, more=more, again=again)
        hands: Hands = (
            Processes(work, workers=self.workers, limits=self.limits)
            if self.local
            else _RayTasks(work, self)
        )
        with closing(hands):
            while not schedule.finished:
                while pack := schedule.take():
                    hands.give(pack)
                for back, ended in hands.take():
                    yield from schedule.put(back, ended)


class Hands(Protocol):
    """What does the work."""

    def give(self, pack: Sequence[Any]) -> None:
        """Hand over a pack; do not wait."""
        ...

    def take(self) -> Iterator[tuple[Sequence[Any], Any]]:
        """Wait until a pack has ended, if any is out; yield each that has, and how."""
        ...

    def close(self) -> None:
        """Wait for nothing that is still out."""
        ...


class _RayTasks:
    """Ray tasks, one core each."""

    def __init__(self, work: Callable[[Any], Any], runner: Runner) -> None:
        import ray

        _start(runner)
        self._limits = runner.limits
        self._task: Any = ray.remote(num_cpus=1, max_retries=0)(guarded_pack)
        self._work = ray.put(work)
        self._out: dict[Any, tuple[Sequence[Any], float]] = {}

    def give(self, pack: Sequence[Any]) -> None:
        self._out[self._task.remote(self._work, pack, self._limits)] = (pack, monotonic())

    def take(self) -> Iterator[tuple[Sequence[Any], Any]]:
        import ray

        if not self._out:
            return
        for ref in ray.wait(list(self._out), num_returns=1)[0]:
            pack, since = self._out.pop(ref)
            try:
                yield pack, ray.get(ref)
            except ray.exceptions.RayTaskError:
                raise  # The guard itself failed: a bug of ours.
            except ray.exceptions.RayError:
                yield pack, Died(how=self._how(monotonic() - since))

    def close(self) -> None:
        # Not cancelled: a task that ends at that very moment makes Ray abort this process. The few
        # that are out end by themselves, or with Ray.
        self._out.clear()

    def _how(self, seconds: float) -> str:
        if seconds >= self._limits.seconds:
            return f"took longer than {self._limits.seconds:g} s, twice"
        return "took its worker process down, twice (a crash in the decoder, or memory)"


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
    adopt_orphans()
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
