"""Describe videos from Python: the same as ``reelscribe describe``, as typed values.

Reads videos and runs; writes what :mod:`reelscribe.pipeline.stages.describe` writes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.options import place
from reelscribe.pipeline.stages.describe import describe as run


@dataclass(frozen=True, kw_only=True)
class Action:
    """What may happen, and how sure the head is."""

    label: str
    probability: float
    """A fraction."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a video."""

    start: float
    """In seconds."""
    end: float
    """In seconds."""
    actions: tuple[Action, ...]
    """The most probable first."""
    caption: str | None


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is in one video."""

    path: Path
    ok: bool
    reason: str | None
    """Why it failed, in one line."""
    duration: float | None
    """In seconds."""
    actions: tuple[Action, ...]
    """The most probable first."""
    caption: str | None
    segments: tuple[Segment, ...]


def describe(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    action: Path | None = None,
    caption: Path | None = None,
    segments: str = "none",
    cache: Path | None = None,
    workers: int | None = None,
    local: bool = False,
) -> list[Description]:
    """Describe videos and write the results to a folder.

    Args:
        sources: videos, folders, patterns and ``@lists``.
        out: the folder of the results.
        action: a run that names actions.
        caption: a run that writes captions.
        segments: how long videos are cut: ``none``, ``shots`` or ``fixed:10s``.
        cache: the feature store; the user's where none is given.
        workers: processes; one a core where none is given.
        local: without Ray.

    Returns:
        One value a video, in the order of the input.

    Raises:
        ValueError: no run is given, a run is of the other task, or there is no video.
    """
    found = run(
        [Path(source) for source in sources],
        Path(out),
        place(cache, workers, None, local),
        action=action,
        caption=caption,
        segments=segments,
    )
    return [_description(record) for record in found.records]


def _description(record: Mapping[str, Any]) -> Description:
    return Description(
        path=Path(record["path"]),
        ok=record["status"] == "ok",
        reason=record["reason"],
        duration=record["duration"],
        actions=_actions(record),
        caption=record["caption"],
        segments=tuple(
            Segment(
                start=part["start"],
                end=part["end"],
                actions=_actions(part),
                caption=part["caption"],
            )
            for part in record["segments"]
        ),
    )


def _actions(record: Mapping[str, Any]) -> tuple[Action, ...]:
    return tuple(
        Action(label=one["label"], probability=one["probability"]) for one in record["actions"]
    )
