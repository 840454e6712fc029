"""The page of ``reelscribe score --report``: one file of predictions, and another beside it.

Reads what ``score_files`` found; writes one HTML file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.report.captions import NAMES, caption_view, facts
from reelscribe.pipeline.report.pages import number, write_page
from reelscribe.pipeline.report.run import score_card


def write_caption_page(
    path: Path, scores: Mapping[str, Any], per_video: Mapping[str, Sequence[float]]
) -> Path:
    """Write the page of one file of predictions and return its path.

    Args:
        path: the HTML file.
        scores: the values of ``score_files``.
        per_video: score -> one value a video.
    """
    return write_page(
        path,
        "captions.html",
        title=f"Captions: {scores['predictions']}",
        facts=facts(scores),
        card=score_card(scores),
        view=caption_view(scores, per_video),
        versus=_versus(scores.get("versus")),
        warnings=scores["warnings"],
        best=scores["best"],
        worst=scores["worst"],
        note=scores["note"],
    )


def _versus(test: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if test is None:
        return None
    rows = [
        {
            "name": NAMES.get(name, name),
            "other": number(found["other"], 4),
            "difference": f"{found['difference']:+.4f}",
            "interval": " to ".join(f"{end:+.4f}" for end in found["ci95"]),
            "p": number(found["p"]),
        }
        for name, found in test["scores"].items()
    ]
    return {**test, "rows": rows}
