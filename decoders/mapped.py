"""One sequence of tensors for many clips, each made only when it is looked at.

Clips may lie on disk because they do not fit into memory: what goes over them holds one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

from torch import Tensor

Thing = TypeVar("Thing")


class Mapped(Sequence[Tensor], Generic[Thing]):
    """What ``make`` makes of each of some things."""

    def __init__(self, things: Sequence[Thing], make: Callable[[Thing], Tensor]) -> None:
        self.things, self.make = things, make

    def __len__(self) -> int:
        return len(self.things)

    @overload
    def __getitem__(self, at: int) -> Tensor: ...
    @overload
    def __getitem__(self, at: slice) -> Mapped[Thing]: ...
    def __getitem__(self, at: int | slice) -> Tensor | Mapped[Thing]:
        if isinstance(at, slice):
            return Mapped(self.things[at], self.make)
        return self.make(self.things[at])
