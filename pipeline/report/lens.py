"""The page of the lens: what a head's memory does with a clip, frame by frame.

Reads nothing but its arguments; writes ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from reelscribe.pipeline.report.pages import percent, write_page
from reelscribe.pipeline.report.plots import ACCENT, FAIL, INK, MUTED, SECOND, drawing, svg

COLOURS = (ACCENT, SECOND, FAIL, MUTED, INK)

LINES = 3
"""Answers that are drawn: those that the whole clip has as most probable."""


class _Plain(LogFormatter):
    """Writes 0.02 and 1e-09; which of them have room, its parent knows."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def line_plot(
    title: str,
    lines: Mapping[str, Sequence[float]],
    *,
    at: Sequence[float] | None = None,
    along: str = "frame",
    log: bool = False,
) -> Markup:
    """Return an ``<svg>`` of one line a name.

    Args:
        title: what stands above it.
        lines: name -> values.
        at: where the values stand on the axis; else they are counted from 1.
        along: what the axis is called.
        log: whether the values span powers of ten; those that are 0 are left out.
    """
    with drawing():
        figure = Figure(figsize=(4.6, 2.4), layout="constrained")
        axes = figure.add_subplot()
        for (name, values), colour in zip(lines.items(), COLOURS * 4, strict=False):
            places = list(at or range(1, len(values) + 1))
            shown = [(x, y) for x, y in zip(places, values, strict=True) if y > 0 or not log]
            if shown:
                axes.plot(*zip(*shown, strict=True), color=colour, label=name)
        if log:
            axes.set_yscale("log")
            # A log scale's own formatters write TeX, and nobody sets it here.
            axes.yaxis.set_major_formatter(_Plain())
            axes.yaxis.set_minor_formatter(_Plain(minor_thresholds=(2, 0.5)))
        elif at is None:
            axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(fontsize=8)
        axes.set_title(title)
        axes.set_xlabel(along)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        return svg(figure, f"{title}: {', '.join(lines)}")


def write_lens_page(out: Path, clips: Sequence[Mapping[str, Any]], run: str) -> Path:
    """Write ``out/report/index.html`` from what lens.json holds and return its path."""
    return write_page(
        out / "report" / "index.html",
        "lens.html",
        title="What the memory does, frame by frame",
        facts=[("run", run), ("cell", str(clips[0]["cell"])), ("clips", str(len(clips)))],
        clips=[_clip(clip) for clip in clips],
    )


def _clip(clip: Mapping[str, Any]) -> dict[str, Any]:
    plots = []
    answers = clip["answers"]
    best = sorted(answers, key=lambda label: -answers[label][-1])[:LINES]
    plots.append(
        line_plot("The answer as frames arrive", {label: answers[label] for label in best})
    )
    for layer in clip["layers"]:
        where = f"layer {layer['layer'] + 1}, {'backwards' if layer['backwards'] else 'forwards'}"
        if layer["gates"]:
            plots.append(line_plot(f"Gates, mean of the units: {where}", layer["gates"]))
        norms = {"state": layer["state_norm"]}
        if layer["cell_norm"]:
            norms["cell"] = layer["cell_norm"]
        plots.append(line_plot(f"Norm of the memory: {where}", norms))
    if clip["attention"]:
        plots.append(line_plot("Attention", {"weight": clip["attention"]}))
    for key, title in (
        ("gradients", "Gradient of the loss, each frame"),
        ("reach", "Gradient of the last state, each frame"),
    ):
        if clip[key]:
            plots.append(line_plot(title, clip[key], log=True))
    return {
        "path": clip["path"],
        "said": best[0],
        "sure": percent(answers[best[0]][-1]),
        "loss_of": clip["label"],
        "plots": Markup("\n").join(plots),
    }
