"""Seeing: what a described video's heads looked at, and what their memory did, frame by frame.

Reads features out of the store; writes nothing. It is the lens without what takes long: no
gradients, and clips of one length go through a head together.

Shapes: N sequences of one length, T frames, D features a frame, H values a state, L words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.cells import Recurrent
from reelscribe.decoders.lens import trace
from reelscribe.decoders.vocabulary import END, UNKNOWN
from reelscribe.pipeline.report.video import Look, Reading, Words
from reelscribe.pipeline.segments import Segmentation, Span
from reelscribe.pipeline.stages.answering import Answerer

TOGETHER = 128
"""Sequences that go through a head at once."""


@dataclass(kw_only=True)
class _Part:
    """One span of one video, as one head read it."""

    sha256: str
    feats_TD: NDArray[np.float32]
    pts_T: NDArray[np.float64]
    caption: str | None
    looks: list[Look] = field(default_factory=list)


def see(
    heads: Sequence[Answerer],
    videos: Mapping[str, Path],
    records: Mapping[str, Mapping[str, Any]],
    segmentation: Segmentation,
) -> dict[str, list[Look]]:
    """Return what each head saw in each video, its segments one after the other.

    Args:
        heads: those that described the videos.
        videos: sha256 -> a file with that content.
        records: sha256 -> what was said of it, with its segments.
        segmentation: how long videos were cut.
    """
    found: dict[str, list[Look]] = {sha256: [] for sha256 in videos}
    for head in heads:
        parts = [
            part
            for sha256, video in videos.items()
            for part in _parts(head, sha256, video, records[sha256], segmentation)
        ]
        by_length: defaultdict[int, list[_Part]] = defaultdict(list)
        for part in parts:
            by_length[len(part.feats_TD)].append(part)
        for alike in by_length.values():
            for first in range(0, len(alike), TOGETHER):
                _look(head, alike[first : first + TOGETHER])
        for part in parts:
            found[part.sha256] += part.looks
    return found


def _parts(
    head: Answerer,
    sha256: str,
    video: Path,
    record: Mapping[str, Any],
    segmentation: Segmentation,
) -> list[_Part]:
    # The record's length is rounded; what was cut shows in its segments.
    cut = len(record["segments"]) > 1 or segmentation.cuts(record["duration"])
    features = head.read(video, sha256, head.denser(segmentation) if cut else head.origin)
    parts = []
    for one in record["segments"]:
        span = Span(start=one["start"], end=one["end"])
        rows = span.frames(features.pts_T) if cut else np.arange(len(features.pts_T))
        parts.append(
            _Part(
                sha256=sha256,
                feats_TD=features.feats_TD[rows],
                pts_T=features.pts_T[rows],
                caption=one["caption"],
            )
        )
    return parts


@torch.inference_mode()
def _look(answerer: Answerer, parts: Sequence[_Part]) -> None:
    """Let a head look at sequences of one length."""
    feats_NTD = torch.stack([answerer.given(part.feats_TD) for part in parts])
    pts_NT = torch.from_numpy(np.stack([part.pts_T for part in parts]))
    head = answerer.head
    if isinstance(head, ActionHead):
        _actions(head, feats_NTD, pts_NT, parts)
    elif isinstance(head, CaptionHead) and head.reader.remembers:
        _captions(head, answerer, feats_NTD, pts_NT, parts)


def _actions(head: ActionHead, feats_NTD: Tensor, pts_NT: Tensor, parts: Sequence[_Part]) -> None:
    lengths_N = torch.full((len(parts),), feats_NTD.shape[1])
    # Times go along as one more feature: a head may read fewer frames than there are.
    timed_NTD = torch.cat((feats_NTD, pts_NT[:, :, None].float()), dim=2)
    timed_NTD, lengths_N = head.pick(timed_NTD, lengths_N)
    times_NT = timed_NTD[:, :, -1]
    mask_NT = torch.ones(times_NT.shape, dtype=torch.bool)
    inputs_NTD = head.norm(timed_NTD[:, :, :-1], mask_NT)
    weights_NT = None
    if head.pool.kind == "attention":
        weights_NT = head.pool.weights(head.cell(inputs_NTD, lengths_N), mask_NT)
    cell = head.cell
    traces = trace(cell, inputs_NTD.transpose(0, 1)) if isinstance(cell, Recurrent) else []
    for n, part in enumerate(parts):
        readings = [
            Reading(
                layer=one.layer,
                backwards=one.backwards,
                gates={name: _list(gate[:, n].mean(1)) for name, gate in one.gates.items()},
                # The state of a network without a memory beside it is its memory.
                norm=_list(
                    (one.state_TH if one.cell_TH is None else one.cell_TH)[:, n].norm(dim=1)
                ),
            )
            for one in traces
        ]
        weights = None if weights_NT is None else _list(weights_NT[n])
        part.looks.append(
            Look(task="action", times=_list(times_NT[n]), attention=weights, readings=readings)
        )


def _captions(
    head: CaptionHead,
    answerer: Answerer,
    feats_NTD: Tensor,
    pts_NT: Tensor,
    parts: Sequence[_Part],
) -> None:
    """Let the head write again what was said, and keep where it looked at each word."""
    vocabulary = answerer.manifest.vocabulary
    said = [vocabulary.encode(part.caption or "", 99) for part in parts]
    most = max(len(words) for words in said)
    words_NL = torch.tensor([words + [END] * (most - len(words)) for words in said])
    state = head.begin(feats_NTD, torch.full((len(parts),), feats_NTD.shape[1]))
    looked = []
    for place in range(most - 1):
        _, state, attention_NT = head.step(words_NL[:, place], state)
        looked.append(attention_NT)
    for n, (part, ids) in enumerate(zip(parts, said, strict=True)):
        # What the head does not know, others said (consensus): it never looked for that.
        if not part.caption or UNKNOWN in ids:
            continue
        words = [vocabulary.words[i] for i in ids[1:-1]]
        weights = [_list(looked[place][n]) for place in range(len(words))]
        part.looks.append(
            Look(
                task="caption",
                times=_list(pts_NT[n]),
                words=Words(words=words, attention=weights),
            )
        )


def _list(values_T: Tensor) -> list[float]:
    return [round(value, 4) for value in values_T.tolist()]
