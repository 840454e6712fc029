"""Caption scores as tables for a terminal: each with what it has to be read beside.

Reads and writes nothing. A table fits into 76 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

SHOWN = {
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

WIDTH = 76


def score_tables(scores: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the tables of what ``score_files`` returned."""
    yield card_table(scores)
    if scores["versus"] is not None:
        yield versus_table(scores["versus"])
        yield example_table("most different", scores["versus"]["different"], "difference")
    for name in ("best", "worst"):
        if scores[name]:
            yield example_table(name, scores[name], _ranked_by(scores[name]))


def card_table(scores: Mapping[str, Any]) -> Table:
    """Return the score card."""
    kind = "a subset: " if scores["subset"] else ""
    table = Table(
        title=f"{kind}{scores['videos']} videos, {scores['references']} references",
        caption="\n".join([*_notes(scores), scores["note"]]),
        caption_justify="left",
        width=WIDTH,
        box=box.SIMPLE_HEAD,
    )
    table.add_column("metric")
    for name in ("score", "95 % interval", "floor", "human", "same refs"):
        table.add_column(name, justify="right", no_wrap=True)
    floor, human, same = (
        scores[name] or {} for name in ("floor_scores", "human_scores", "same_references")
    )
    spans = scores["intervals"] or {}
    for name, shown in SHOWN.items():
        if name in scores:
            span = "{:.4f} to {:.4f}".format(*spans[name]) if name in spans else ""
            beside = [f"{side[name]:.4f}" if name in side else "" for side in (floor, human, same)]
            table.add_row(shown, f"{scores[name]:.6f}", span, *beside)
    return table


def _notes(scores: Mapping[str, Any]) -> Iterator[str]:
    for name, reason in scores["left_out"].items():
        yield escape(f"{name}: left out, {reason}")
    if scores["floor_caption"] is not None:
        yield escape(f'floor: always "{scores["floor_caption"]}" (of the {scores["floor_from"]})')
    if scores["human_references"] is not None:
        each = scores["human_references"] / scores["videos"]
        yield (
            f"human: one reference of each video against the others, {each:.4g} on average; "
            f"same refs: the predictions against these same others"
        )
    refs = scores["words_references"]
    novel = "" if scores["novel"] is None else f", {scores['novel']:.1%} novel"
    yield (
        f"{scores['words']:.1f} words a caption"
        f"{'' if refs is None else f' (references {refs:.1f})'}, "
        f"{scores['vocabulary']} different words, {scores['distinct']:.1%} distinct captions{novel}"
    )


def versus_table(test: Mapping[str, Any]) -> Table:
    """Return the paired test of two files of predictions."""
    table = Table(
        title=escape(f"{test['predictions']} against {test['against']}, paired bootstrap"),
        caption=f"videos by score: {test['better']} better, {test['worse']} worse, "
        f"{test['equal']} equal",
        caption_justify="left",
        width=WIDTH,
        box=box.SIMPLE_HEAD,
    )
    table.add_column("metric")
    for name in ("other", "difference", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in test["scores"].items():
        table.add_row(
            SHOWN.get(name, name),
            f"{found['other']:.6f}",
            f"{found['difference']:+.4f}",
            "{:+.4f} to {:+.4f}".format(*found["ci95"]),
            f"{found['p']:.3f}",
        )
    return table


def example_table(title: str, rows: Sequence[Mapping[str, Any]], key: str) -> Table:
    """Return captions with their score."""
    table = Table(title=title, width=WIDTH, box=box.SIMPLE_HEAD)
    table.add_column(SHOWN.get(key, key), justify="right", no_wrap=True)
    table.add_column("id", max_width=16)
    table.add_column("caption")
    for row in rows:
        other = f'\nother: "{row["other_caption"]}"' if "other_caption" in row else ""
        table.add_row(f"{row[key]:.3f}", escape(row["id"]), escape(f"{row['caption']}{other}"))
    return table


def _ranked_by(rows: Sequence[Mapping[str, Any]]) -> str:
    return next(name for name in rows[0] if name not in ("id", "caption", "references"))
