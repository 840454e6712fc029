"""Scores as tables for a terminal: the score, and beside it what it must be read against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

CAPTION_SCORES = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L")


def scores_table(scores: Mapping[str, Any]) -> Table:
    """Return a run's score card."""
    table = Table(title=_title(scores), show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    action = scores["task"] == "action"
    name = "top1" if action else "CIDEr"
    for metric in ("top5",) if action else CAPTION_SCORES:
        if scores.get(metric) is not None:
            table.add_row(metric, f"{scores[metric]:.3f}")
    if scores.get(name) is not None:
        low, high = scores["ci95"]
        table.add_row(f"[bold]{name}[/]", f"[bold]{scores[name]:.3f}[/]")
        table.add_row("  95 % interval", f"{low:.3f} to {high:.3f}")
    if len(scores.get("seeds") or ()) > 1:
        table.add_row(f"  spread over {len(scores['seeds'])} seeds", f"{scores['spread']:.3f}")
    if len(scores.get("per_split") or ()) > 1:
        for split, value in scores["per_split"].items():
            table.add_row(f"  split {split}", f"{value:.3f}")
    if scores.get("floor") is not None:
        floor = "majority class" if action else "best constant caption"
        table.add_row(f"  floor ({floor})", f"{scores['floor']:.3f}")
    if scores.get("human") is not None:
        table.add_row("  one human against the rest", f"{scores['human']:.3f}")
    if scores.get("order_pairs") is not None:
        table.add_row("top1 of the order-only pairs", f"{scores['order_pairs']:.3f}")
    if scores.get("direction") is not None:
        table.add_row("  their direction alone (chance 0.5)", f"{scores['direction']:.3f}")
    for slot, share in (scores.get("slots") or {}).items():
        table.add_row(f"{slot} named rightly", f"{share:.3f}")
    if leaked := (scores.get("leaks") or {}).get("found"):
        allowed = scores["leaks"]["policy"] == "allow"
        table.add_row("leaked clips", f"{len(leaked)} {'ALLOWED' if allowed else 'left out'}")
    table.add_row("videos", str(scores["videos"]))
    for metric, reason in scores.get("left_out", {}).items():
        table.add_row(f"{metric} left out", escape(reason))
    return table


def memory_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return who solved which task, and how soon."""
    table = Table(title=f"{results[0]['length']} steps to be bridged", title_justify="left")
    for name in ("task", "cell"):
        table.add_column(name)
    for name in ("score", "guessing", "solved", "steps", "largest norm"):
        table.add_column(name, justify="right")
    for row in results:
        table.add_row(
            row["task"],
            row["cell"],
            f"{row['score']:.3f} {row['measure']}",
            f"{row['guess']:.3f}",
            "yes" if row["solved"] else "NO",
            str(row["steps"]),
            f"{row['norm_max']:.2g}",
        )
    return table


def compare_table(table: Mapping[str, Any]) -> Table:
    """Return the cells side by side, and say plainly which do not beat mean pooling."""
    rows = table["rows"]
    pairs = any("order_pairs" in row for row in rows)
    shown = Table(title=_title(table), title_justify="left", caption=_verdict(table))
    shown.add_column("cell")
    for name in (table["metric"], "95 %", *(["order pairs"] if pairs else [])):
        shown.add_column(name, justify="right")
    for name in ("parameters", "ms/clip", "training"):
        shown.add_column(name, justify="right")
    for row in rows:
        spread = f" +-{row['spread']:.3f}" if len(row["per_seed"]) > 1 else ""
        low, high = row["ci95"]
        shown.add_row(
            row["cell"],
            f"{row['score']:.3f}{spread}",
            f"{low:.2f}-{high:.2f}",
            *([f"{row['order_pairs']:.3f}"] if pairs else []),
            f"{row['params']:,}",
            f"{row['ms_per_clip']:.2f}",
            f"{row['train_seconds']:.0f} s",
        )
    return shown


def _verdict(table: Mapping[str, Any]) -> str:
    """Say which cells beat mean pooling, by the paired difference on the same test videos."""
    floor = f"floor {table['floor'] or 0.0:.3f}"
    pooled = next((row["score"] for row in table["rows"] if row["cell"] == "none"), None)
    over = {row["cell"]: row["over_none"] for row in table["rows"] if "over_none" in row}
    if pooled is None or not over:
        return floor
    said = [
        f"{cell} {gap['gap']:+.3f} ({gap['ci95'][0]:+.3f} to {gap['ci95'][1]:+.3f})"
        for cell, gap in over.items()
    ]
    beaten = [cell for cell, gap in over.items() if gap["ci95"][0] <= 0]
    plain = (
        f"NOT clearly above mean pooling: {', '.join(beaten)}"
        if beaten
        else "every cell beats mean pooling"
    )
    return f"{floor}; against mean pooling ({pooled:.3f}), paired: {', '.join(said)}; {plain}"


def _title(scores: Mapping[str, Any]) -> str:
    subset = " (a SUBSET of the lists)" if scores.get("subset") else ""
    seeds = scores.get("seeds") or [scores.get("seed")]
    named = ", ".join(map(str, seeds))
    return escape(f"{scores['dataset']}, split {scores['split']}{subset}, seed {named}")
