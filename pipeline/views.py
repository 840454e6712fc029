"""The features of many clips as one sequence that reads each clip when it is looked at.

Reads what :class:`pipeline.holding.OnDisk` reads; writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelscribe.decoders.mapped import Mapped

if TYPE_CHECKING:
    from reelscribe.pipeline.tasks import Example


class Views(Mapped["Example"]):
    """The features of examples, each read when it is looked at."""

    def __init__(self, examples: Sequence[Example]) -> None:
        super().__init__(examples, lambda example: example.feats_TD)
