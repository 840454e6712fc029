"""``reelscribe compare``: cells side by side on the same features, data, budget and seeds.

Reads a config; trains into ``<output>/compare/<cell>-<seed>`` (with ``data.split: all`` into
``<output>/compare/split-N/<cell>-<seed>``) and writes ``compare.json`` and a page beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, pstdev
from time import perf_counter
from typing import Any

from reelscribe.decoders import CELLS
from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import Config
from reelscribe.pipeline.files import read_jsonl, write_json
from reelscribe.pipeline.inputs import Material, Place
from reelscribe.pipeline.judging import probabilities
from reelscribe.pipeline.names import among
from reelscribe.pipeline.repeats import (
    Result,
    Stages,
    combine,
    interval,
    materials,
    measure_of,
    seeds_of,
    videos,
    with_seed,
)
from reelscribe.pipeline.report.summary import write_compare_page
from reelscribe.pipeline.tasks import captions

POOLED = "none"
"""The cell that has no memory: what the others have to beat."""

TIMED = 64
"""Test clips whose answers are timed."""


def compare_cells(
    config: Config, place: Place, stages: Stages, *, cells: Sequence[str], seeds: int
) -> Result:
    """Do ``stages`` with every cell, split and seed; write one table.

    Raises:
        ValueError: a cell has no such name, none is named, or seeds is below 1.
    """
    if not cells:
        raise ValueError(f"--cells names no cell; there are: {', '.join(CELLS)}")
    names = [among(CELLS, cell, "cell") for cell in dict.fromkeys(cells)]
    numbers = seeds_of(config, seeds)
    folder = config.output / "compare"
    within = config.model_copy(update={"output": folder})
    results: dict[str, list[Result]] = {name: [] for name in names}
    speed: dict[str, float] = {}
    for one, material in materials(within, place):
        for cell in names:
            head = one.head.model_copy(update={"cell": cell})
            variant = one.model_copy(update={"head": head})
            for seed in numbers:
                run = one.output / f"{cell}-{seed}"
                results[cell].append(stages(with_seed(variant, seed, run), material))
            if cell not in speed:
                speed[cell] = _seconds_a_clip(results[cell][0], material)
    pooled = results.get(POOLED)
    rows = [_row(within, name, results[name], pooled, speed[name]) for name in names]
    scores = combine(within, results[names[0]])
    table = {
        "metric": measure_of(config),
        "seeds": list(numbers),
        **{key: scores[key] for key in ("task", "dataset", "split", "subset", "floor", "videos")},
        "rows": rows,
    }
    write_json(folder / "compare.json", table)
    write_compare_page(folder, table)
    failed = {
        p: why for found in results.values() for one in found for p, why in one.failed.items()
    }
    return Result(run=folder, scores=table, failed=failed)


def _row(
    config: Config,
    cell: str,
    results: Sequence[Result],
    pooled: Sequence[Result] | None,
    seconds: float,
) -> dict[str, Any]:
    """One line of the table: the mean, its spread and interval, and what the cell costs."""
    scores = combine(config, results)
    head, _ = load_head(results[0].run)
    return {
        "cell": cell,
        "score": scores[measure_of(config)],
        "spread": pstdev(scores["per_seed"]),
        **{key: scores[key] for key in ("per_seed", "per_split", "ci95")},
        **({"over_none": _over(results, pooled)} if pooled and cell != POOLED else {}),
        "params": sum(p.numel() for p in head.parameters()),
        "ms_per_clip": 1000 * seconds,
        "train_seconds": fmean(_train_seconds(result) for result in results),
        **{key: scores[key] for key in ("order_pairs", "direction") if key in scores},
    }


def _over(results: Sequence[Result], pooled: Sequence[Result]) -> dict[str, Any]:
    """Return how far the cell is above mean pooling, video by video: a paired difference.

    Both answered the same videos, so its interval is narrower than those of the two scores.
    """
    mine, theirs = videos(results), videos(pooled)
    gaps = {
        split: {name: value - theirs[split][name] for name, value in found.items()}
        for split, found in mine.items()
    }
    gap = fmean(fmean(found.values()) for found in gaps.values())
    return {"gap": gap, "ci95": list(interval(gaps))}


def _seconds_a_clip(result: Result, material: Material) -> float:
    """Return how long the head takes for the answer to one clip, its features at hand."""
    head, manifest = load_head(result.run)
    clips = material.clips("test")[:TIMED]
    # A few, in memory: the head is timed, not the disk.
    feats = [example.feats_TD for example in material.examples(clips)]
    spent = []
    for _ in range(3):
        began = perf_counter()
        if isinstance(head, ActionHead):
            probabilities(head, feats)
        else:
            captions(head, feats, beam=1, max_words=manifest.search["max_words"])
        spent.append(perf_counter() - began)
    return min(spent) / len(feats)


def _train_seconds(result: Result) -> float:
    """Return how long the epochs took when the run was trained, now or earlier."""
    return sum(float(row["seconds"]) for row in read_jsonl(result.run / "metrics.jsonl"))
