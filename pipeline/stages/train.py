"""Train: features of the training clips -> a head.

Reads the feature store; writes ``model.safetensors``, ``model.json`` and ``metrics.jsonl`` into the
run, the model last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.augment import Augment
from reelscribe.pipeline.checkpoint import Manifest, save_head
from reelscribe.pipeline.config import CaptionConfig, Config, TrainingConfig
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.selfcritical import SelfCritical
from reelscribe.pipeline.tasks import ActionTask, CaptionTask, Example
from reelscribe.pipeline.telling import measure
from reelscribe.pipeline.training import State, finished, fit

VERSION = 2
"""Raise it when the same settings would now train another head."""

SEARCH = ("max_words", "beam", "length_penalty", "no_repeat")
"""Settings of the caption head that only decide how it is asked."""


def made_of(config: Config, material: Material) -> dict[str, Any]:
    """Return all that decides the trained head."""
    train, val = material.clips("train"), material.clips("val")
    head = config.head.model_dump(mode="json", exclude={"beam", "length_penalty", "no_repeat"})
    return {
        "version": VERSION,
        "recipe": material.recipe.settings,
        "head": head,
        "training": config.training.model_dump(mode="json"),
        "data": {
            "dataset": material.split.dataset,
            "split": material.split.name,
            "train": {"clips": len(train), "digest": material.digest(train)},
            "val": {"clips": len(val), "digest": material.digest(val)},
            "labels": list(material.split.labels),
        },
    }


def train_head(config: Config, material: Material, run: Path, *, resume: bool = False) -> None:
    """Train one head and write it into ``run``."""
    train = material.examples(material.clips("train"), mirrors=True)
    val = material.examples(material.clips("val"), mirrors=True)
    if not train or not val:
        raise ValueError("no clip of the training or of the validation part could be encoded")
    task, manifest = _task(config, material, train, val)
    state = _fit(config, material, task, run, resume=resume, validate=True)
    critical = _critical(config, material, task, run, state, resume=resume)
    if config.training.refit:
        # Its own folder: a resumed training finds the first pass ended and goes on with this one.
        task, manifest = _task(config, material, train, val, learn=[*train, *val])
        _fit(config, material, task, run / "refit", resume=resume, validate=False)
        if critical.get("kept"):
            _critical(config, material, task, run / "refit", None, resume=resume)
    trained = {
        "dataset": material.split.dataset,
        "split": material.split.name,
        "clips": len(material.clips("train")),
        "seed": config.training.seed,
        "refit": config.training.refit,
        "best_epoch": state.best_epoch,
        f"val_{task.measure}": state.best_score,
        **({"scst": critical} if critical else {}),
    }
    save_head(run, task.head, Manifest(**{**manifest, "trained": trained}))
    for folder in (run, run / "scst", run / "refit", run / "refit" / "scst"):
        finished(folder)


def _critical(
    config: Config,
    material: Material,
    task: ActionTask | CaptionTask,
    run: Path,
    start: State | None,
    *,
    resume: bool,
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
    critic = SelfCritical(task)
    validate = start is not None
    state = _fit(config, material, critic, run / "scst", settings, resume=resume, validate=validate)
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
    validate: bool,
) -> State:
    """Train with a progress line."""
    settings = settings or config.training
    made = json.dumps(made_of(config, material), sort_keys=True)
    stage = "scst" if isinstance(task, SelfCritical) else "train" if validate else "refit"
    with Progress(f"{stage} {config.head.cell}", settings.epochs, "epochs") as progress:

        def told(row: Mapping[str, float]) -> None:
            score = row.get(f"val_{task.measure}")
            shown = "" if score is None else f"val {task.measure} {score:.3f}, "
            while progress.done < row["epoch"]:
                progress(f"loss {row['loss']:.3f}, {shown}norm {row['grad_norm']:.2f}")

        return fit(
            task,
            settings,
            run,
            made_of=hashlib.sha256(made.encode()).hexdigest(),
            resume=resume,
            validate=validate,
            told=told,
        )


def _task(
    config: Config,
    material: Material,
    train: Sequence[Example],
    val: Sequence[Example],
    *,
    learn: Sequence[Example] | None = None,
) -> tuple[ActionTask | CaptionTask, dict[str, Any]]:
    """Return the task with a fresh head, and what its manifest will hold.

    ``learn`` are the clips that are trained on, where they are others than ``train``; the
    vocabulary comes from ``train`` in either case.
    """
    learn = train if learn is None else learn
    head_settings = config.head.model_dump(mode="json", exclude={"task", *SEARCH, "min_count"})
    shared: dict[str, Any] = {
        "task": config.head.task,
        "dim": train[0].feats_TD.shape[1],
        "head": head_settings,
        "recipe": material.recipe.settings,
        "frames": config.frames.model_dump(mode="json", exclude_none=True),
        "encoder": config.encoder.model_dump(mode="json"),
        "search": {},
        "trained": {},
    }
    batch, smoothing = config.training.batch, config.training.label_smoothing
    torch.manual_seed(config.training.seed)
    if isinstance(config.head, CaptionConfig):
        texts = [text for clip in train for text in clip.captions]
        vocabulary = Vocabulary.build(texts, min_count=config.head.min_count)
        search = {name: getattr(config.head, name) for name in SEARCH}
        shared |= {"words": tuple(vocabulary.words), "search": search}
        teller = Manifest(**shared).build()
        assert isinstance(teller, Teller)
        measure(teller, learn)
        return CaptionTask(
            teller,
            learn,
            val,
            vocabulary,
            batch=batch,
            max_words=config.head.max_words,
            label_smoothing=smoothing,
            scheduled_sampling=config.training.scheduled_sampling,
        ), shared
    shared["labels"] = material.split.labels
    namer = Manifest(**shared).build()
    assert isinstance(namer, ActionHead)
    namer.measure(example.feats_TD for example in learn)
    return ActionTask(
        namer,
        learn,
        val,
        batch=batch,
        label_smoothing=smoothing,
        augment=Augment.of(config.training),
        class_weights=config.training.class_weights,
    ), shared
