"""Evaluate: predictions -> scores, with the floor beside them.

Reads the run's ``predictions.jsonl`` (answers and truths) and the training labels or captions,
which decide the floor; writes ``scores.json``, ``missing.txt``, for captions ``per_video.jsonl``,
and ``report/``. No test clip decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reelscribe.datasets.clip import Split
from reelscribe.datasets.script import slot_accuracy
from reelscribe.decoders.vocabulary import tokenise
from reelscribe.pipeline.alarms import alarms, habits
from reelscribe.pipeline.calibration import answered, expected_error, reliability
from reelscribe.pipeline.config import Config
from reelscribe.pipeline.files import read_jsonl, write_json, write_jsonl, write_whole
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.metrics.actions import direction, score_actions
from reelscribe.pipeline.metrics.captions import NOTE, CaptionScores, score_captions
from reelscribe.pipeline.metrics.card import caption_card
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.report.run import write_run_page
from reelscribe.pipeline.stages.illustrate import illustrate

VERSION = 6

NAMED = 12
"""Missing clips that scores.json and the page name; ``missing.txt`` names them all."""


def made_of(config: Config, material: Material, run: Path) -> dict[str, Any]:
    """Return all that decides the scores."""
    return {
        "version": VERSION,
        "predictions": hash_file(run / "predictions.jsonl"),
        "data": {"train": material.digest(material.clips("train"))},
        "incomplete": [*material.split.missing, *map(str, material.failed)],
        "leaks": [config.data.leaks, *material.leaks],
        "seed": config.training.seed,
    }


def evaluate(config: Config, material: Material, run: Path) -> dict[str, Any]:
    """Score the run's predictions; return what was written to ``scores.json``."""
    rows = read_jsonl(run / "predictions.jsonl")
    if not rows:
        raise ValueError(f"{run / 'predictions.jsonl'} holds no predictions; no test clip is left")
    split = material.split
    failed = [
        {"path": str(clip.path), "reason": material.failed[clip.path]}
        for clip in split.clips()
        if clip.path in material.failed
    ]
    about = {
        "task": config.head.task,
        "dataset": split.dataset,
        "split": split.name,
        "cell": config.head.cell,
        "seed": config.training.seed,
        "refit": config.training.refit,
        "subset": bool(split.missing or failed),
        "missing": len(split.missing),
        "missing_named": list(split.missing[:NAMED]),
        "failed": failed,
        "leaks": {"policy": config.data.leaks, "found": list(material.leaks)},
    }
    scored = _actions(split, rows) if config.head.task == "action" else _captions(split, rows, run)
    scores = {**about, **scored}
    write_whole(run / "missing.txt", "".join(f"{name}\n" for name in split.missing))
    write_json(run / "scores.json", scores)
    illustrate(material, run)
    write_run_page(run)
    say(summary(scores))
    for alarm in scores.get("alarms", ()):
        say(f"ALARM: {alarm}")
    return scores


def summary(scores: Mapping[str, Any]) -> str:
    """Return the score, its interval and its floor in one line."""
    name = "top1" if scores["task"] == "action" else "CIDEr"
    where = f"{scores['dataset']} split {scores['split']}, {scores['cell']}: "
    if scores.get(name) is None:
        reasons = "; ".join(f"{metric}: {why}" for metric, why in scores["left_out"].items())
        return f"{where}no {name} ({reasons})"
    low, high = scores["ci95"]
    subset = ", a SUBSET of the lists" if scores["subset"] else ""
    return (
        f"{where}{name} {scores[name]:.3f} (95 % interval {low:.3f} to {high:.3f}, "
        f"floor {scores['floor']:.3f}, {scores['videos']} videos{subset})"
    )


def _actions(split: Split, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    number = {label: i for i, label in enumerate(split.labels)}
    by_label = [{one["label"]: one["probability"] for one in row["ranked"]} for row in rows]
    scores = score_actions(
        [number[row["label"]] for row in rows],
        [[said[label] for label in split.labels] for said in by_label],
        split.labels,
        train_labels=[number[clip.label] for clip in split.train if clip.label is not None],
    )
    found: dict[str, Any] = {**scores.to_json(), "labels": list(split.labels)}
    found["calibration"] = _calibration(split, rows, by_label)
    twin = {a: b for pair in split.twins for a, b in (pair, pair[::-1])}
    if twin:
        paired = [
            (row, said) for row, said in zip(rows, by_label, strict=True) if row["label"] in twin
        ]
        right = [row["ranked"][0]["label"] == row["label"] for row, _ in paired]
        found["order_pairs"] = sum(right) / len(right) if right else None
        found["direction"] = direction(
            [(said[row["label"]], said[twin[row["label"]]]) for row, said in paired]
        )
    return found


def _calibration(
    split: Split, rows: Sequence[Mapping[str, Any]], by_label: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """Return how well the confidences hold on the test clips, and how many were answered."""
    truth_N = np.array([split.labels.index(row["label"]) for row in rows])
    found_NK = np.array([[said[label] for label in split.labels] for said in by_label])
    given_N = np.array([row["abstained"] is None for row in rows])
    return {
        "ece": expected_error(found_NK, truth_N),
        "bins": reliability(found_NK, truth_N),
        **answered(given_N, found_NK.argmax(1) == truth_N),
    }


def _captions(split: Split, rows: Sequence[Mapping[str, Any]], run: Path) -> dict[str, Any]:
    references = {row["id"]: row["references"] for row in rows}
    scores = score_captions({row["id"]: row["caption"] for row in rows}, references)
    write_jsonl(run / "per_video.jsonl", scores.rows())
    train_captions = [text for clip in split.train for text in clip.captions]
    found = {
        **scores.corpus,
        **caption_card(scores, train_captions=train_captions),
        **habits([row["caption"] for row in rows], train_captions),
        "greedy_CIDEr": _greedy(scores, rows),
        "consensus": any("agreement" in row for row in rows),
        "videos": len(rows),
        "references": sum(map(len, references.values())),
        "left_out": dict(scores.left_out),
        "note": NOTE,
    }
    if split.dataset == "theatre":
        texts = list(references.values())
        found["slots"] = slot_accuracy([row["caption"] for row in rows], texts)
    return found | {"alarms": alarms(found, read_jsonl(run / "metrics.jsonl"))}


def _greedy(scores: CaptionScores, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return CIDEr of the captions that greedy search would have written, where it is known."""
    if scores.references is None or not all("greedy" in row for row in rows):
        return None
    said = {row["id"]: tokenise(row["greedy"]) for row in rows}
    return float(scores.references.cider.score([said[name] for name in scores.ids]).mean())
