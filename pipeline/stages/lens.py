"""Lens: a trained action head and some clips -> what its memory does with them, frame by frame.

Reads the runs' models and the feature store (clips that it lacks are encoded); writes ``lens.json``
and ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reelscribe.datasets.backwards import inside
from reelscribe.datasets.features import SUFFIXES
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.cells import Recurrent
from reelscribe.decoders.lens import arriving, attention, input_gradients, inputs, reach, trace
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.checkpoint import Manifest, load_head
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.names import among
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.report.lens import write_lens_page
from reelscribe.pipeline.stages.answering import made_for
from reelscribe.pipeline.stages.encode import encode_with_progress, read_features

DIGITS = 6
"""Of the numbers in lens.json."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was seen, and where it was written."""

    clips: Sequence[Mapping[str, Any]]
    page: Path
    failed: Mapping[Path, str]


def look(
    run: Path,
    sources: Sequence[Path],
    out: Path,
    place: Place,
    *,
    beside: Sequence[Path] = (),
    label: str | None = None,
) -> Looked:
    """Trace every clip through the head of ``run``.

    Args:
        run: a run that names actions.
        sources: videos and folders; where the run was trained on ready-made features, their names.
        out: the folder of the results.
        place: feature store and workers.
        beside: runs with other cells on the same features; their gradients are shown beside.
        label: the class whose loss the gradients are of; else the one that the head answers.

    Raises:
        ValueError: a run is no action head, was trained on other features, or knows no such label.
    """
    head, manifest = _action(run)
    others = {}
    for path in beside:
        other, theirs = _action(path)
        if theirs.recipe != manifest.recipe or theirs.labels != manifest.labels:
            raise ValueError(
                f"--beside {path} was trained on other features or classes than {run}; "
                "`reelscribe compare` trains cells that can stand side by side"
            )
        others[f"{theirs.head['cell']} ({path.name})"] = other
    if label is not None:
        among(manifest.labels, label, "label")
    if manifest.encoder.get("precomputed"):
        clips = [p.with_suffix("") if p.suffix.lower() in SUFFIXES else p for p in sources]
    else:
        clips = list(find_videos(sources))
    encoding = made_for(manifest, run, place)
    report = encode_with_progress(clips, encoding, place.runner, what="encode", unit="clips")
    _say_what_is_left_out(head, manifest, run)
    seen = []
    for clip in clips:
        if clip in report.contents:
            store = FeatureStore(encoding.store)
            features = read_features(store, clip, report.contents[clip], encoding)
            feats_TD, pts_T = picked(head, features, manifest.trim)
            times = [round(float(second), 3) for second in pts_T]
            heads = {str(manifest.head["cell"]): head, **others}
            seen.append(
                {"path": str(clip), "times": times, **look_at(heads, manifest, feats_TD, label)}
            )
    if not seen:
        reason = next(iter(report.failed.values()), "none was named")
        raise ValueError(f"no clip could be looked at: {reason}")
    write_json(out / "lens.json", {"run": str(run), "clips": seen})
    return Looked(clips=seen, page=write_lens_page(out, seen, str(run)), failed=report.failed)


def _say_what_is_left_out(head: ActionHead, manifest: Manifest, run: Path) -> None:
    if manifest.trim:
        say(f"lens: {manifest.trim:g} s at both ends are left out, as in training (data.trim)")
    if head.both_ways or head.phases > 1:
        say(
            f"lens: {run} answers by the mean of several readings (head.phases, head.both_ways); "
            "what is shown is one of them, forwards, before calibration"
        )


def _action(run: Path) -> tuple[ActionHead, Manifest]:
    head, manifest = load_head(run)
    if not isinstance(head, ActionHead):
        raise ValueError(f"{run} holds a model for {manifest.task}s; the lens reads action heads")
    return head, manifest


def picked(head: ActionHead, features: Features, trim: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the frames that the head reads, and their times; none within ``trim`` s of an end."""
    columns = np.column_stack((features.feats_TD, features.pts_T))[inside(features.pts_T, trim)]
    picked_BTD, _ = head.pick(torch.from_numpy(columns)[None], torch.tensor([len(columns)]))
    return picked_BTD[0, :, :-1].float(), picked_BTD[0, :, -1]


def look_at(
    heads: Mapping[str, ActionHead], manifest: Manifest, feats_TD: Tensor, label: str | None
) -> dict[str, Any]:
    """Return what lens.json holds of one clip; gradients are of all heads, the rest of the first.

    Args:
        heads: cell -> head; all of one manifest's classes.
        manifest: the first one's.
        feats_TD: the frames that it reads.
        label: the class whose loss the gradients are of; None for the most probable one.
    """
    head = next(iter(heads.values()))
    answers_TK = arriving(head, feats_TD)
    number = manifest.labels.index(label) if label is not None else int(answers_TK[-1].argmax())
    weights_T = attention(head, feats_TD)
    cell = head.cell
    traces = trace(cell, inputs(head, feats_TD)) if isinstance(cell, Recurrent) else []
    return {
        "cell": manifest.head["cell"],
        "label": manifest.labels[number],
        "answers": {name: _list(answers_TK[:, k]) for k, name in enumerate(manifest.labels)},
        "attention": None if weights_T is None else _list(weights_T),
        "layers": [
            {
                "layer": one.layer,
                "backwards": one.backwards,
                "gates": {name: _list(gate_TH.mean(1)) for name, gate_TH in one.gates.items()},
                "cell_norm": None if one.cell_TH is None else _list(one.cell_TH.norm(dim=1)),
                "state_norm": _list(one.state_TH.norm(dim=1)),
            }
            for one in traces
        ],
        "gradients": {
            name: input_gradients(one, feats_TD, number).tolist() for name, one in heads.items()
        },
        "reach": {
            name: reach(one.cell, inputs(one, feats_TD)).tolist()
            for name, one in heads.items()
            if isinstance(one.cell, Recurrent)
        },
    }


def _list(values_T: Tensor) -> list[float]:
    return [round(float(value), DIGITS) for value in values_T]
