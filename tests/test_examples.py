"""Examples: which clips a run's page quotes."""

from __future__ import annotations

from typing import Any

from reelscribe.pipeline.report.examples import EXAMPLES, caption_parts, mistakes, quoted


def answer(path: str, label: str, guess: str, sure: float) -> dict[str, Any]:
    return {"path": path, "label": label, "ranked": [{"label": guess, "probability": sure}]}


def test_the_surest_mistakes_come_first_and_right_answers_never() -> None:
    rows = [answer("a", "x", "y", 0.6), answer("b", "x", "x", 0.99), answer("c", "y", "x", 0.9)]
    assert [row["path"] for row in mistakes(rows)] == ["c", "a"]
    assert quoted(rows) == ["c", "a"]


def test_best_and_worst_captions_never_share_a_clip() -> None:
    rows = [{"path": str(n), "caption": "a dog", "CIDEr": n / 10} for n in range(30)]
    said = caption_parts(rows)
    assert [row["path"] for row in said["best"]] == ["29", "28", "27", "26", "25", "24"]
    assert [row["path"] for row in said["worst"]] == ["0", "1", "2", "3", "4", "5"]
    assert len(quoted(rows)) == 2 * EXAMPLES
    assert caption_parts(rows[:1])["worst"] == []
