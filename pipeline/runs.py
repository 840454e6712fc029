"""The commands over a config: train what is stale, evaluate again, compare cells.

Reads a config; writes into its run folder through the stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from time import perf_counter
from typing import Any

from reelscribe.decoders import CELLS
from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import Config, resolved_yaml
from reelscribe.pipeline.files import read_json, read_jsonl, write_json, write_whole
from reelscribe.pipeline.inputs import Material, Place, gather, load_split
from reelscribe.pipeline.names import among
from reelscribe.pipeline.plan import forget, record, stale
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.report.summary import write_compare_page
from reelscribe.pipeline.stages import evaluate, predict, train
from reelscribe.pipeline.tasks import captions, probabilities


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to."""

    run: Path
    scores: Mapping[str, Any]
    failed: Mapping[Path, str]
    """Videos without features, with their reasons."""


def train_run(config: Config, place: Place, *, resume: bool = False) -> Result:
    """Run whatever is stale of encode, train, predict and evaluate."""
    material = gather(config, load_split(config), place)
    return _stages(config, material, resume=resume)


def evaluate_run(config: Config, place: Place) -> Result:
    """Predict and score again from the run's checkpoint, fresh or not.

    Raises:
        ValueError: the run was trained with other data or settings. A model of split 1 has seen
            most of split 2's test clips: its score there would be a leak.
    """
    load_head(config.output)  # Says what is wrong before hours of encoding.
    material = gather(config, load_split(config), place)
    run = config.output
    why = stale(run, "train", train.made_of(config, material))
    if why:
        raise ValueError(
            f"{run} was trained otherwise ({why}); put that back as it was, or train again"
        )
    forget(run, "predict")
    return _stages(config, material)


def compare(config: Config, place: Place, *, cells: Sequence[str], seeds: int) -> Result:
    """Train every cell with every seed on the same features and budget; write one table.

    Raises:
        ValueError: a cell has no such name, none is named, or seeds is below 1.
    """
    if not cells:
        raise ValueError(f"--cells names no cell; there are: {', '.join(CELLS)}")
    names = [among(CELLS, cell, "cell") for cell in dict.fromkeys(cells)]
    if seeds < 1:
        raise ValueError(f"--seeds is how many times each cell is trained, at least 1; got {seeds}")
    material = gather(config, load_split(config), place)
    folder = config.output / "compare"
    first = config.training.seed
    rows = []
    scores: Mapping[str, Any] = {}
    for cell in names:
        results = []
        for seed in range(first, first + seeds):
            variant = config.model_copy(
                update={
                    "head": config.head.model_copy(update={"cell": cell}),
                    "training": config.training.model_copy(update={"seed": seed}),
                    "output": folder / f"{cell}-{seed}",
                }
            )
            results.append(_stages(variant, material))
        scores = results[0].scores
        rows.append(_row(cell, results, material))
    measure = "top1" if config.head.task == "action" else "CIDEr"
    table = {
        "task": config.head.task,
        "dataset": material.split.dataset,
        "split": material.split.name,
        "subset": scores["subset"],
        "metric": measure,
        "seeds": list(range(first, first + seeds)),
        "floor": scores["floor"],
        "videos": scores["videos"],
        "rows": rows,
    }
    write_json(folder / "compare.json", table)
    write_compare_page(folder, table)
    return Result(run=folder, scores=table, failed=material.failed)


def _stages(config: Config, material: Material, *, resume: bool = False) -> Result:
    """Run what is stale; a stage that is killed leaves nothing that counts as fresh."""
    run = config.output
    write_whole(run / "config.yaml", resolved_yaml(config))
    made = train.made_of(config, material)
    why = stale(run, "train", made)
    if why:
        say(f"train: {why}")
        forget(run, "train")
        train.train_head(config, material, run, resume=resume)
        record(run, "train", made)
    made = predict.made_of(config, material, run)
    if stale(run, "predict", made):
        forget(run, "predict")
        predict.predict(config, material, run)
        record(run, "predict", made)
    made = evaluate.made_of(config, material, run)
    if stale(run, "evaluate", made):
        forget(run, "evaluate")
        scores = evaluate.evaluate(config, material, run)
        record(run, "evaluate", made)
    else:
        scores = read_json(run / "scores.json")
        say(f"up to date: {evaluate.summary(scores)}")
    return Result(run=run, scores=scores, failed=material.failed)


def _row(cell: str, results: Sequence[Result], material: Material) -> dict[str, Any]:
    """One line of the table: the mean over seeds, its spread, and what the cell costs."""
    scores = [result.scores for result in results]
    measure = "top1" if scores[0]["task"] == "action" else "CIDEr"
    values = [float(score[measure]) for score in scores]
    head, manifest = load_head(results[0].run)
    feats = [example.feats_TD for example in material.examples(material.clips("test")[:64])]
    began = perf_counter()
    if isinstance(head, ActionHead):
        probabilities(head, feats)
    else:
        captions(head, feats, beam=1, max_words=manifest.search["max_words"])
    per_clip = (perf_counter() - began) / len(feats)
    pairs = [score["order_pairs"] for score in scores if score.get("order_pairs") is not None]
    return {
        "cell": cell,
        "score": fmean(values),
        "spread": pstdev(values),
        "per_seed": values,
        "ci95": scores[0]["ci95"],
        "params": sum(p.numel() for p in head.parameters()),
        "ms_per_clip": 1000 * per_clip,
        "train_seconds": fmean(_train_seconds(result.run) for result in results),
        **({"order_pairs": fmean(pairs)} if pairs else {}),
    }


def _train_seconds(run: Path) -> float:
    """Return how long the epochs took when the run was trained, now or earlier."""
    return sum(float(row["seconds"]) for row in read_jsonl(run / "metrics.jsonl"))
