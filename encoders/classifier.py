"""The network's own last layer: which of ImageNet's classes its features show, with no training.

Reads weights and a folder of graphs, where it keeps the layer once it was found and checked: after
that neither torch nor timm is imported. ImageNet: Russakovsky et al. 2015,
https://arxiv.org/abs/1409.0575.

T frames, C channels, D features a frame, K classes, N cells a side.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.encoders.backbone import POOLS, Backbone, write_graph_file

if TYPE_CHECKING:
    from torch import Tensor, nn

VERSION = 1
"""Raised by hand when the same weights would now give another layer or other names."""

TOLERANCE = 1e-4
"""The largest difference from the network's own logits, over the largest of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """A linear layer behind pooled features."""

    weight_KC: NDArray[np.float32]
    bias_K: NDArray[np.float32]
    labels: tuple[str, ...]
    exact: bool = True
    """Whether the mean of the cells is the network's own pooling; see :meth:`probabilities`."""
    pool: str = "avg"
    """How the features were pooled, that are given."""

    def probabilities(self, feats_TD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probability_K of each class, the mean over the frames.

        Features of N x N cells are averaged over the cells first. That is the network's own pooling
        where N divides the sides of its map; elsewhere cells overlap, the rows and columns that two
        of them share count twice, and the first name is another for one clip in five (lite0).
        """
        width = self.weight_KC.shape[1]
        if self.pool == "avgmax":
            feats_TD = feats_TD[:, :width]
        pooled_TC = feats_TD.reshape(len(feats_TD), -1, width).mean(axis=1)
        logits_TK = (pooled_TC @ self.weight_KC.T + self.bias_K).astype(np.float64)
        powers_TK = np.exp(logits_TK - logits_TK.max(axis=1, keepdims=True))
        mean_K: NDArray[np.float64] = (powers_TK / powers_TK.sum(axis=1, keepdims=True)).mean(0)
        return mean_K


def find_classifier(backbone: Backbone, graphs: Path) -> Classifier:
    """Return the last layer of a backbone, from ``graphs`` or from its weights.

    Raises:
        ValueError: it has none, or none whose classes have names; one line that says why.
    """
    # Whether cells share rows of the map depends on the size too.
    stem = f"{backbone.name}-{backbone.weights_sha256[:16]}-{backbone.pool}-{backbone.size}px"
    path = graphs / f"{stem}-classes-v{VERSION}.safetensors"
    found = _read(path, backbone.pool)
    if found is None:
        found = _make(backbone)
        _keep(path, found)
    return found


def _read(path: Path, pool: str) -> Classifier | None:
    from safetensors import SafetensorError, safe_open

    with suppress(OSError, SafetensorError, ValueError, KeyError), safe_open(path, "np") as file:
        about = json.loads(file.metadata()["about"])
        weight_KC, bias_K = file.get_tensor("weight"), file.get_tensor("bias")
        labels, exact = tuple(about["labels"]), bool(about["exact"])
        return Classifier(weight_KC=weight_KC, bias_K=bias_K, labels=labels, exact=exact, pool=pool)
    return None


def _keep(path: Path, found: Classifier) -> None:
    from safetensors.numpy import save

    tensors = {"weight": found.weight_KC, "bias": found.bias_K}
    about = json.dumps({"labels": found.labels, "exact": found.exact})
    write_graph_file(path, save(tensors, metadata={"about": about}))


def _make(backbone: Backbone) -> Classifier:
    """Take the layer out of timm's network, and check that our features are what it reads."""
    import torch
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    from reelscribe.encoders.network import load_whole

    model = load_whole(backbone.name, backbone.weights)
    layer = model.get_classifier()
    if not isinstance(layer, torch.nn.Linear):
        raise ValueError(f"{backbone.name} ends in {type(layer).__name__}, not in one linear layer")
    subset = infer_imagenet_subset(model)
    if subset is None:
        raise ValueError(f"the {layer.out_features} classes of {backbone.name} have no known names")
    sides = _check(model, layer, backbone)
    weight, bias = layer.weight.detach().float(), layer.bias
    return Classifier(
        weight_KC=weight.numpy(),
        bias_K=np.zeros(len(weight), np.float32) if bias is None else bias.detach().float().numpy(),
        labels=_names(ImageNetInfo(subset), layer.out_features),
        exact=all(side % POOLS[backbone.pool] == 0 for side in sides),
        pool=backbone.pool,
    )


def _check(model: Any, layer: nn.Module, backbone: Backbone) -> tuple[int, ...]:
    """Refuse networks that do more between pooling and the last layer than our features know.

    Return the sides of the map that is pooled; nothing where it is none.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, backbone.size, backbone.size)
    with torch.inference_mode():
        maps = model.forward_features(torch.randn(shape, generator=generator))
        own_BK = model.forward_head(maps)
        pooled: Tensor = model.forward_head(maps, pre_logits=True)
        if POOLS[backbone.pool] > 1:
            pooled = maps.mean((2, 3))
        worst = float((layer(pooled.flatten(1)) - own_BK).abs().max() / own_BK.abs().max())
    if not worst < TOLERANCE:
        raise ValueError(
            f"{backbone.name} does more between pool {backbone.pool} and its last layer than "
            f"features hold (logits off by {worst:.1e} of the largest)"
        )
    return tuple(maps.shape[2:]) if maps.ndim == 4 else ()


def _names(info: Any, classes: int) -> tuple[str, ...]:
    """Return each class's first name; where classes share it, with what tells them apart."""
    full = [str(info.index_to_description(k, detailed=True)) for k in range(classes)]
    first = [text.partition(":")[0].partition(",")[0].strip() for text in full]
    shared = {name for name, times in Counter(first).items() if times > 1}
    return tuple(
        f"{name} ({text.partition(': ')[2].partition(';')[0]})" if name in shared else name
        for name, text in zip(first, full, strict=True)
    )
