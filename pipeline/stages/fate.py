"""What became of one video of a run that fills the feature store.

Reads and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one video."""

    sha256: str = ""
    """Of its content; empty where it failed."""
    fresh: bool = False
    """Whether it was encoded or taken over now; otherwise it was in the store."""
    reason: str | None = None
    """Why it failed, in one line."""
