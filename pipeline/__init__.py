"""Stages, what runs, caches, scores and shows them, and the command line over them.

``from reelscribe.pipeline import describe`` gives the library call (library.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelscribe.pipeline.library import describe as describe

__all__ = ["describe"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: the command line must answer at once, and this loads torch.
    if name == "describe":
        from reelscribe.pipeline.library import describe

        return describe
    raise AttributeError(name)
