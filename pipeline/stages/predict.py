"""Predict: a trained head over the features of the test clips.

Reads the run's model and the feature store; writes ``predictions.jsonl``, a line a clip with the
answer and the truth beside it, so that scoring needs nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.teller import Teller
from reelscribe.pipeline.checkpoint import Head, Manifest, load_head, read_manifest, save_manifest
from reelscribe.pipeline.config import CaptionConfig, Config
from reelscribe.pipeline.files import write_jsonl
from reelscribe.pipeline.holding import Room
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.judging import judged
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.telling import choose_search, tell
from reelscribe.pipeline.views import Views

VERSION = 4


def made_of(config: Config, material: Material, run: Path) -> dict[str, Any]:
    """Return all that decides the predictions."""
    test = material.clips("test")
    manifest = read_manifest(run)
    return {
        "version": VERSION,
        "model": hash_file(run / "model.safetensors"),
        # The same numbers answer otherwise with other phases, temperature, or beam that was chosen.
        "head": dict(manifest.head),
        "calibration": dict(manifest.calibration),
        "chosen": manifest.trained.get("search"),
        "search": search_of(config),
        "data": {"test": len(test), "clips": material.digest(test)},
    }


def search_of(config: Config) -> dict[str, Any]:
    """Return how a caption head is asked; empty for actions."""
    if not isinstance(config.head, CaptionConfig):
        return {}
    return {
        "beam": config.head.beam,
        "max_words": config.head.max_words,
        "length_penalty": config.head.length_penalty,
        "no_repeat": config.head.no_repeat,
    }


def asked(
    config: Config, material: Material, run: Path, head: Head, manifest: Manifest
) -> dict[str, Any]:
    """Return :func:`search_of` with what ``head.beam: auto`` stands for.

    Raises:
        ValueError: nothing is left that could decide it.
    """
    search = search_of(config)
    if search.get("beam") != "auto":
        return search
    fixed = {name: search[name] for name in ("max_words", "no_repeat")}
    chosen = manifest.trained.get("search")
    refit = manifest.trained.get("refit")
    if chosen is None and refit:
        raise ValueError(
            f"{run} was trained again on its validation clips, which can choose no beam now; give "
            "head.beam a number"
        )
    other = chosen is not None and any(chosen[name] != value for name, value in fixed.items())
    if chosen is None or (other and not refit):
        assert isinstance(head, Teller)
        val = material.examples(material.clips("val"), Room(config.training.memory))
        chosen = choose_search(head, manifest.vocabulary, val, **fixed)
    say(
        f"search: beam {chosen['beam']}, length penalty {chosen['length_penalty']} (val CIDEr "
        f"{chosen['val_CIDEr']:.3f}, greedy {chosen['val_CIDEr_greedy']:.3f})"
        f"{', chosen before refit for another search than this' if other and refit else ''}"
    )
    return search | {name: chosen[name] for name in ("beam", "length_penalty")}


def predict(config: Config, material: Material, run: Path) -> None:
    """Answer every test clip that has features.

    Raises:
        ValueError: the run's model was trained on other features or other classes.
    """
    head, manifest = load_head(run)
    manifest.refuse_other_features(material.recipe, run)
    _refuse_other_answers(manifest, config, material, run)
    clips = material.clips("test")
    if not clips:
        raise ValueError("no test clip could be encoded; their reasons stand above")
    feats = Views(material.examples(clips, Room(config.training.memory)))
    search = asked(config, material, run, head, manifest)
    rows: list[dict[str, Any]] = []
    if isinstance(head, ActionHead):
        found = judged(head, manifest.labels, manifest.calibration, feats)
        for clip, (row_K, abstained) in zip(clips, found, strict=True):
            # Sorted as written: of what is equal there, the class that comes first is the answer.
            written = [float(f"{value:.6g}") for value in row_K]
            order = sorted(range(len(written)), key=lambda k: -written[k])
            ranked = [{"label": manifest.labels[k], "probability": written[k]} for k in order]
            said = {"label": clip.label, "abstained": abstained, "ranked": ranked}
            rows.append({"id": clip.id, "path": str(clip.path), **said})
    else:
        told = tell(head, manifest.vocabulary, feats, **search)
        for clip, one in zip(clips, told, strict=True):
            references = {"references": list(clip.captions)}
            rows.append({"id": clip.id, "path": str(clip.path), **one.to_json(), **references})
    write_jsonl(run / "predictions.jsonl", rows)
    if manifest.search != search:
        # Whoever describes with this run asks it as it was asked when it was scored.
        save_manifest(run, replace(manifest, search=search))
    say(f"predict: {len(rows)} test clips")


def _refuse_other_answers(
    manifest: Manifest, config: Config, material: Material, run: Path
) -> None:
    if manifest.task != config.head.task:
        raise ValueError(f"{run} holds a model for {manifest.task}s, the config asks for another")
    if manifest.task == "action" and manifest.labels != material.split.labels:
        extra = set(manifest.labels) ^ set(material.split.labels)
        raise ValueError(
            f"{run} was trained on other classes ({len(extra)} differ, e.g. "
            f"{sorted(extra)[:3]}); train again"
        )
