"""What ``reelscribe score`` does: two files of captions -> figures that can be trusted.

Reads a file of predictions and one of references, in any form that ``metrics/files.py`` knows;
writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from reelscribe.pipeline.metrics.captions import METRICS, NOTE, caption_context, score_captions
from reelscribe.pipeline.metrics.files import read_predictions, read_references

_SHOWN = {
    "Bleu_1": "BLEU-1",
    "Bleu_2": "BLEU-2",
    "Bleu_3": "BLEU-3",
    "Bleu_4": "BLEU-4",
    "METEOR": "METEOR",
    "ROUGE_L": "ROUGE-L",
    "CIDEr": "CIDEr",
}


def score_files(
    predictions: Path,
    references: Path,
    *,
    metrics: Sequence[str] = tuple(METRICS),
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Score a file of captions against a file of references.

    Args:
        predictions: one caption for each id.
        references: one or more captions for each id.
        metrics: names out of ``METRICS``.
        seed: for the interval and for the human's captions.
        allow_missing: score the predicted ids alone where others have references. It is off
            because a video that was left out raises the score without a trace.

    Returns:
        Plain values, ready for JSON: ``task``, ``videos``, ``references``, the metrics as
        fractions, ``ci95`` (of CIDEr), ``floor`` (CIDEr of the best constant caption),
        ``floor_caption``, ``floor_from``, ``human`` (CIDEr of one reference against the others, or
        None), ``distinct`` (share of predictions that differ from each other), ``subset``,
        ``seed``, ``left_out``, ``warnings``, ``note``.

    Raises:
        ValueError: a file has no form that is known, or the ids do not fit together.
    """
    said, against = read_predictions(predictions), read_references(references)
    scores = score_captions(said, against, metrics=metrics, allow_missing=allow_missing)
    return {
        "task": "caption",
        "videos": len(scores.ids),
        "references": sum(len(against[name]) for name in scores.ids),
        **scores.corpus,
        **caption_context(scores, seed=seed),
        "distinct": len(set(said.values())) / len(said),
        "subset": len(scores.ids) < len(against),
        "seed": seed,
        "left_out": scores.left_out,
        "warnings": list(scores.warnings),
        "note": NOTE,
    }


def score_table(scores: Mapping[str, Any]) -> Table:
    """Lay out what :func:`score_files` returns, for a terminal of 60 columns or more."""
    kind = "a subset: " if scores["subset"] else ""
    table = Table(
        title=f"{kind}{scores['videos']} videos, {scores['references']} references",
        caption=scores["note"],
        width=60,
    )
    table.add_column("metric")
    table.add_column("score", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, shown in _SHOWN.items():
        if name in scores:
            interval = scores["ci95"] if name == "CIDEr" else None
            table.add_row(
                shown,
                f"{scores[name]:.6f}",
                "{:.4f} - {:.4f}".format(*interval) if interval else "",
            )
    for name, reason in scores["left_out"].items():
        table.add_row(escape(f"{name}: left out, {reason}"), "-", "")
    if scores["floor"] is not None:
        table.add_section()
        constant = escape(f'CIDEr of always "{scores["floor_caption"]}"')
        table.add_row(constant, f"{scores['floor']:.6f}", "")
    if scores["human"] is not None:
        table.add_row("CIDEr of one human against the others", f"{scores['human']:.6f}", "")
    return table
