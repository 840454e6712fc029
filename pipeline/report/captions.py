"""Caption scores for a page: each beside its floor and a human, and how the videos spread.

Reads what ``reelscribe score`` and ``evaluate`` found; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from reelscribe.pipeline.report.pages import count, finite, number, percent
from reelscribe.pipeline.report.plots import ACCENT, FAIL, INK, SECOND, drawing, svg

NAMES = {
    "Bleu_1": "BLEU-1",
    "Bleu_2": "BLEU-2",
    "Bleu_3": "BLEU-3",
    "Bleu_4": "BLEU-4",
    "METEOR": "METEOR",
    "ROUGE_L": "ROUGE-L",
    "CIDEr": "CIDEr-D",
    "SPICE": "SPICE",
}
"""Name in scores.json -> name in print."""

BINS = 30


def caption_view(
    scores: Mapping[str, Any], per_video: Mapping[str, Sequence[float]]
) -> dict[str, Any] | None:
    """Return what a page shows of all caption metrics; None where there are no intervals."""
    spans = scores.get("intervals")
    if not spans:
        return None
    sides = [scores.get(name) or {} for name in ("floor_scores", "human_scores", "same_references")]
    names = [name for name in NAMES if name in spans]
    rows = [
        {
            "name": NAMES[name],
            "score": number(scores[name], 4),
            "interval": " to ".join(number(end, 4) for end in spans[name]),
            "beside": [number(side.get(name), 4) for side in sides],
        }
        for name in names
    ]
    ranked = "CIDEr" if "CIDEr" in per_video else names[-1]
    return {
        "rows": rows,
        "plot": metric_lines(scores),
        "spread": spread(per_video[ranked], NAMES.get(ranked, ranked)),
        "floor_caption": scores.get("floor_caption"),
        "floor_from": scores.get("floor_from"),
        "others": number((scores.get("human_references") or 0) / scores["videos"], 1),
        "human": bool(sides[1]),
    }


def facts(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how long, how distinct and how novel the captions are."""
    found = [
        ("words a caption", number(scores.get("words"), 1)),
        ("words a reference", number(scores.get("words_references"), 1)),
        ("different words", count(scores.get("vocabulary"))),
        ("distinct captions", percent(scores.get("distinct"))),
        ("not in training", percent(scores.get("novel"))),
    ]
    return [(name, value) for name, value in found if value != "n/a"]


def metric_lines(scores: Mapping[str, Any]) -> Markup:
    """Return one line a metric: its score, its interval, the constant caption and the human."""
    spans = scores["intervals"]
    names = [name for name in NAMES if name in spans]
    floor, human = (scores.get(name) or {} for name in ("floor_scores", "human_scores"))
    with drawing():
        figure = Figure(figsize=(5.2, 0.9 + 0.38 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            axes.plot(spans[name], [place, place], color=ACCENT, linewidth=5, alpha=0.28)
            axes.plot([scores[name]], [place], "D", color=ACCENT, markersize=5.5)
            if finite(floor.get(name)) is not None:
                axes.plot([floor[name]], [place], "|", color=FAIL, markersize=12)
            if finite(human.get(name)) is not None:
                axes.plot([human[name]], [place], "o", color=SECOND, markersize=5, fillstyle="none")
        axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=0)
        axes.set_xlabel("score")
        return svg(figure, f"{len(names)} metrics with their intervals, floors and a human")


def spread(values: Sequence[float], name: str) -> Markup:
    """Return how the videos' scores spread."""
    with drawing():
        figure = Figure(figsize=(4.6, 2.4), layout="constrained")
        axes = figure.add_subplot()
        axes.hist(values, bins=BINS, color=ACCENT, alpha=0.75)
        axes.set_xlabel(f"{name} of a video")
        axes.set_ylabel("videos")
        return svg(figure, f"{name} of {len(values)} videos")


def named(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how often each slot of made captions is named rightly, and what greedy search got."""
    slots = (scores.get("slots") or {}).items()
    rows = [(f"{slot} named rightly", percent(share)) for slot, share in slots]
    return [*rows, ("CIDEr of greedy search", number(scores.get("greedy_CIDEr")))]
