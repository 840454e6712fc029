"""Answer: one trained head -> what it says of videos, whole or by segments.

Reads a run and the feature store; what the store lacks is encoded into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reelscribe.datasets.sampling import Sampling
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.side import with_category
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.checkpoint import Head, Manifest, load_head
from reelscribe.pipeline.config import CATEGORY, EncoderConfig, FramesConfig, parse_section
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.segments import Segmentation, Span, fixed, shots
from reelscribe.pipeline.stages.encode import (
    Encoding,
    Origin,
    Report,
    encode,
    origin,
    read_features,
)
from reelscribe.pipeline.tasks import probabilities
from reelscribe.pipeline.telling import tell

Said = dict[str, Any]
"""``actions`` (label and probability, all classes) or ``caption``."""


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """A head, with the way to make the features that it was trained on."""

    head: Head
    manifest: Manifest
    origin: Origin
    place: Place

    @classmethod
    def load(cls, run: Path, place: Place) -> Answerer:
        """Load a run.

        Raises:
            ValueError: it holds no head, or its features cannot be made here.
        """
        head, manifest = load_head(run)
        made = made_for(manifest, run, place)
        return cls(head=head, manifest=manifest, origin=made, place=place)

    def denser(self, segmentation: Segmentation) -> Origin:
        """Return how long videos are looked at: each segment as often as a clip in training."""
        made = self.origin
        if not isinstance(made, Encoding) or made.sampling.count is None:
            return made
        fps = made.sampling.count / segmentation.seconds
        return replace(made, sampling=Sampling(fps=fps))

    def encode(
        self,
        videos: Sequence[Path],
        made: Origin,
        told: Callable[[Path, str | None], None] = lambda path, reason: None,
        heard: Callable[[str], None] = lambda text: None,
    ) -> Report:
        """Bring the features of videos into the store."""
        return encode(videos, made, self.place.runner, told=told, heard=heard)

    def read(self, video: Path, sha256: str, made: Origin) -> Features:
        """Read a video's features."""
        return read_features(FeatureStore(self.place.cache), video, sha256, made)

    def spans(self, features: Features, segmentation: Segmentation) -> list[Span]:
        """Return where a video is cut; one span where it is not."""
        duration = float(features.about["duration"])
        if segmentation.kind == "fixed" and segmentation.cuts(duration):
            return fixed(duration, segmentation.seconds)
        if segmentation.kind == "shots" and segmentation.cuts(duration):
            return shots(features.feats_TD, features.pts_T, duration)
        return [Span(start=0.0, end=duration)]

    def say(self, feats: Sequence[NDArray[np.float32]]) -> list[Said]:
        """Return what the head says of each sequence of features (T, D)."""
        if not feats:
            return []
        tensors = [torch.from_numpy(np.ascontiguousarray(feats_TD)) for feats_TD in feats]
        if isinstance(self.head, ActionHead):
            return [self._ranked(row_K) for row_K in probabilities(self.head, tensors)]
        if (self.manifest.head.get("side") or {}).get("kind") == CATEGORY:
            tensors = [with_category(feats_TD, None) for feats_TD in tensors]
        said = tell(self.head, self.manifest.vocabulary, tensors, **self.manifest.search)
        return [{"actions": [], "caption": one.caption} for one in said]

    def _ranked(self, row_K: NDArray[np.float64]) -> Said:
        labels = self.manifest.labels
        ranked = [
            {"label": labels[k], "probability": float(row_K[k])} for k in row_K.argsort()[::-1]
        ]
        return {"actions": ranked, "caption": None}


def made_for(manifest: Manifest, run: Path, place: Place) -> Origin:
    """Return where features come from that a head was trained on.

    Raises:
        ValueError: they cannot be made here.
    """
    frames: FramesConfig = parse_section(FramesConfig, manifest.frames, where=str(run))
    encoder: EncoderConfig = parse_section(EncoderConfig, manifest.encoder, where=str(run))
    made = origin(frames, encoder, place.cache)
    manifest.refuse_other_features(made.recipe, run)
    return made


def merged(answers: Sequence[Mapping[str, Any]], top: int | None) -> Said:
    """Put the answers of an action head and a caption head about one thing together.

    Args:
        answers: one a head.
        top: how many actions are kept, and rounded; None for all, exactly.
    """
    said: Said = {"actions": [], "caption": None}
    for answer in answers:
        digits = 4 if top is not None else 17
        said["actions"] = said["actions"] or [
            {**action, "probability": round(action["probability"], digits)}
            for action in answer["actions"][:top]
        ]
        said["caption"] = said["caption"] or answer["caption"]
    return said
