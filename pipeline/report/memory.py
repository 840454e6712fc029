"""The page of the memory tasks: who bridges how many steps, and how soon.

Reads nothing but its arguments; writes ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.report.lens import line_plot
from reelscribe.pipeline.report.pages import write_page


def write_memory_page(out: Path, results: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``out/report/index.html`` from what memory.json holds and return its path."""
    plots = []
    for task in dict.fromkeys(row["task"] for row in results):
        mine = [row for row in results if row["task"] == task]
        longest = max(mine, key=lambda row: len(row["curve"]))
        at = [step for step, _ in longest["curve"]]
        lines = {}
        for row in mine:
            values = [value for _, value in row["curve"]]
            # A training that ended early, because it was done, stays where it ended.
            lines[row["cell"]] = values + values[-1:] * (len(at) - len(values))
        lines["guessing"] = [mine[0]["guess"]] * len(at)
        title = f"{task}: {mine[0]['measure']}"
        plots.append(line_plot(title, lines, at=at, along="training step"))
    return write_page(
        out / "report" / "index.html",
        "memory.html",
        title="Which memory bridges the gap?",
        facts=[("steps to be bridged", str(results[0]["length"]))],
        plots=plots,
        rows=results,
    )
