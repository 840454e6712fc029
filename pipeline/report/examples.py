"""What a run's page quotes of its predictions: mix-ups, surest mistakes, best and worst captions.

Reads and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reelscribe.pipeline.report.pages import finite, percent
from reelscribe.pipeline.report.plots import confusion

EXAMPLES = 6
"""How many of the best, of the worst and of the most confident mistakes are shown."""


def quoted(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the paths of the clips that a run's page shows, each once."""
    said = caption_parts(predictions)
    rows = [*mistakes(predictions), *said["best"], *said["worst"]]
    return list(dict.fromkeys(str(row["path"]) for row in rows if row.get("path")))


def action_parts(
    scores: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the page of an action run shows beside its score."""
    matrix, labels = scores.get("confusion") or [], scores.get("labels") or []
    square = bool(labels) and [len(row) for row in matrix] == [len(labels)] * len(labels)
    per_class = sorted((scores.get("per_class") or {}).items(), key=lambda item: -(item[1] or 0))
    return {
        "matrix": confusion(matrix, labels) if square else "",
        "large": len(labels) > 24,
        "confused": _confused(matrix, labels) if square else [],
        "per_class": [(label, value, percent(value)) for label, value in per_class],
        "mistakes": mistakes(predictions),
    }


def _confused(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> list[dict[str, Any]]:
    pairs: list[dict[str, Any]] = [
        {"true": labels[i], "guess": labels[j], "hits": hits, "of": sum(row)}
        for i, row in enumerate(matrix)
        for j, hits in enumerate(row)
        if i != j and hits
    ]
    return sorted(pairs, key=lambda pair: -pair["hits"])[:EXAMPLES]


def mistakes(predictions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the wrong answers that the head was surest of."""
    wrong: list[dict[str, Any]] = [
        {
            "path": row.get("path") or row.get("id") or "?",
            "true": row.get("label"),
            "guess": row["ranked"][0].get("label"),
            "sure": finite(row["ranked"][0].get("probability")) or 0.0,
        }
        for row in predictions
        if row.get("ranked") and row.get("label") not in (None, row["ranked"][0].get("label"))
    ]
    return sorted(wrong, key=lambda row: row["sure"], reverse=True)[:EXAMPLES]


def caption_parts(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the page of a caption run shows beside its scores."""
    said = Counter(str(row.get("caption") or "") for row in predictions)
    often, times = said.most_common(1)[0] if said else ("", 0)
    scored = [row for row in predictions if finite(row.get("CIDEr")) is not None]
    scored.sort(key=lambda row: -row["CIDEr"])
    half = min(EXAMPLES, len(scored) // 2)
    return {
        "videos": len(predictions),
        "distinct": len(said),
        "often": often,
        "times": times,
        "best": scored[: half or len(scored)],
        "worst": scored[::-1][:half],
    }
