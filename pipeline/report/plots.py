"""Plots as inline SVG that takes its colours and its font from the page around it.

Reads and writes nothing. Every plot is drawn with a few stand-in colours, which are then replaced
by the page's CSS variables: one drawing reads on light and on dark, and text stays text. The same
numbers give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, PercentFormatter

from reelscribe.pipeline.report.pages import finite, percent

INK, MUTED, LINE, ACCENT, SECOND, FAIL, PAPER = (f"#01020{digit}" for digit in range(1, 8))
COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
    FAIL: "var(--fail)",
    PAPER: "var(--card)",
}
"""Stand-in colour -> what the page is to put there."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "reelscribe",
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.2,
}

PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Loss", (("loss", "train", MUTED), ("val_loss", "validation", ACCENT))),
    ("Validation", (("val_top1", "top-1", ACCENT), ("val_CIDEr", "CIDEr", ACCENT))),
    ("Gradient norm", (("grad_norm", "before clipping", SECOND),)),
    ("Learning rate", (("lr", "", SECOND),)),
)
"""A panel's title and its lines: a key of metrics.jsonl, what to call it, its colour."""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the page's style inside the ``with`` block."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The browser draws the text, with fonts that matplotlib does not have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def svg(figure: Figure, label: str, *, titles: Mapping[str, str] | None = None) -> Markup:
    """Return ``figure`` as an ``<svg>`` element named ``label``; ``titles`` are tooltips by gid."""
    data = io.StringIO()
    figure.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, colour in COLOURS.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)

    def group(match: re.Match[str]) -> str:
        # Ids of groups repeat from plot to plot, and a page has several plots.
        title = (titles or {}).get(match[1])
        return "<g>" if title is None else f"<g><title>{escape(title)}</title>"

    text = re.sub(r'<g id="([^"]*)">', group, text)
    # The ids that are left name markers and clip paths: each plot of a page needs its own.
    own = hashlib.sha256(f"{label}{text}".encode()).hexdigest()[:8]
    text = text.replace('xlink:href="#', 'href="#').replace(' id="', f' id="{own}-')
    text = text.replace('href="#', f'href="#{own}-').replace("url(#", f"url(#{own}-")
    width, height = (72 * inches for inches in figure.get_size_inches())
    text = re.sub(
        r"<svg[^>]*>",
        f'<svg class="plot" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:g} {height:g}" style="--w:{width * 4 / 3:.0f}px">',
        text,
        count=1,
    )
    return Markup(text.strip())


def training_curves(metrics: Sequence[Mapping[str, Any]]) -> Markup:
    """Return one small ``<svg>`` a panel (loss, score, gradient norm, learning rate), in a row.

    Args:
        metrics: the lines of metrics.jsonl; keys that are missing leave their line or panel out.
    """
    plots = []
    with drawing():
        for title, lines in PANELS:
            found = [(name, colour, _points(metrics, key)) for key, name, colour in lines]
            found = [line for line in found if line[2]]
            if found:
                plots.append(_curve_panel(title, found))
    return Markup("\n").join(plots)


def _points(metrics: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    values = [(finite(row.get("epoch")), finite(row.get(key))) for row in metrics]
    return [(epoch, value) for epoch, value in values if epoch is not None and value is not None]


def _curve_panel(title: str, lines: list[tuple[str, str, list[tuple[float, float]]]]) -> Markup:
    figure = Figure(figsize=(4.6, 2.4), layout="constrained")
    axes = figure.add_subplot()
    for name, colour, points in lines:
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, color=colour, label=name, marker="o" if len(points) < 40 else "")
    if title == "Validation":
        epoch, best = max(lines[0][2], key=lambda point: point[1])
        axes.plot([epoch], [best], "o", color=ACCENT, markersize=7, fillstyle="none")
        is_top1 = lines[0][0] == "top-1"
        if is_top1:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        shown = percent(best) if is_top1 else f"{best:.3f}"
        title = f"{title} {lines[0][0]}: best {shown}, epoch {epoch:g}"
    elif title == "Learning rate":
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.set_ylim(bottom=0)
    elif len(lines) > 1:
        axes.legend(fontsize=8)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return svg(figure, f"{title} over {len(lines[0][2])} epochs")


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """Return the confusion matrix: a row is the true class, a column the predicted one.

    A cell is as dark as its share of the row; up to 24 classes it also shows the count. Hovering
    over a cell says it in words.
    """
    size = len(labels)
    assert [len(row) for row in matrix] == [size] * size
    side = min(4.0 + 0.13 * size, 11.5)
    font = 9 if size <= 16 else max(5.6, 9 - 0.06 * (size - 16))
    titles = {}
    with drawing():
        figure = Figure(figsize=(side + 0.7, side), layout="constrained")
        axes = figure.add_subplot()
        for true, row in enumerate(matrix):
            total = sum(row)
            for guess, hits in enumerate(row):
                if not hits:
                    continue
                gid = f"cell-{true}-{guess}"
                titles[gid] = f"{labels[true]} taken for {labels[guess]}: {hits} of {total}"
                _cell(axes, true, guess, share=hits / total, gid=gid)
                if size <= 24:
                    ink = PAPER if hits / total > 0.55 else INK
                    axes.text(guess, true, str(hits), ha="center", va="center", color=ink)
        _matrix_axes(axes, labels, font)
        return svg(figure, f"Confusion matrix of {size} classes, true by predicted", titles=titles)


