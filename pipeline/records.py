"""Records: what ``describe`` writes of one video, as a line of JSON, a row of CSV, a line to read.

Reads and writes nothing. ``by`` says who said it: a run, or a head that ships (see ready.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.said import Said, together
from reelscribe.pipeline.segments import Span

TOP = 5
"""Actions and objects a video that are written down."""

Record = dict[str, Any]


def blank(video: Path) -> Record:
    """Return the record of a video of which nothing is said."""
    return {
        "path": str(video),
        "status": "ok",
        "reason": None,
        "duration": None,
        **Said().to_json(TOP),
        "by": {"actions": None, "caption": None, "objects": None},
        "segments": [],
    }


def record(duration: float, spans: Sequence[Span], parts: Sequence[Said]) -> Record:
    """Return what a record says beside its path and who said it."""
    segments = [
        {"start": round(span.start, 3), "end": round(span.end, 3), **part.to_json(TOP)}
        for span, part in zip(spans, parts, strict=True)
    ]
    whole = together(spans, parts)
    return {"duration": round(duration, 3), **whole.to_json(TOP), "segments": segments}


def spoken(found: Mapping[str, Any]) -> str:
    """Return a record as one line for the terminal."""
    if found["status"] == "failed":
        return f"failed: {found['path']}: {found['reason']}"
    best = [f"{one['label']} {one['probability']:.2f}" for one in found["actions"][:1]]
    if found["abstained"]:
        best = [f"no action ({found['abstained']})"]
    seen = [f"shows {one['label']} {one['probability']:.2f}" for one in found["objects"][:1]]
    mark = "[ready] " if is_ready(found) else ""
    said = [*best, *filter(None, [found["caption"]]), *seen]
    return f"{found['path']}: {mark}{'; '.join(said)}"


def is_ready(found: Mapping[str, Any]) -> bool:
    """Say whether a head that ships had a part in a record."""
    return bool(by_ready(found["by"]))


def by_ready(by: Mapping[str, Any]) -> dict[str, str]:
    """Return which answers heads that ship gave, and what they are called."""
    return {what: who for what, who in by.items() if str(who).startswith("ready ")}


COLUMNS = (
    "path",
    "status",
    "reason",
    "duration",
    "action",
    "probability",
    "caption",
    "abstained",
    "object",
    "object_probability",
    "by",
)


def flat(found: Mapping[str, Any]) -> tuple[object, ...]:
    """Return a record as a row of results.csv, in the order of COLUMNS."""
    none = {"label": "", "probability": ""}
    action = (found["actions"] or [none])[0]
    seen = (found["objects"] or [none])[0]
    values = [found[key] for key in ("path", "status", "reason", "duration")]
    by = "; ".join(f"{what}: {who}" for what, who in found["by"].items() if who)
    values += [action["label"], action["probability"], found["caption"], found["abstained"]]
    values += [seen["label"], seen["probability"], by]
    return tuple("" if value is None else value for value in values)
