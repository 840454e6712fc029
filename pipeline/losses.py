"""What a classifier's answers cost, where classes count differently or a clip is of two.

Reads and writes nothing. Shapes: B clips, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def balanced(labels: Sequence[int], classes: int) -> Tensor:
    """Return weights_K by which every class counts as much as every other, 1 on average a clip.

    Inverse frequency, as scikit-learn's ``balanced``: clips / (classes * clips of the class). A
    class without a clip gets 0.
    """
    counts = Counter(labels)
    found = [counts[k] for k in range(classes)]
    there = sum(count > 0 for count in found)
    return torch.tensor([len(labels) / (there * count) if count else 0.0 for count in found])


def soft_cross_entropy(
    logits_BK: Tensor,
    targets_BK: Tensor,
    *,
    weights_K: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean cross-entropy of targets that may be shared between classes.

    The mean is weighted as torch does it for whole labels; for these it is the same number.
    """
    total = cross_entropy(
        logits_BK, targets_BK, weight=weights_K, label_smoothing=label_smoothing, reduction="sum"
    )
    return total / (len(targets_BK) if weights_K is None else (targets_BK @ weights_K).sum())
