"""Actions of clips by a trained head: how probable each is, and whether to say so at all.

Reads and writes nothing. N clips, K classes, T frames, D features a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.calibration import calibrate, softmax, why_not
from reelscribe.pipeline.loading import pad
from reelscribe.pipeline.tasks import Example, chunks
from reelscribe.pipeline.views import Views


@torch.inference_mode()
def logits(head: ActionHead, feats: Sequence[Tensor], *, batch: int = 64) -> NDArray[np.float64]:
    """Return each clip's logit of each class, (N, K)."""
    where = next(head.parameters()).device
    found = [
        head(*pad([feats[i] for i in numbers], where)).double().cpu().numpy()
        for numbers in chunks(len(feats), batch)
    ]
    return np.concatenate(found)


def probabilities(
    head: ActionHead, feats: Sequence[Tensor], *, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return each clip's probability of each class, (N, K)."""
    return softmax(logits(head, feats) / temperature)


def judged(
    head: ActionHead,
    labels: Sequence[str],
    calibration: Mapping[str, Any],
    feats: Sequence[Tensor],
) -> list[tuple[NDArray[np.float64], str | None]]:
    """Return of each clip the calibrated probability_K, and why nothing should be said of it."""
    found_NK = probabilities(head, feats, temperature=calibration["temperature"])
    with torch.inference_mode():
        likeness = head.familiar(feats).tolist()
    return [
        (row_K, why_not(calibration, labels[row_K.argmax()], float(row_K.max()), like))
        for row_K, like in zip(found_NK, likeness, strict=True)
    ]


def calibrated(head: ActionHead, clips: Sequence[Example]) -> dict[str, Any]:
    """Return what ``model.json`` keeps as ``calibration``, from the validation clips."""
    head.eval()
    feats = Views(clips)
    with torch.inference_mode():
        similarity = head.familiar(feats).tolist()
    return calibrate(logits(head, feats), [clip.label for clip in clips], similarity)
