"""What a caption head is given from elsewhere: word vectors, categories, a trained action head.

Reads the files that ``head.vectors`` and ``head.side`` name; writes nothing. Word vectors are where
the training starts from; an action head goes into the caption head as it is, so that a run needs
nothing but itself to describe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.side import WithActions
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vectors import fill, read_vectors
from reelscribe.decoders.vocabulary import SPECIALS, Vocabulary
from reelscribe.pipeline.checkpoint import (
    LEARNT,
    Manifest,
    learnt_from,
    load_head,
    read_manifest,
)
from reelscribe.pipeline.config import CATEGORY, CaptionConfig, Config
from reelscribe.pipeline.index import hash_file
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.progress import say

BESIDE = ("vectors", "side")
"""Settings of the caption head that name something outside the config."""


def contents(config: Config) -> dict[str, Any]:
    """Return the sha256 of what the head is given from elsewhere, whatever it is called."""
    head = config.head
    found: dict[str, Any] = {}
    if isinstance(head, CaptionConfig) and head.vectors is not None:
        found["vectors"] = hash_file(head.vectors)
    if isinstance(head, CaptionConfig) and head.side not in (None, CATEGORY):
        # The same numbers answer otherwise with other settings: phases, for example.
        settings = dict(read_manifest(Path(head.side)).head)
        found["side"] = [hash_file(Path(head.side) / "model.safetensors"), settings]
    return found


def refuse_known(config: Config, material: Material) -> None:
    """Refuse an action run that has learnt from a video which the captions are tested on.

    Its answers would be better there than on any new video, and the captions' score with them.
    Videos are compared by their bytes (by those of their features, where others made these).

    Raises:
        ValueError: it has.
    """
    head = config.head
    if not isinstance(head, CaptionConfig) or head.side in (None, CATEGORY):
        return
    learnt = learnt_from(Path(head.side))
    if learnt is None:
        say(
            f"head.side {head.side} says not what it has learnt from ({LEARNT} is lacking or of "
            "another training); `reelscribe train` on its config writes that down"
        )
        return
    known = [c.id for c in material.clips("test") if material.contents[c.path] in learnt]
    if known:
        raise ValueError(
            f"head.side {head.side} has learnt from {len(known)} test clips, first {known[0]}; "
            "train it on this split's training clips alone"
        )


def build_teller(
    config: CaptionConfig, shared: dict[str, Any], vocabulary: Vocabulary, material: Material
) -> Teller:
    """Return a fresh caption head with all it is given; add to ``shared`` what its manifest holds.

    Raises:
        ValueError: the vectors are damaged or of another width, or the action run does not fit.
    """
    actions = None
    if config.side == CATEGORY:
        shared["head"] |= {"side": {"kind": CATEGORY}}
    elif config.side is not None:
        actions, manifest = _actions(Path(config.side), material)
        side = {"kind": "action", "classes": len(manifest.labels), "head": dict(manifest.head)}
        shared["head"] |= {"side": side}
    teller = Manifest(**shared).build()
    assert isinstance(teller, Teller)
    if actions is not None:
        assert isinstance(teller.norm, WithActions)
        teller.norm.head.load_state_dict(actions.state_dict())
    if config.vectors is not None:
        number = {word: i for i, word in enumerate(vocabulary.words) if i >= len(SPECIALS)}
        _start_from(teller, config.vectors, number)
    return teller


def _actions(run: Path, material: Material) -> tuple[ActionHead, Manifest]:
    head, manifest = load_head(run)
    if not isinstance(head, ActionHead):
        raise ValueError(f"head.side {run} holds a model for {manifest.task}s; give an action run")
    manifest.refuse_other_features(material.recipe, run)
    return head, manifest


def _start_from(teller: Teller, path: Path, number: Mapping[str, int]) -> None:
    vectors = read_vectors(path, number, teller.embed.embedding_dim)
    if not vectors:
        raise ValueError(
            f"{path} has none of the {len(number):,} words of the training captions; "
            "is it of their language, and in lower case?"
        )
    fill(teller.embed.weight, number, vectors)
    say(f"vectors: {len(vectors):,} of {len(number):,} words of the vocabulary are in {path}")
