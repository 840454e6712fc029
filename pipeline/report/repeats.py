"""The page of several trainings as one: the mean, and each split and seed beside it.

Reads nothing but its arguments; writes ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelscribe.pipeline.report.pages import number, percent, write_page
from reelscribe.pipeline.report.run import METRICS, failures, score_card


def write_repeats_page(out: Path, scores: Mapping[str, Any]) -> Path:
    """Write ``out/report/index.html`` from what ``scores.json`` holds and return its path."""
    key, metric = METRICS[scores["task"]]
    show = percent if scores["task"] == "action" else number
    names = ("task", "dataset", "split", "cell")
    return write_page(
        out / "report" / "index.html",
        "repeats.html",
        title=f"{len(scores['runs'])} trainings on {scores['dataset']}",
        facts=[(name, str(scores[name])) for name in names],
        card=score_card(scores, title="Mean of all"),
        subset=bool(scores["subset"]),
        metric=metric,
        spread=show(scores["spread"]),
        per_split=[(name, show(value)) for name, value in scores["per_split"].items()],
        rows=[
            (row["split"], str(row["seed"]), show(row[key]), f"../{row['run']}/report/index.html")
            for row in scores["runs"]
        ],
        failed=failures(scores.get("failed")),
    )
