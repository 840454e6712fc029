"""The pages over several runs: the comparison of cells, and the page that the demo ends at.

Reads scores.json of two runs, compare.json, and the folder that ``describe`` filled; writes
``report/index.html`` of a comparison and ``index.html`` of a demo, which links to all of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import read_json
from reelscribe.pipeline.report.cards import Card, read_cards
from reelscribe.pipeline.report.pages import (
    NOTHING,
    count,
    finite,
    link,
    number,
    percent,
    took,
    write_page,
)
from reelscribe.pipeline.report.plots import compare_bars
from reelscribe.pipeline.report.run import failures, read_scores, score_card

METRICS = {"top1": "top-1 accuracy", "CIDEr": "CIDEr"}
"""The metric of compare.json, and what to call it."""

SHOWN_CARDS = 4
"""Cards of the gallery that the demo's page quotes."""


def write_compare_page(out: Path, table: Mapping[str, Any]) -> Path:
    """Write ``out/report/index.html`` from what compare.json holds and return its path.

    Raises:
        ValueError: the metric is not one that has a name here.
    """
    view = _view(table)
    facts = [
        (name, str(table[name]))
        for name in ("task", "dataset", "split")
        if table.get(name) is not None
    ]
    if finite(table.get("videos")) is not None:
        facts.append(("test videos", count(table["videos"])))
    if table.get("seeds"):
        facts.append(("seeds", ", ".join(str(seed) for seed in table["seeds"])))
    return write_page(
        out / "report" / "index.html",
        "compare.html",
        title="Which cell reads the sequence best?",
        facts=facts,
        view=view,
    )


def _view(table: Mapping[str, Any]) -> dict[str, Any]:
    key = str(table.get("metric", "top1"))
    if key not in METRICS:
        raise ValueError(f"compare.json: metric is {key!r}; allowed: {', '.join(METRICS)}")
    rows: list[Mapping[str, Any]] = list(table.get("rows") or [])
    floor = finite(table.get("floor"))
    scores = [score for row in rows if (score := finite(row.get("score"))) is not None]
    best = max(scores, default=None)
    return {
        "metric": METRICS[key],
        "floor_what": "the floor, the most frequent class"
        if key == "top1"
        else "the floor, the best constant caption",
        "plot": compare_bars(rows, metric=METRICS[key], floor=floor, percents=key == "top1"),
        "pairs": any(finite(row.get("order_pairs")) is not None for row in rows),
        "rows": [_row(row, key=key, floor=floor, best=best) for row in rows],
        "verdict": compare_verdict(rows, seeds=table.get("seeds") or ()),
    }


def _row(
    row: Mapping[str, Any], *, key: str, floor: float | None, best: float | None
) -> dict[str, Any]:
    show = percent if key == "top1" else number
    score, spread = finite(row.get("score")), finite(row.get("spread"))
    low, high = (finite(end) for end in row.get("ci95") or (None, None))
    above = NOTHING
    if score is not None and floor is not None:
        gap = score - floor
        above = f"{100 * gap:+.1f} points" if key == "top1" else f"{gap:+.3f}"
    ms = finite(row.get("ms_per_clip"))
    return {
        "cell": str(row.get("cell", "?")),
        "best": score is not None and score == best,
        "score": show(score),
        "spread": "one seed" if len(row.get("per_seed") or ()) == 1 else show(spread),
        "interval": NOTHING if low is None or high is None else f"{show(low)} to {show(high)}",
        "above": above,
        "pairs": percent(row.get("order_pairs")),
        "params": count(row.get("params")),
        "clip": NOTHING if ms is None else f"{ms:.2f} ms",
        "train": took(row.get("train_seconds")),
    }


