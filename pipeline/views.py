"""The features of many clips as one sequence that reads each clip when it is looked at.

Reads what :class:`pipeline.holding.OnDisk` reads; writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from torch import Tensor

if TYPE_CHECKING:
    from reelscribe.pipeline.tasks import Example


class Views(Sequence[Tensor]):
    """The features of examples, each read when it is looked at."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, at: int) -> Tensor: ...
    @overload
    def __getitem__(self, at: slice) -> Views: ...
    def __getitem__(self, at: int | slice) -> Tensor | Views:
        if isinstance(at, slice):
            return Views(self.examples[at])
        return self.examples[at].feats_TD