def _cell(axes: Axes, true: int, guess: int, *, share: float, gid: str) -> None:
    axes.add_patch(
        Rectangle(
            (guess - 0.47, true - 0.47),
            0.94,
            0.94,
            facecolor=ACCENT if true == guess else FAIL,
            # A single stray clip must still be seen.
            alpha=0.15 + 0.8 * share,
            linewidth=0,
            gid=gid,
        )
    )


def _matrix_axes(axes: Axes, labels: Sequence[str], font: float) -> None:
    size = len(labels)
    short = [label if len(label) <= 22 else f"{label[:20]}.." for label in labels]
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(size), short, rotation=90, fontsize=font)
    axes.set_yticks(range(size), short, fontsize=font)
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[["top", "right"]].set_visible(True)
    if size > 40:
        axes.grid(linewidth=0.3)


def compare_bars(
    rows: Sequence[Mapping[str, Any]],
    *,
    metric: str = "score",
    floor: float | None = None,
    percents: bool = False,
) -> Markup:
    """Return one line a cell: its mean, its 95% interval, each seed, and the floor across all.

    Args:
        rows: the rows of compare.json: ``cell``, ``score``, and where known ``ci95``, ``per_seed``.
        metric: what the axis is called.
        floor: the score that a constant answer gets, in the same unit, or None.
        percents: whether the axis reads 90% for 0.9.
    """
    with drawing():
        figure = Figure(figsize=(4.8, 0.9 + 0.42 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            score = finite(row.get("score"))
            if score is None:
                continue
            low, high = (finite(end) for end in row.get("ci95") or (None, None))
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=ACCENT, linewidth=5, alpha=0.28)
            seeds = [seed for one in row.get("per_seed") or () if (seed := finite(one)) is not None]
            axes.plot([score], [place], "D", color=ACCENT, markersize=5.5)
            # Below the mean's line, or they would hide behind the diamond.
            below = [place + 0.27] * len(seeds)
            axes.plot(seeds, below, "o", color=MUTED, markersize=3, alpha=0.8)
        if finite(floor) is not None:
            assert floor is not None
            axes.axvline(floor, color=FAIL, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.annotate(
                "floor", (floor, 1), xycoords=("data", "axes fraction"), xytext=(3, 2),
                textcoords="offset points", color=FAIL, fontsize=8,
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), [str(row.get("cell", "?")) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(metric)
        axes.margins(x=0.08)
        if percents:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        return svg(figure, f"{metric} of {len(rows)} cells, with 95% intervals and the floor")


def reliability(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Return how often answers of each confidence are right, a dot the larger the more of them.

    Args:
        bins: ``confidence`` and ``right`` (fractions) and ``clips`` of each bin.
    """
    most = max(row["clips"] for row in bins)
    with drawing():
        figure = Figure(figsize=(3.6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        xs, ys = ([row[key] for row in bins] for key in ("confidence", "right"))
        axes.plot(xs, ys, color=ACCENT, linewidth=1)
        for row in bins:
            size = 3 + 7 * (row["clips"] / most) ** 0.5
            axes.plot([row["confidence"]], [row["right"]], "o", color=ACCENT, markersize=size)
        axes.set_xlabel("confidence")
        axes.set_ylabel("right")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlim(0, 1.03)
        axes.set_ylim(-0.03, 1.03)
        return svg(figure, f"Confidence against being right, in {len(bins)} bins")
