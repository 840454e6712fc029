"""Several trainings as one answer: every official split (``data.split: all``), several seeds.

Reads a config; trains into ``<output>/seed-N`` or ``<output>/split-N/seed-N`` through the stages,
and writes ``scores.json`` and ``report/index.html`` of all of them into ``<output>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from reelscribe.datasets.catalog import DATASETS
from reelscribe.pipeline.config import Config, resolved_yaml
from reelscribe.pipeline.files import read_jsonl, write_json, write_whole
from reelscribe.pipeline.inputs import Material, Place, gather, load_split
from reelscribe.pipeline.metrics.intervals import bootstrap_interval
from reelscribe.pipeline.names import resolve
from reelscribe.pipeline.report.repeats import write_repeats_page

ALL = "all"
"""As ``data.split``: each official split by itself, then their mean."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run, or several as one, came to."""

    run: Path
    scores: Mapping[str, Any]
    failed: Mapping[Path, str]
    """Videos without features, with their reasons."""


Stages = Callable[[Config, Material], Result]
"""What is done with one config and the material of its split."""


def measure_of(config: Config) -> str:
    """Return the name of the score that a task is judged by."""
    return "top1" if config.head.task == "action" else "CIDEr"


def splits_of(config: Config) -> tuple[Config, ...]:
    """Return one config a split: itself, or where it says ``all`` one for each official split.

    Raises:
        ValueError: ``all``, of a dataset that has one split only.
    """
    if config.data.split != ALL:
        return (config,)
    names = getattr(resolve(DATASETS, config.data.dataset, "dataset"), "EACH", ())
    if not names:
        raise ValueError(
            f"data.split all is the mean of several official splits, and {config.data.dataset} has "
            "none; name one split"
        )
    return tuple(
        config.model_copy(
            update={
                "data": config.data.model_copy(update={"split": name}),
                "output": config.output / f"split-{name}",
            }
        )
        for name in names
    )


def runs_of(config: Config) -> tuple[Config, ...]:
    """Return the config of each run folder that one seed fills.

    Raises:
        ValueError: as :func:`splits_of`.
    """
    if config.data.split != ALL:
        return (config,)
    seed = config.training.seed
    return tuple(with_seed(one, seed, one.output / f"seed-{seed}") for one in splits_of(config))


def seeds_of(config: Config, seeds: int) -> range:
    """Return the seeds of ``seeds`` trainings, from the config's own upwards.

    Raises:
        ValueError: there is less than one.
    """
    if seeds < 1:
        raise ValueError(f"--seeds is how many times a head is trained, at least 1; got {seeds}")
    return range(config.training.seed, config.training.seed + seeds)


def with_seed(config: Config, seed: int, folder: Path) -> Config:
    """Return the config with another seed and run folder."""
    training = config.training.model_copy(update={"seed": seed})
    return config.model_copy(update={"training": training, "output": folder})


def materials(config: Config, place: Place) -> Iterator[tuple[Config, Material]]:
    """Yield each split's config with its clips and features, one split in memory at a time."""
    for one in splits_of(config):
        yield one, gather(one, load_split(one), place)


def repeat(config: Config, place: Place, stages: Stages, *, seeds: int) -> Result:
    """Do ``stages`` for every split and seed; more than one of them are scored together."""
    numbers = seeds_of(config, seeds)
    alone = config.data.split != ALL and seeds == 1
    results: list[Result] = []
    for one, material in materials(config, place):
        for seed in numbers:
            folder = one.output if alone else one.output / f"seed-{seed}"
            results.append(stages(with_seed(one, seed, folder), material))
    if alone:
        return results[0]
    scores = combine(config, results)
    write_whole(config.output / "config.yaml", resolved_yaml(config))
    write_json(config.output / "scores.json", scores)
    write_repeats_page(config.output, scores)
    failed = {path: why for result in results for path, why in result.failed.items()}
    return Result(run=config.output, scores=scores, failed=failed)


def combine(config: Config, results: Sequence[Result]) -> dict[str, Any]:
    """Return the scores of several trainings as one: the mean over splits of the mean over seeds.

    ``spread`` is the standard deviation over seeds of the mean over splits. ``ci95`` is the
    interval over test videos, each with its mean over seeds; a split counts by its share of the
    mean and not by its size.
    """
    measure = measure_of(config)
    first = results[0].scores
    if any(result.scores.get(measure) is None for result in results):
        raise ValueError(f"{config.output}: a training has no {measure}, so there is no mean")
    splits = list(dict.fromkeys(str(result.scores["split"]) for result in results))
    seeds = list(dict.fromkeys(int(result.scores["seed"]) for result in results))
    rows = [
        {
            "split": str(result.scores["split"]),
            "seed": result.scores["seed"],
            "run": str(result.run.relative_to(config.output)),
            measure: result.scores[measure],
            "videos": result.scores["videos"],
        }
        for result in results
    ]
    per_seed = [fmean(row[measure] for row in rows if row["seed"] == seed) for seed in seeds]
    per_split = {
        name: fmean(row[measure] for row in rows if row["split"] == name) for name in splits
    }
    also = ("top5", "order_pairs", "direction")
    found = [value for result in results for value in result.scores["leaks"]["found"]]
    return {
        **{key: first[key] for key in ("task", "dataset", "cell", "refit", "missing")},
        "split": config.data.split,
        "seeds": seeds,
        measure: fmean(per_seed),
        "spread": pstdev(per_seed),
        "per_seed": per_seed,
        "per_split": per_split,
        "ci95": list(interval(videos(results))),
        "floor": fmean(result.scores["floor"] for result in results),
        "videos": sum(row["videos"] for row in rows) // len(seeds),
        "subset": any(result.scores["subset"] for result in results),
        "failed": first["failed"],
        "leaks": {"policy": config.data.leaks, "found": list(dict.fromkeys(found))},
        **{
            key: fmean(result.scores[key] for result in results)
            for key in also
            if all(result.scores.get(key) is not None for result in results)
        },
        "runs": rows,
    }


def videos(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return split -> test video -> its score, the mean over the seeds."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for result in results:
        place = gathered.setdefault(str(result.scores["split"]), {})
        for name, value in _each_video(result):
            place.setdefault(name, []).append(value)
    return {
        split: {name: fmean(values) for name, values in found.items()}
        for split, found in gathered.items()
    }


def interval(scores: Mapping[str, Mapping[str, float]]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over splits of the mean over videos."""
    total = sum(len(found) for found in scores.values())
    return bootstrap_interval(
        [
            value * total / (len(scores) * len(found))
            for found in scores.values()
            for value in found.values()
        ]
    )


def _each_video(result: Result) -> Iterator[tuple[str, float]]:
    if result.scores["task"] == "action":
        for row in read_jsonl(result.run / "predictions.jsonl"):
            yield row["id"], float(row["ranked"][0]["label"] == row["label"])
    else:
        for row in read_jsonl(result.run / "per_video.jsonl"):
            yield row["id"], float(row["CIDEr"])
