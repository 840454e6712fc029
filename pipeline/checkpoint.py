"""Heads on disk: ``model.safetensors`` (numbers) and ``model.json`` (all else a head needs).

No file of either kind holds code. ``model.json``: version, task, dim, head settings, labels or
vocabulary, the recipe of the features the head was fed, and what it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from reelscribe.decoders import HEADS
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.calibration import HELD_BACK
from reelscribe.pipeline.files import read_json, write_json, write_whole
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.names import resolve
from reelscribe.pipeline.recipe import Recipe, differences

VERSION = 2

LEARNT = "learnt.json"
"""Which videos a head has learnt from, or was chosen by."""

_KINDS = {"str": str, "int": int, "Mapping": dict, "tuple": list}
"""What the fields of a manifest are in JSON."""

Head = ActionHead | Teller


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What ``model.json`` says."""

    task: str
    """``action`` or ``caption``."""
    dim: int
    """Width of the features."""
    head: Mapping[str, Any]
    """Keyword arguments of the head's class, beside ``dim`` and the sizes of its answers."""
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """The vocabulary, specials included."""
    recipe: Mapping[str, Any]
    """The recipe of the features."""
    frames: Mapping[str, Any]
    """The config's ``frames`` and ``encoder`` sections: how to make such features again."""
    encoder: Mapping[str, Any]
    search: Mapping[str, Any]
    """For captions: ``max_words``, ``beam``, ``length_penalty``, ``no_repeat``."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """For actions: temperature, thresholds, and how they were found (see calibration.py)."""
    trained: Mapping[str, Any]
    """Dataset, split, seed, best epoch and its validation score."""
    numbers: str = ""
    """The sha256 of ``model.safetensors``; :func:`save_head` fills it in."""
    version: int = VERSION

    @property
    def trim(self) -> float:
        """Seconds that were left out at both ends of each clip: ``data.trim``."""
        return float(self.trained.get("trim", 0.0))

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of a caption head."""
        return Vocabulary(words=self.words)

    def build(self) -> Head:
        """Return the head with fresh numbers."""
        make = resolve(HEADS, self.task, "head")
        sizes = (
            {"words": len(self.words)} if self.task == "caption" else {"classes": len(self.labels)}
        )
        head: Head = make(dim=self.dim, **sizes, **self.head)
        return head

    def refuse_other_features(self, recipe: Recipe, run: Path) -> None:
        """Raise where features of ``recipe`` are not what this head was trained on.

        Raises:
            ValueError: says how the recipes differ.
        """
        how = differences(self.recipe, recipe.settings)
        if how:
            raise ValueError(
                f"{run} was trained on other features ({'; '.join(how)}); "
                "set these as they were, or train again"
            )


def save_head(run: Path, head: nn.Module, manifest: Manifest) -> None:
    """Write both files. ``model.json`` comes last: a run with it has a whole model.

    It holds the hash of the other, so that two halves of two trainings are never taken for one.
    """
    save_numbers(run, head.state_dict(), manifest)


def save_numbers(run: Path, tensors: Mapping[str, Tensor], manifest: Manifest) -> None:
    """Write both files of a head that is given as its numbers, in the precision that they have.

    Reading turns them into single precision again: what was stored in 16 bits stays rounded.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    numbers = save(state, {"words": _digest(manifest.words)})
    write_whole(run / "model.safetensors", numbers)
    write_json(run / "model.json", asdict(replace(manifest, numbers=sha256(numbers).hexdigest())))


def save_manifest(run: Path, manifest: Manifest) -> None:
    """Write ``model.json`` again, for numbers that stay as they are."""
    write_json(run / "model.json", asdict(manifest))


def save_learnt(run: Path, contents: Iterable[str]) -> None:
    """Write ``learnt.json``: the sha256 of each video that was learnt from or chosen by.

    It names the numbers of the model that it is about: a list of another training is no list.
    """
    videos = sorted(set(contents))
    write_json(run / LEARNT, {"numbers": read_manifest(run).numbers, "videos": videos})


def learnt_from(run: Path) -> frozenset[str] | None:
    """Return what :func:`save_learnt` wrote of this model, None where nothing did."""
    path = run / LEARNT
    try:
        found = read_json(path) if path.is_file() else None
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("numbers") != read_manifest(run).numbers:
        return None
    videos = found.get("videos")
    return frozenset(map(str, videos)) if isinstance(videos, list) else None


def is_whole(run: Path) -> bool:
    """Say whether both files are there, readable, and belong together."""
    try:
        return read_manifest(run).numbers == hash_file(run / "model.safetensors")
    except (ValueError, OSError):
        return False


def read_manifest(run: Path) -> Manifest:
    """Read ``model.json``.

    Raises:
        ValueError: there is none, or it is not one of ours.
    """
    path = run / "model.json"
    if not path.is_file():
        raise ValueError(f"{run} holds no trained model (no {path.name}); train it first")
    values = read_json(path)
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise ValueError(f"{path} is not a model of this version ({VERSION}); train it again")
    for name, about in Manifest.__dataclass_fields__.items():
        kind = str(about.type).partition("[")[0]
        if not isinstance(values.get(name), _KINDS[kind]):
            raise ValueError(f"{path} is damaged: {name!r} is missing or no {kind}; train again")
    judged = [values["calibration"].get(name) for name in ("temperature", *HELD_BACK)]
    if values["task"] == "action" and not all(isinstance(one, float) for one in judged):
        raise ValueError(f"{path} is damaged: 'calibration' has not all its numbers; train again")
    known: dict[str, Any] = {name: values[name] for name in Manifest.__dataclass_fields__}
    lists = {name: tuple(values[name]) for name in ("labels", "words")}
    return Manifest(**{**known, **lists})


def load_head(run: Path) -> tuple[Head, Manifest]:
    """Return a trained head, ready to answer, and its manifest.

    Raises:
        ValueError: the files are missing or damaged, or do not belong together.
    """
    manifest = read_manifest(run)
    path = run / "model.safetensors"
    try:
        numbers = path.read_bytes()
        if sha256(numbers).hexdigest() != manifest.numbers:
            raise ValueError("its sha256 is another")
        if _words_of(numbers) not in (None, _digest(manifest.words)):
            raise ValueError("it was trained with other words, or in another order")
        head = manifest.build()
        head.load_state_dict(load(numbers))
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or not what model.json describes "
            f"({' '.join(str(error).split())[:160]}); train again"
        ) from None
    return head.eval(), manifest


def _digest(words: tuple[str, ...]) -> str:
    return sha256(json.dumps(words).encode()).hexdigest()


def _words_of(numbers: bytes) -> str | None:
    """Return the digest of the vocabulary that a safetensors file was saved with, if it says so.

    A row of numbers does not know its word: the words of another run of the same size would fit.
    """
    size = int.from_bytes(numbers[:8], "little")
    told = json.loads(numbers[8 : 8 + size]).get("__metadata__") or {}
    return told.get("words")
