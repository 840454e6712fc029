"""Score cards: the score stands beside its interval and its floor, and text is shown as it is."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from reelscribe.pipeline.tables import compare_table, scores_table

ACTION = {
    "task": "action", "dataset": "ucf101", "split": "1", "seed": 0, "subset": False,
    "top1": 0.7512, "top5": 0.9, "ci95": [0.74, 0.76], "floor": 0.0133, "videos": 3783,
}  # fmt: skip
CAPTION = {
    "task": "caption", "dataset": "msvd", "split": "1", "seed": 3, "subset": True,
    "CIDEr": 0.772, "Bleu_4": 0.51, "METEOR": None, "ci95": [0.7, 0.8], "floor": 0.153,
    "human": 1.18, "videos": 670, "left_out": {"METEOR": "no Java [/usr/bin/java] [b]here[/b]"},
}  # fmt: skip


def shown(table: Table) -> str:
    out = StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def cells_of(text: str, name: str) -> str:
    (line,) = (line for line in text.splitlines() if name in line)
    return " ".join(line.strip("\u2502 ").split("\u2502")[-1].split())


def row(cell: str, score: float, low: float, *, seeds: int = 1) -> dict[str, Any]:
    return {
        "cell": cell, "score": score, "ci95": [low, score + 0.05], "spread": 0.01,
        "per_seed": [score] * seeds, "params": 1234567, "ms_per_clip": 0.5, "train_seconds": 61.2,
    }  # fmt: skip


def compare(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": "theatre", "split": "1", "seeds": [0, 1], "metric": "top1", "floor": 0.1,
            "rows": list(rows)}  # fmt: skip


def test_an_action_score_stands_beside_its_floor() -> None:
    text = shown(scores_table(ACTION))
    assert "ucf101, split 1, seed 0" in text
    assert cells_of(text, "top1") == "0.751"
    assert cells_of(text, "95 % interval") == "0.740 to 0.760"
    assert cells_of(text, "floor (majority class)") == "0.013"
    assert cells_of(text, "videos") == "3783"


def test_slots_of_made_captions_stand_in_the_table() -> None:
    text = shown(scores_table(CAPTION | {"slots": {"colour": 0.975, "direction": 0.5}}))
    assert cells_of(text, "colour named rightly") == "0.975"
    assert cells_of(text, "direction named rightly") == "0.500"
    assert "named rightly" not in shown(scores_table(CAPTION))


def test_a_caption_score_names_the_human_and_what_is_left_out() -> None:
    text = shown(scores_table(CAPTION))
    assert "msvd, split 1 (a SUBSET of the lists), seed 3" in text
    assert cells_of(text, "CIDEr") == "0.772"
    assert cells_of(text, "one human against the rest") == "1.180"
    assert cells_of(text, "METEOR left out") == "no Java [/usr/bin/java] [b]here[/b]"
    assert "Bleu_1" not in text


def test_a_score_that_is_missing_costs_no_table() -> None:
    none = dict.fromkeys(("CIDEr", "Bleu_4", "ci95", "floor", "human"))
    text = shown(scores_table({**CAPTION, **none}))
    assert "CIDEr" not in text
    assert cells_of(text, "videos") == "670"


def test_brackets_in_a_split_are_text() -> None:
    assert "split [/x][b]" in shown(scores_table({**ACTION, "split": "[/x][b]"}))


def test_a_cell_that_does_not_beat_mean_pooling_is_named() -> None:
    table = compare(
        row("none", 0.5, 0.45),
        {**row("lstm", 0.7, 0.65), "over_none": {"gap": 0.2, "ci95": [0.1, 0.3]}},
        {**row("gru", 0.54, 0.49), "over_none": {"gap": 0.04, "ci95": [-0.01, 0.09]}},
    )
    text = " ".join(shown(compare_table(table)).split())
    assert "theatre, split 1, seed 0, 1" in text
    assert "floor 0.100; against mean pooling (0.500), paired: lstm +0.200 (+0.100 to" in text
    assert "gru +0.040 (-0.010 to +0.090); NOT clearly above mean pooling: gru" in text
    assert "1,234,567" in text
    assert "61 s" in text
    assert "+-" not in text


def test_cells_that_beat_it_are_said_to() -> None:
    lstm = {**row("lstm", 0.7, 0.6, seeds=2), "over_none": {"gap": 0.2, "ci95": [0.1, 0.3]}}
    text = " ".join(shown(compare_table(compare(row("none", 0.5, 0.4), lstm))).split())
    assert "every cell beats mean pooling" in text
    assert "NOT" not in text
    assert "0.700 +-0.010" in text


def test_no_verdict_without_two_to_compare() -> None:
    for rows in ([row("none", 0.5, 0.4)], [row("lstm", 0.7, 0.6)]):
        text = shown(compare_table(compare(*rows)))
        assert "floor 0.100" in text
        assert "mean pooling" not in text


def test_pairs_told_apart_by_order_have_a_column() -> None:
    text = shown(compare_table(compare({**row("lstm", 0.7, 0.6), "order_pairs": 0.875})))
    assert "order pairs" in text
    assert "0.875" in text


def test_several_trainings_show_their_spread_and_their_splits() -> None:
    scores = {
        **ACTION,
        "split": "all",
        "seeds": [0, 1, 2],
        "spread": 0.0125,
        "per_split": {"1": 0.5, "2": 0.25},
        "leaks": {"policy": "allow", "found": ["a = b"]},
        "direction": 0.5,
        "order_pairs": 0.25,
    }
    text = shown(scores_table(scores))
    assert cells_of(text, "spread over 3 seeds") == "0.013"
    assert cells_of(text, "split 2") == "0.250"
    assert cells_of(text, "leaked clips") == "1 ALLOWED"
    assert cells_of(text, "their direction alone (chance 0.5)") == "0.500"
