"""Features held in memory, as far as they fit; the rest is read from the store for each batch.

Reads the store and how much memory is free; writes nothing. Every epoch wants every clip once, in
an order of its own, so no choice of what is held is better than another: the first clips are, until
the limit is reached, and nothing is ever put out. What is read again is not mapped into memory:
pages of a map would count as ours until the system takes them back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from reelscribe.pipeline.loading import GIB, SHARE
from reelscribe.pipeline.tasks import Example

GROUP = Path("/sys/fs/cgroup")
CONTAINERS = (
    ("memory.max", "memory.current", ("memory.stat", "inactive_file")),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        ("memory/memory.stat", "total_inactive_file"),
    ),
)
"""Where Linux says what a container may take and has taken, by both versions of control groups."""


Change = Callable[[Tensor], Tensor]
"""What is done to features (T, D) after reading: a clip's frames from the last to the first."""


@dataclass(frozen=True, kw_only=True, eq=False, init=False)
class OnDisk(Example):
    """A clip whose features are read whenever they are asked for, and not kept."""

    path: Path
    change: Change

    def __init__(self, path: Path, *, change: Change, **about: Any) -> None:
        # Not by way of Example, whose features stay; dataclasses.replace gives them again.
        about.pop("feats_TD", None)
        vars(self).update(about, path=path, change=change)

    @property  # type: ignore[misc]  # Of all attributes it alone is not kept.
    def feats_TD(self) -> Tensor:
        """Read the features, which were checked when the entry was first read."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                feats_TD: NDArray[np.float32] = file.get_tensor("features")
        except Exception as error:  # As in cache.py: damage shows in many ways.
            raise ValueError(
                f"the features of {self.name} cannot be read again ({error}); was the feature "
                "store changed meanwhile? The same command with --resume goes on"
            ) from None
        return self.change(torch.from_numpy(feats_TD))


class Room:
    """Decides for one clip after the other whether its features stay in memory."""

    def __init__(self, limit: float | None = None) -> None:
        """Take the limit in GiB; None is SHARE of the memory that is free now."""
        self.left = SHARE * free_memory() if limit is None else limit * GIB
        self.held = self.on_disk = 0

    def example(self, path: Path, feats_TD: Tensor, *, change: Change, **about: Any) -> Example:
        """Return the clip with its features, or with where they lie.

        Args:
            path: the entry of the store.
            feats_TD: what it holds.
            change: what is done to that.
            about: the other fields of an example.
        """
        # Once one is left on disk the others are too: a small clip that still fits saves nothing.
        if self.on_disk or feats_TD.nbytes > self.left:
            self.on_disk += 1
            return OnDisk(path, change=change, **about)
        self.held += 1
        self.left -= feats_TD.nbytes
        return Example(feats_TD=change(feats_TD), **about)


def free_memory() -> float:
    """Return the bytes that this process may still take: of the machine, or of its container."""
    free = [_number(Path("/proc/meminfo"), "MemAvailable:") * 1024]
    for most, now, cached in CONTAINERS:
        # What the container's limit counts and the system takes back by itself is free.
        used = _number(GROUP / now) - _number(GROUP / cached[0], cached[1])
        free.append(_number(GROUP / most) - used)
    known = [size for size in free if 0 < size < float("inf")]
    # Other systems do not say what is free: a half of all there is.
    return min(known) if known else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _number(path: Path, name: str = "") -> float:
    """Return the number behind a name, or the file's only one; infinite where it says nothing."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return float(line.removeprefix(name).split()[0])
    except (OSError, ValueError, IndexError):  # No such file; "max" is no number.
        pass
    return float("inf")
