"""Train: features of the training clips -> a head.

Reads the feature store; writes ``model.safetensors``, ``model.json`` and ``metrics.jsonl`` into the
run, the model last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from reelscribe.pipeline.beside import contents
from reelscribe.pipeline.boards import Board
from reelscribe.pipeline.calibration import summary
from reelscribe.pipeline.checkpoint import Manifest, save_head, save_learnt
from reelscribe.pipeline.config import CaptionConfig, Config, TrainingConfig
from reelscribe.pipeline.fresh import fresh_task
from reelscribe.pipeline.holding import Room
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.judging import calibrated
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.selfcritical import SelfCritical
from reelscribe.pipeline.speed import compiler_errors
from reelscribe.pipeline.tasks import ActionTask, CaptionTask
from reelscribe.pipeline.telling import choose_search
from reelscribe.pipeline.training import State, finished, fit

VERSION = 3
"""Raise it when the same settings would now train another head."""

NO_RECIPE = {"memory"}
"""Settings that no number of a head depends on."""

CRITICAL = {"scst_lr", "scst_baseline", "scst_temperature"}
"""Settings of self-critical training, where there is any."""


def made_of(config: Config, material: Material) -> dict[str, Any]:
    """Return all that decides the trained head."""
    train, val = material.clips("train"), material.clips("val")
    asked = {"beam", "length_penalty", "no_repeat"}
    head = config.head.model_dump(mode="json", exclude=asked, exclude_none=True)
    if config.training.refit and getattr(config.head, "beam", None) == "auto":
        head["beam"] = "auto"  # Chosen before the refit, and never after it.
    without = NO_RECIPE if config.training.scst_epochs else NO_RECIPE | CRITICAL
    return {
        "version": VERSION,
        "recipe": material.recipe.settings,
        "head": head | contents(config),
        "training": config.training.model_dump(mode="json", exclude=without),
        "data": {
            "dataset": material.split.dataset,
            "split": material.split.name,
            "train": {"clips": len(train), "digest": material.digest(train)},
            "val": {"clips": len(val), "digest": material.digest(val)},
            "labels": list(material.split.labels),
        },
    }


def train_head(
    config: Config, material: Material, run: Path, *, resume: bool = False, curves: bool = False
) -> None:
    """Train one head and write it into ``run``; ``curves`` are event files for TensorBoard."""
    room = Room(config.training.memory)
    train = material.examples(material.clips("train"), room, mirrors=True)
    val = material.examples(material.clips("val"), room, mirrors=config.training.refit)
    if room.on_disk:
        say(
            f"features: {room.held:,} clips stay in memory, {room.on_disk:,} are read from the "
            "store when they are needed (training.memory)"
        )
    if not train or not val:
        raise ValueError("no clip of the training or of the validation part could be encoded")
    task, manifest = fresh_task(config, material, train, val)
    state = _fit(config, material, task, run, resume=resume, curves=curves, validate=True)
    critical = _critical(config, material, task, run, state, resume=resume, curves=curves)
    chosen = _chosen(config, task)
    # Before refit: after it there is no clip left that the head has not learnt from.
    calibration = calibrated(task.head, val) if isinstance(task, ActionTask) else {}
    if calibration:
        say(summary(calibration))
    if config.training.refit:
        task.shelf.clear()
        # Its own folder: a resumed training finds the first pass ended and goes on with this one.
        task, manifest = fresh_task(config, material, train, val, learn=[*train, *val])
        _fit(config, material, task, run / "refit", resume=resume, curves=curves, validate=False)
        if critical.get("kept"):
            _critical(config, material, task, run / "refit", None, resume=resume, curves=curves)
    trained = {
        "dataset": material.split.dataset,
        "split": material.split.name,
        "clips": len(train) + (len(val) if config.training.refit else 0),
        "seed": config.training.seed,
        "refit": config.training.refit,
        "best_epoch": state.best_epoch,
        f"val_{task.measure}": state.best_score,
        **({"trim": config.data.trim} if config.data.trim else {}),
        **({"scst": critical} if critical else {}),
        **({"search": chosen} if chosen else {}),
    }
    if chosen:
        manifest["search"] |= {name: chosen[name] for name in ("beam", "length_penalty")}
    manifest |= {"trained": trained, "calibration": calibration}
    save_head(run, task.head, Manifest(**manifest))
    note_learnt(material, run)
    for folder in (run, run / "scst", run / "refit", run / "refit" / "scst"):
        finished(folder)


def note_learnt(material: Material, run: Path) -> None:
    """Write down which videos the head of ``run`` has learnt from, or was chosen by."""
    clips = [*material.clips("train"), *material.clips("val")]
    save_learnt(run, (material.contents[clip.path] for clip in clips))


def _chosen(config: Config, task: ActionTask | CaptionTask) -> dict[str, Any]:
    """Return the search that validation clips choose, where the config leaves it to them.

    Before a refit, which learns from these clips.
    """
    if not isinstance(config.head, CaptionConfig) or config.head.beam != "auto":
        return {}
    assert isinstance(task, CaptionTask)
    fixed = {"max_words": config.head.max_words, "no_repeat": config.head.no_repeat}
    return choose_search(task.head, task.vocabulary, task.val, **fixed)


def _critical(
    config: Config,
    material: Material,
    task: ActionTask | CaptionTask,
    run: Path,
    start: State | None,
    *,
    resume: bool,
    curves: bool,
) -> dict[str, Any]:
    """Train on CIDEr-D what was trained on the loss, where the config asks for it.

    Where it is validated and ends no better than ``start``, the head is put back. Return from
    where to where it went, and which of the two was kept.
    """
    settings = config.training
    if not settings.scst_epochs or not isinstance(task, CaptionTask):
        return {}
    if len(task.train) < 2:
        raise ValueError(
            f"training.scst_epochs is {settings.scst_epochs} and the training part has one clip: "
            "CIDEr's weights need two or more; set it to 0"
        )
    before = {name: value.detach().clone() for name, value in task.head.state_dict().items()}
    changes = {"epochs": settings.scst_epochs, "lr": settings.scst_lr}
    settings = settings.model_copy(update=changes | {"patience": settings.scst_epochs})
    critic = SelfCritical(
        task, baseline=settings.scst_baseline, temperature=settings.scst_temperature
    )
    validate = start is not None
    state = _fit(
        config,
        material,
        critic,
        run / "scst",
        settings,
        resume=resume,
        curves=curves,
        validate=validate,
    )
    if start is None:
        return {}
    kept = state.best_score > start.best_score
    if not kept:
        task.head.load_state_dict(before)
    say(
        f"self-critical: val CIDEr {start.best_score:.3f} -> {state.best_score:.3f}"
        f"{'' if kept else ', no better: the head from before it is kept'}"
    )
    return {"from": start.best_score, "to": state.best_score, "kept": kept}


def _fit(
    config: Config,
    material: Material,
    task: ActionTask | CaptionTask | SelfCritical,
    run: Path,
    settings: TrainingConfig | None = None,
    *,
    resume: bool,
    curves: bool,
    validate: bool,
) -> State:
    """Train with a progress line, and where ``curves`` are asked for with these."""
    settings = settings or config.training
    made = json.dumps(made_of(config, material), sort_keys=True)
    stage = "scst" if isinstance(task, SelfCritical) else "train" if validate else "refit"
    board: Board | None = None
    with ExitStack() as stack:
        if settings.compile:
            stack.enter_context(compiler_errors())
        named = f"{stage} {config.head.cell}"
        progress = stack.enter_context(Progress(named, settings.epochs, "epochs"))

        def told(row: Mapping[str, float]) -> None:
            score = row.get(f"val_{task.measure}")
            shown = "" if score is None else f"val {task.measure} {score:.3f}, "
            rate = f"{row['clips_per_second']:,.0f} clips/s"
            if progress.done < row["epoch"] - 1:
                progress.skip(int(row["epoch"]) - 1)
            while progress.done < row["epoch"]:
                progress(f"loss {row['loss']:.3f}, {shown}norm {row['grad_norm']:.2f}, {rate}")
            nonlocal board
            if board is not None:
                board.add(row)
            elif curves:
                board = stack.enter_context(closing(Board(run)))

        return fit(
            task,
            settings,
            run,
            made_of=hashlib.sha256(made.encode()).hexdigest(),
            resume=resume,
            validate=validate,
            told=told,
            heard=progress.note,
        )
