"""The page of one run: its score beside its floor, how it was trained, and where it is wrong.

Reads ``scores.json``, and where they are there ``metrics.jsonl``, ``predictions.jsonl``,
``per_video.jsonl`` and ``config.yaml``; writes ``report/index.html``. Keys that a page does not
know are left alone, keys that are missing leave their part of the page out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.report.captions import NAMES, caption_view, named
from reelscribe.pipeline.report.cards import strips_of_run
from reelscribe.pipeline.report.examples import action_parts, caption_parts
from reelscribe.pipeline.report.glimpses import read_glimpses
from reelscribe.pipeline.report.pages import count, finite, number, percent, write_page
from reelscribe.pipeline.report.plots import reliability, training_curves

METRICS = {"action": ("top1", "top-1 accuracy"), "caption": ("CIDEr", "CIDEr")}
"""Task -> the key in scores.json that is its score, and what to call it."""


@dataclass(frozen=True, kw_only=True)
class ScoreCard:
    """One score with what it must be read against. Texts are ready to show."""

    title: str
    metric: str
    score: str
    interval: str
    floor: str
    floor_what: str
    human: str
    others: tuple[tuple[str, str], ...]
    badges: tuple[str, ...]
    verdict: str
    mood: str
    """``good``, ``unsure`` or ``bad``: the colour of the verdict."""
    top: str
    """What the right end of the scale stands for."""
    score_at: float | None
    """In percent of the scale, as are those below."""
    floor_at: float | None
    human_at: float | None
    low_at: float | None
    band: float | None
    """The width of the interval."""


def score_card(scores: Mapping[str, Any], *, title: str = "Score") -> ScoreCard:
    """Return what a page shows of scores.json.

    Raises:
        ValueError: ``task`` is not one that has a score.
    """
    task = scores.get("task")
    if task not in METRICS:
        raise ValueError(f"scores.json: task is {task!r}; allowed: {', '.join(METRICS)}")
    key, metric = METRICS[task]
    show = percent if task == "action" else number
    score, floor, human = (finite(scores.get(name)) for name in (key, "floor", "human"))
    low, high = (finite(end) for end in scores.get("ci95") or (None, None))
    known = [value for value in (score, floor, human, high) if value is not None]
    top = 1.0 if task == "action" else max([0.5, *(1.1 * value for value in known)])

    def at(value: float | None) -> float | None:
        return None if value is None else round(100 * min(max(value / top, 0.0), 1.0), 2)

    low_at, high_at = at(low), at(high)
    verdict, mood = _verdict(score, floor, low, task=task)
    return ScoreCard(
        title=title,
        metric=metric,
        score=show(score),
        interval="" if low is None or high is None else f"{show(low)} to {show(high)}",
        floor="" if floor is None else show(floor),
        floor_what=_floor_what(scores),
        human="" if human is None else show(human),
        others=tuple(_others(scores)),
        badges=tuple(_badges(scores)),
        verdict=verdict,
        mood=mood,
        top="100%" if task == "action" else number(top, 2),
        score_at=at(score),
        floor_at=at(floor),
        human_at=at(human),
        low_at=low_at if high_at is not None else None,
        band=None if low_at is None or high_at is None else round(high_at - low_at, 2),
    )


def _verdict(
    score: float | None, floor: float | None, low: float | None, *, task: str
) -> tuple[str, str]:
    if score is None:
        return "There is no score: see what was left out and what failed.", "bad"
    if floor is None:
        return "No floor was measured, so this number has nothing to stand on.", "unsure"
    gap = score - floor
    by = f"{100 * gap:.1f} points" if task == "action" else f"{gap:.3f}"
    if gap <= 0:
        return "Not above the floor: a constant answer does as well.", "bad"
    if low is None:
        return f"{by} above the floor; no interval was measured.", "unsure"
    if low <= floor:
        return (
            f"{by} above the floor, but the 95% interval reaches down to it. "
            "More test videos would tell.",
            "unsure",
        )
    return f"{by} above the floor, and the whole 95% interval lies above it.", "good"


def _floor_what(scores: Mapping[str, Any]) -> str:
    if scores.get("task") == "action":
        return "always the most frequent class"
    constant = scores.get("floor_caption")
    return f'always "{constant}"' if constant else "the best constant caption"


def _others(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    if scores.get("task") == "action":
        rows = [
            ("top-5", percent(scores.get("top5"))),
            ("pairs told apart by order", percent(scores.get("order_pairs"))),
            ("direction of time (chance 50%)", percent(scores.get("direction"))),
        ]
        return [row for row in rows if row[1] != "n/a"]
    left_out = scores.get("left_out") or {}
    names = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L")
    rows = [(_pretty(name), number(scores.get(name))) for name in names if name not in left_out]
    rows = [row for row in [*rows, *named(scores)] if row[1] != "n/a"]
    return rows + [(_pretty(str(name)), f"left out: {why}") for name, why in left_out.items()]


def _pretty(metric: str) -> str:
    return metric.replace("Bleu_", "BLEU-").replace("ROUGE_L", "ROUGE-L")


def _badges(scores: Mapping[str, Any]) -> list[str]:
    badges = ["subset"] if scores.get("subset") else []
    leaks = scores.get("leaks") or {}
    if leaks.get("found"):
        what = "allowed" if leaks.get("policy") == "allow" else "left out of training"
        badges.append(f"{count(len(leaks['found']))} leaked clips {what}")
    videos = finite(scores.get("videos"))
    if videos is not None:
        badges.append(f"{count(videos)} test video{'' if videos == 1 else 's'}")
    if finite(scores.get("references")) is not None:
        badges.append(f"{count(scores['references'])} references")
    seeds = scores.get("seeds") or scores.get("seed")
    if isinstance(seeds, list):
        badges.append("seeds " + ", ".join(str(seed) for seed in seeds))
    elif seeds is not None:
        badges.append(f"one seed: {seeds}")
    return badges


def read_scores(run: Path) -> dict[str, Any]:
    """Return a run's scores.json.

    Raises:
        ValueError: the run has none, or it is no JSON object.
    """
    path = run / "scores.json"
    if not path.is_file():
        raise ValueError(f"{run} has no scores.json; run `reelscribe evaluate` on its config first")
    scores = read_json(path)
    if not isinstance(scores, dict):
        raise ValueError(f"{path} holds {type(scores).__name__}, not an object; evaluate again")
    return scores


def write_run_page(run: Path) -> Path:
    """Write ``run/report/index.html`` from what the run folder holds and return its path.

    Raises:
        ValueError: the run has no scores.json, or one that is not about a known task.
    """
    scores = read_scores(run)
    card = score_card(scores)
    scored = {row["id"]: row for row in read_jsonl(run / "per_video.jsonl")}
    rows = read_jsonl(run / "predictions.jsonl")
    predictions = [{**row, **scored.get(row.get("id"), {})} for row in rows]
    config = run / "config.yaml"
    return write_page(
        run / "report" / "index.html",
        "run.html",
        style=("style.css", "lanes.css"),
        title=_title(scores, run),
        facts=_facts(scores),
        card=card,
        curves=training_curves(read_jsonl(run / "metrics.jsonl")),
        action=action_parts(scores, predictions) if scores["task"] == "action" else None,
        caption=caption_parts(predictions) if scores["task"] == "caption" else None,
        calibration=_calibration(scores.get("calibration")),
        glimpses=read_glimpses(run),
        strips=strips_of_run(run),
        view=_caption_view(scores, list(scored.values())),
        alarms=[str(alarm) for alarm in scores.get("alarms") or ()],
        subset=bool(scores.get("subset")),
        missing=round(finite(scores.get("missing")) or 0),
        missing_named=[str(name) for name in scores.get("missing_named") or ()],
        failed=failures(scores.get("failed")),
        config=config.read_text(encoding="utf-8", errors="replace") if config.is_file() else "",
    )


def _calibration(found: object) -> dict[str, Any] | None:
    if not isinstance(found, Mapping) or not found.get("bins"):
        return None
    return {
        "plot": reliability(found["bins"]),
        "error": percent(found.get("ece")),
        "answered": percent(found.get("answered")),
        "right": percent(found.get("answered_top1")),
    }


def _title(scores: Mapping[str, Any], run: Path) -> str:
    what = "Actions" if scores["task"] == "action" else "Captions"
    return f"{what} on {scores['dataset']}" if scores.get("dataset") else f"{what}: {run.name}"


def _facts(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = ("task", "dataset", "split", "cell")
    facts = [(name, str(scores[name])) for name in names if scores.get(name) is not None]
    if scores.get("refit"):
        facts.append(("trained on", "train + validation, after a first pass on train"))
    labels = scores.get("labels") or scores.get("per_class")
    return [*facts, ("classes", count(len(labels)))] if labels else facts


def failures(failed: object) -> list[tuple[str, str]]:
    """Return (name, reason) of each failure, however scores.json or results.jsonl put it."""
    found = []
    for one in failed if isinstance(failed, list) else ():
        if isinstance(one, Mapping):
            name = one.get("path") or one.get("id") or "?"
            found.append((str(name), str(one.get("reason") or "")))
        elif isinstance(one, list | tuple) and len(one) == 2:
            found.append((str(one[0]), str(one[1])))
        else:
            found.append((str(one), ""))
    return found


def _caption_view(
    scores: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    if scores["task"] != "caption" or not rows:
        return None
    return caption_view(
        scores, {name: [row[name] for row in rows] for name in NAMES if name in rows[0]}
    )
