"""What a run would do: each stage fresh, or stale and why.

Reads the run's ``stages.json``, which holds what each stage's result was made of; a stage is fresh
where that is what it would be made of now. Writes ``stages.json`` as stages end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.datasets.clip import Split
from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.checkpoint import is_whole
from reelscribe.pipeline.config import Config
from reelscribe.pipeline.files import read_json, write_json
from reelscribe.pipeline.index import HashIndex
from reelscribe.pipeline.inputs import Material, learnt_from, mirrored_view, told_categories
from reelscribe.pipeline.leaks import guard_leaks
from reelscribe.pipeline.recipe import differences
from reelscribe.pipeline.stages import evaluate, predict, train
from reelscribe.pipeline.stages.encode import origin, stored_as
from reelscribe.pipeline.training import unfinished

WRITES = {
    "train": ("model.safetensors", "model.json"),
    "predict": ("predictions.jsonl",),
    "evaluate": ("scores.json", "report/index.html"),
}
"""Stage -> the files without which it has to run again."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One stage of a run."""

    stage: str
    fresh: bool
    why: str
    """What is there, or why the stage will run."""


def stale(run: Path, stage: str, made_of: Mapping[str, Any]) -> str:
    """Return why ``stage`` has to run, or the empty string where its result is fresh."""
    gone = [name for name in WRITES[stage] if not (run / name).is_file()]
    if gone:
        if stage == "train" and unfinished(run):
            return "a training was cut off; --resume goes on with it"
        return f"no {gone[0]} yet"
    if stage == "train" and not is_whole(run):
        return "model.safetensors is not what model.json describes"
    was = _made(run).get(stage)
    if was is None:
        return f"{WRITES[stage][0]} is of unknown origin: a run was cut off"
    return "; ".join(differences(was, made_of))


def forget(run: Path, stage: str) -> None:
    """Call before ``stage`` writes: what it leaves, if it is killed, is of unknown origin."""
    write_json(run / "stages.json", {k: v for k, v in _made(run).items() if k != stage})


def record(run: Path, stage: str, made_of: Mapping[str, Any]) -> None:
    """Remember what the result of ``stage`` was made of, after it is written."""
    write_json(run / "stages.json", {**_made(run), stage: dict(made_of)})


def plan(config: Config, split: Split, cache: Path) -> list[Step]:
    """Say what ``reelscribe train`` would do, without decoding or training anything.

    It makes what it has to know: the backbone's graph, once, and the clips of a made dataset.
    """
    steps, material = _encoding(config, split, cache)
    run = config.output
    if material is None:
        waits = "waits for the features"
        return [*steps, *(Step(stage=stage, fresh=False, why=waits) for stage in WRITES)]
    why = stale(run, "train", train.made_of(config, material))
    steps.append(Step(stage="train", fresh=not why, why=why or "model.safetensors is up to date"))
    if not why:
        why = stale(run, "predict", predict.made_of(config, material, run))
        there = "predictions.jsonl is up to date"
        steps.append(Step(stage="predict", fresh=not why, why=why or there))
    if not why:
        why = stale(run, "evaluate", evaluate.made_of(config, material, run))
        steps.append(Step(stage="evaluate", fresh=not why, why=why or "scores.json is up to date"))
    waiting = list(WRITES)[len(steps) - 1 :]
    before = steps[-1].stage
    steps += [Step(stage=name, fresh=False, why=f"waits for {before}") for name in waiting]
    return steps


def _encoding(config: Config, split: Split, cache: Path) -> tuple[list[Step], Material | None]:
    encoding = origin(config.frames, config.encoder, cache)
    store, index = FeatureStore(cache), HashIndex(cache / "index.sqlite")
    paths = list(dict.fromkeys(clip.path for clip in split.clips()))
    stored = {path: stored_as(path, encoding, store, index) for path in paths}
    seen = sum(stored[path] is None and index.lookup(path) is not None for path in paths)
    index.close()
    contents = {path: sha256 for path, sha256 in stored.items() if sha256 is not None}
    if len(contents) == len(paths):
        why = f"{len(paths)} videos in the store, recipe {encoding.recipe.fingerprint}"
        step = Step(stage="encode", fresh=True, why=why)
    else:
        unseen = len(paths) - len(contents) - seen
        why = (
            f"{len(paths) - len(contents)} of {len(paths)} videos: {unseen} new, changed or "
            f"moved, {seen} seen but not under recipe {encoding.recipe.fingerprint}"
        )
        return [Step(stage="encode", fresh=False, why=why)], None
    mirrored = mirrored_view(config, encoding)
    if mirrored is not None:
        learnt = learnt_from(config, split)
        lacking = sum(not store.has(contents[path], mirrored.recipe) for path in learnt)
        if lacking:
            why = f"{lacking} of {len(learnt)} videos not yet seen mirrored"
            return [Step(stage="encode", fresh=False, why=why)], None
    split, leaks = guard_leaks(split, contents, config.data.leaks)
    return [step], Material(
        split=split,
        encoding=encoding,
        store=store,
        contents=contents,
        failed={},
        leaks=leaks,
        mirrored=mirrored,
        categories=told_categories(config),
        trim=config.data.trim,
    )


def _made(run: Path) -> dict[str, Any]:
    path = run / "stages.json"
    if not path.is_file():
        return {}
    made: dict[str, Any] = read_json(path)
    return made
