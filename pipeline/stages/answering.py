"""Answer: one trained head -> what it says of videos, whole or by segments.

Reads a run and the feature store; what the store lacks is encoded into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reelscribe.datasets.sampling import Sampling
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.side import with_category
from reelscribe.encoders.classifier import Classifier, find_classifier
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.checkpoint import Head, Manifest, load_head
from reelscribe.pipeline.config import CATEGORY, EncoderConfig, FramesConfig, parse_section
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.judging import judged
from reelscribe.pipeline.ready import ready_as
from reelscribe.pipeline.said import Ranking, Said
from reelscribe.pipeline.segments import Segmentation, Span, fixed, shots
from reelscribe.pipeline.stages.encode import (
    Encoding,
    Origin,
    Report,
    encode,
    origin,
    read_features,
)
from reelscribe.pipeline.telling import tell


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """A head, with the way to make the features that it was trained on."""

    head: Head
    manifest: Manifest
    origin: Origin
    place: Place
    by: str
    """Who answers, for records."""
    abstains: bool = True
    """Whether answers that are too unsure are held back."""
    objects: Classifier | None = None
    """The encoder's last layer, where its answer is asked for too."""

    @classmethod
    def load(cls, run: Path, place: Place, *, abstains: bool = True) -> Answerer:
        """Load a run, or a head that ships.

        Raises:
            ValueError: it holds no head, or its features cannot be made here.
        """
        head, manifest = load_head(run)
        made = made_for(manifest, run, place)
        by = ready_as(manifest) or str(run)
        return cls(head=head, manifest=manifest, origin=made, place=place, by=by, abstains=abstains)

    def with_objects(self) -> Answerer:
        """Return the same head, asked for objects too.

        Raises:
            ValueError: its encoder has no layer that names any; one line that says why.
        """
        if not isinstance(self.origin, Encoding):
            raise ValueError("its features were made elsewhere")
        found = find_classifier(self.origin.backbone, self.place.cache / "graphs")
        return replace(self, objects=found)

    def denser(self, segmentation: Segmentation) -> Origin:
        """Return how long videos are looked at: each segment as often as a clip in training."""
        made = self.origin
        if not isinstance(made, Encoding):
            return made
        if made.sampling.count is None:
            # A limit for a whole video would leave most segments without a frame.
            return replace(made, sampling=replace(made.sampling, at_most=None))
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

    def given(self, feats_TD: NDArray[np.float32]) -> Tensor:
        """Return features as the head takes them; nobody knows the category of a user's video."""
        tensor_TD = torch.from_numpy(np.ascontiguousarray(feats_TD))
        told = (self.manifest.head.get("side") or {}).get("kind") == CATEGORY
        return with_category(tensor_TD, None) if told else tensor_TD

    def say(self, feats: Sequence[NDArray[np.float32]]) -> list[Said]:
        """Return what the head says of each sequence of features (T, D)."""
        if not feats:
            return []
        tensors = [self.given(feats_TD) for feats_TD in feats]
        if isinstance(self.head, ActionHead):
            labels = self.manifest.labels
            found = judged(self.head, labels, self.manifest.calibration, tensors)
            said = [
                Said(
                    actions=Ranking(labels=labels, probability_K=row_K),
                    abstained=why if self.abstains else None,
                )
                for row_K, why in found
            ]
        else:
            told = tell(self.head, self.manifest.vocabulary, tensors, **self.manifest.search)
            said = [Said(caption=one.caption) for one in told]
        return [
            replace(one, objects=self._objects(feats_TD))
            for one, feats_TD in zip(said, feats, strict=True)
        ]

    def _objects(self, feats_TD: NDArray[np.float32]) -> Ranking | None:
        if self.objects is None:
            return None
        return Ranking(
            labels=self.objects.labels, probability_K=self.objects.probabilities(feats_TD)
        )


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
