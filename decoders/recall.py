"""What a caption head keeps of the clips it learnt from: where they lie, and what was said of them.

With few clips the captions of those that look alike are a better guess than what a network has
learnt to say. A clip's key is its mean frame minus that of all training clips, at length 1: CNN
features are all positive, so without the subtraction every clip is alike (cosines around .8).

Shapes: N training clips, Q questions, T frames, D features a frame, C bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Recall(nn.Module):
    """Keys and captions of the training clips, as buffers: they are saved with the head's numbers.

    Empty until :meth:`learn`; loading takes whatever sizes were saved.
    """

    mean: Tensor
    keys_ND: Tensor
    texts: Tensor
    """JSON in UTF-8: the captions of each clip, as tokens parted by spaces."""
    few: Tensor
    """How many of the nearest clips are asked."""
    width: Tensor
    """The cosine by which a clip's weight falls to 1 / e."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("keys_ND", torch.zeros(0, dim))
        self.register_buffer("texts", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("few", torch.tensor(10))
        self.register_buffer("width", torch.tensor(0.1))

    def learn(self, feats: Sequence[Tensor], captions: Sequence[Sequence[str]]) -> None:
        """Keep training clips, (T, D) each, with their captions."""
        means_ND = torch.stack([feats_TD.float().mean(0) for feats_TD in feats])
        raw = json.dumps([list(texts) for texts in captions], ensure_ascii=False).encode()
        self.mean = means_ND.mean(0).to(self.mean)
        self.keys_ND = self.keys(feats)
        self.texts = torch.frombuffer(bytearray(raw), dtype=torch.uint8).to(self.mean.device)

    def captions(self) -> list[list[str]]:
        """Return the captions of each training clip."""
        found: list[list[str]] = json.loads(bytes(self.texts.cpu().numpy()) or b"[]")
        return found

    def keys(self, feats: Sequence[Tensor]) -> Tensor:
        """Return keys_QD of clips, (T, D) each."""
        means_QD = torch.stack([feats_TD.float().mean(0).to(self.mean) for feats_TD in feats])
        return normalize(means_QD - self.mean, dim=1)

    def weights(self, cosines_QN: Tensor, few: int, width: float) -> Tensor:
        """Return weights_QN: a softmax over the ``few`` nearest clips, 0 for all others."""
        best_QK, which_QK = cosines_QN.topk(min(few, cosines_QN.shape[1]), dim=1)
        return torch.zeros_like(cosines_QN).scatter(1, which_QK, (best_QK / width).softmax(1))

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in ("keys_ND", "texts"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, saved.detach().clone().to(self.mean.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