def compare_verdict(rows: Sequence[Mapping[str, Any]], *, seeds: Sequence[Any]) -> str:
    """Return in words whether the best cell is above mean pooling by more than chance explains."""
    known = {
        str(row.get("cell")): (score, row)
        for row in rows
        if (score := finite(row.get("score"))) is not None
    }
    if len(known) < 2:
        return "One cell alone is no comparison."
    best = max(known, key=lambda cell: known[cell][0])
    if "none" not in known:
        return (
            f"{best} is ahead. Mean pooling (none) was not run, so nothing says that order matters."
        )
    if best == "none":
        return "Mean pooling (none) is ahead: here, no recurrent cell earns its keep."
    few = f" with {len(seeds)} seed{'' if len(seeds) == 1 else 's'}" if seeds else ""
    ahead = f"{best} is ahead of mean pooling (none){few}"
    paired = (known[best][1].get("over_none") or {}).get("ci95")
    if paired:
        gap, (least, most) = known[best][1]["over_none"]["gap"], paired
        on = f"on the same test videos by {gap:+.3f} (95% interval {least:+.3f} to {most:+.3f})"
        return f"{ahead}, {on}{'.' if least > 0 else ': it may be chance.'}"
    low = finite((known[best][1].get("ci95") or (None, None))[0])
    high = finite((known["none"][1].get("ci95") or (None, None))[1])
    if low is None or high is None:
        return f"{ahead}; no intervals were measured."
    if low > high:
        return f"{ahead}, and their 95% intervals lie apart."
    return f"{ahead}, but their 95% intervals overlap: it may be chance."


def write_demo_page(
    out: Path,
    *,
    action_run: Path,
    caption_run: Path,
    compare: Path,
    described: Path,
    timings: Mapping[str, float],
) -> Path:
    """Write ``out/index.html``, the page that the demo ends at, and return its path.

    Args:
        out: the demo's folder.
        action_run: the run of the classifier.
        caption_run: the run of the captioner.
        compare: the folder of compare.json, or that file; without it the part is left out.
        described: the folder that ``describe`` filled.
        timings: stage -> seconds, in the order they ran.

    Raises:
        ValueError: a run has no scores.json.
    """
    page = out / "index.html"
    table = compare / "compare.json" if compare.is_dir() else compare
    runs = [(action_run, "Actions"), (caption_run, "Captions")]
    cards = read_cards(described)
    gallery = described / "report" / "index.html"
    strips_at = link(gallery, page=page)
    seconds = [(name, value) for name, value in timings.items() if finite(value) is not None]
    return write_page(
        page,
        "demo.html",
        title="From videos to words",
        scores=[
            (
                score_card(read_scores(run), title=title),
                link(run / "report" / "index.html", page=page),
            )
            for run, title in runs
        ],
        view=_view(read_json(table)) if table.is_file() else None,
        compare_page=link(table.parent / "report" / "index.html", page=page),
        described=sum(card.ok for card in cards),
        broken=sum(not card.ok for card in cards),
        cards=_pick(cards),
        base="" if strips_at is None else strips_at.removesuffix("index.html"),
        gallery_page=strips_at,
        failed=_failed(cards, runs),
        timings=seconds,
        total=sum(value for _, value in seconds),
        longest=max((value for _, value in seconds), default=0.0) or 1.0,
        action_run=shlex.quote(action_run.as_posix()),
        caption_run=shlex.quote(caption_run.as_posix()),
    )


def _pick(cards: Sequence[Card]) -> list[Card]:
    """Return a few cards of different actions, in their order."""
    seen: dict[str, Card] = {}
    for card in cards:
        if card.ok:
            seen.setdefault(card.label or card.caption, card)
    return list(seen.values())[:SHOWN_CARDS]


def _failed(cards: Sequence[Card], runs: Sequence[tuple[Path, str]]) -> list[tuple[str, str]]:
    found = [(card.folder + card.name, card.reason) for card in cards if not card.ok]
    for run, title in runs:
        for name, reason in failures(read_scores(run).get("failed")):
            found.append((f"{name} ({title.lower()})", reason))
    return found
