"""Fresh: a config and its training clips -> a task with a head that has learnt nothing yet.

Reads what ``head.vectors`` and ``head.side`` name; writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.augment import Augment
from reelscribe.pipeline.beside import BESIDE, build_teller
from reelscribe.pipeline.checkpoint import Manifest
from reelscribe.pipeline.config import CaptionConfig, Config, TrainingConfig
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.tasks import ActionTask, CaptionTask, Example
from reelscribe.pipeline.telling import measure
from reelscribe.pipeline.views import Views

SEARCH = ("max_words", "beam", "length_penalty", "no_repeat")
"""Settings of the caption head that only decide how it is asked."""

Shared = dict[str, Any]
"""What the head's manifest will hold, but for what training finds."""


def fresh_task(
    config: Config,
    material: Material,
    train: Sequence[Example],
    val: Sequence[Example],
    *,
    learn: Sequence[Example] | None = None,
) -> tuple[ActionTask | CaptionTask, Shared]:
    """Return the task with a fresh head, and what its manifest will hold.

    ``learn`` are the clips that are trained on, where they are others than ``train``; the
    vocabulary comes from ``train`` in either case.
    """
    learn = train if learn is None else learn
    head = config.head.model_dump(mode="json", exclude={"task", *SEARCH, *BESIDE, "min_count"})
    shared: Shared = {
        "task": config.head.task,
        "dim": train[0].feats_TD.shape[1],
        "head": head,
        "recipe": material.recipe.settings,
        "frames": config.frames.model_dump(mode="json", exclude_none=True),
        "encoder": config.encoder.model_dump(mode="json"),
        "search": {},
        "calibration": {},
        "trained": {},
    }
    torch.manual_seed(config.training.seed)
    if isinstance(config.head, CaptionConfig):
        texts = [text for clip in train for text in clip.captions]
        vocabulary = Vocabulary.build(texts, min_count=config.head.min_count)
        return _captions(config.head, config.training, material, shared, vocabulary, learn, val)
    shared["labels"] = material.split.labels
    return _actions(config.training, shared, learn, val)


def _captions(
    head: CaptionConfig,
    training: TrainingConfig,
    material: Material,
    shared: Shared,
    vocabulary: Vocabulary,
    learn: Sequence[Example],
    val: Sequence[Example],
) -> tuple[CaptionTask, Shared]:
    search = {name: getattr(head, name) for name in SEARCH}
    # What "auto" stands for is known when the training is over; predict writes it.
    search |= {"beam": 1} if search["beam"] == "auto" else {}
    shared |= {"words": tuple(vocabulary.words), "search": search}
    teller = build_teller(head, shared, vocabulary, material)
    measure(teller, learn)
    task = CaptionTask(
        teller,
        learn,
        val,
        vocabulary,
        batch=training.batch,
        max_words=head.max_words,
        label_smoothing=training.label_smoothing,
        scheduled_sampling=training.scheduled_sampling,
        by_length=training.by_length,
        memory=training.memory,
    )
    return task, shared


def _actions(
    training: TrainingConfig, shared: Shared, learn: Sequence[Example], val: Sequence[Example]
) -> tuple[ActionTask, Shared]:
    namer = Manifest(**shared).build()
    assert isinstance(namer, ActionHead)
    namer.measure(Views(learn))
    namer.familiar.learn(Views(learn), [one.label for one in learn])
    task = ActionTask(
        namer,
        learn,
        val,
        batch=training.batch,
        label_smoothing=training.label_smoothing,
        augment=Augment.of(training),
        class_weights=training.class_weights,
        memory=training.memory,
    )
    return task, shared
