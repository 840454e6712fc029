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
    """What may happen or be seen, and how sure the network is."""

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
    """The most probable first; none where the head abstained."""
    abstained: str | None
    """Why it did."""
    caption: str | None
    objects: tuple[Action, ...]
    """ImageNet's classes, from the encoder's own last layer."""


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
    """The most probable first; none where the head abstained."""
    abstained: str | None
    """Why it did."""
    caption: str | None
    objects: tuple[Action, ...]
    """ImageNet's classes, from the encoder's own last layer."""
    by: Mapping[str, str | None]
    """Who said it: of ``actions``, ``caption`` and ``objects`` a run, or ``ready ...``."""
    segments: tuple[Segment, ...]


def describe(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    action: str | os.PathLike[str] | None = None,
    caption: str | os.PathLike[str] | None = None,
    segments: str = "none",
    parquet: bool = False,
    abstain: bool = True,
    previews: bool = False,
    cache: Path | None = None,
    workers: int | None = None,
    local: bool = False,
) -> list[Description]:
    """Describe videos and write the results to a folder.

    Args:
        sources: videos, folders, patterns and ``@lists``.
        out: the folder of the results.
        action: a run that names actions.
        caption: a run that writes captions; where neither is given, the heads that ship are asked.
        segments: how long videos are cut: ``none``, ``shots`` or ``fixed:10s``.
        parquet: write ``results.parquet`` too.
        abstain: hold back actions that are too unsure, or unlike what was trained on.
        previews: small copies of videos that browsers do not play, for their pages.
        cache: the feature store; the user's where none is given.
        workers: processes; one a core where none is given.
        local: without Ray.

    Returns:
        One value a video, in the order of the input.

    Raises:
        ValueError: a run is of the other task, or there is no video.
    """
    found = run(
        [Path(source) for source in sources],
        Path(out),
        place(cache, workers, None, local),
        action=None if action is None else Path(action),
        caption=None if caption is None else Path(caption),
        segments=segments,
        parquet=parquet,
        abstain=abstain,
        previews=previews,
    )
    return [_description(record) for record in found.records]


def _description(record: Mapping[str, Any]) -> Description:
    return Description(
        path=Path(record["path"]),
        ok=record["status"] == "ok",
        reason=record["reason"],
        duration=record["duration"],
        **_said(record),
        by=record["by"],
        segments=tuple(
            Segment(start=part["start"], end=part["end"], **_said(part))
            for part in record["segments"]
        ),
    )


def _said(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "actions": tuple(Action(**one) for one in part["actions"]),
        "abstained": part["abstained"],
        "caption": part["caption"],
        "objects": tuple(Action(**one) for one in part["objects"]),
    }
