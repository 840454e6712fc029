"""Choosing captions by consensus: the one that people would have said of the clips that look alike.

Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image Captioning",
https://arxiv.org/abs/1505.04467: of the captions of the nearest training clips, the one with the
highest mean CIDEr-D against all of them. Here a nearer clip weighs more, and the head's own
hypotheses are candidates too. Reads and writes nothing.

Letters: Q clips asked about, N training clips, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reelscribe.decoders.recall import Recall
from reelscribe.pipeline.metrics.cider import CiderD

FEW = (3, 5, 10, 20, 50)
WIDTHS = (0.02, 0.05, 0.1, 0.2)
"""What :func:`tune` tries."""

NEAREST = 10
"""Of how many of the nearest clips the captions are candidates."""

ASKED = 100
"""Training clips, evenly spread, that :func:`tune` leaves out in turn."""


class Consensus:
    """The training captions made ready; :meth:`choose` may be called any number of times."""

    def __init__(self, recall: Recall) -> None:
        self.recall = recall
        self.texts = recall.captions()
        self.cider = CiderD([[text.split() for text in texts] for texts in self.texts])

    def choose(
        self, feats: Sequence[Tensor], hypotheses: Sequence[Sequence[str]]
    ) -> list[tuple[str, float]]:
        """Return each clip's caption and its agreement: the weighted mean CIDEr-D.

        Args:
            feats: of each clip, (T, D).
            hypotheses: what the head would say of each clip, as tokens parted by spaces; none is
                fine.
        """
        recall = self.recall
        cosines_QN = recall.keys(feats) @ recall.keys_ND.T
        weights_QN = recall.weights(cosines_QN, int(recall.few), float(recall.width)).cpu()
        rows = zip(weights_QN, hypotheses, strict=True)
        return [self.best(row_N, own, {}) for row_N, own in rows]

    def best(
        self, weights_N: Tensor, own: Sequence[str], known: dict[tuple[str, int], float]
    ) -> tuple[str, float]:
        """Return one clip's caption and its agreement; ``known`` keeps what was scored."""
        near = weights_N.argsort(descending=True, stable=True)[
            : int((weights_N > 0).sum())
        ].tolist()
        said = {text for n in near[:NEAREST] for text in self.texts[n]}
        candidates = sorted({*own, *said})
        pairs = [(text, n) for n in near for text in candidates if (text, n) not in known]
        scores = self.cider.score([text.split() for text, _ in pairs], [n for _, n in pairs])
        known.update(zip(pairs, scores.tolist(), strict=True))
        table_NK = np.array([[known[text, n] for text in candidates] for n in near])
        agreed_K = weights_N[near].double().numpy() @ table_NK
        best = int(agreed_K.argmax())
        return candidates[best], float(agreed_K[best])


def tune(recall: Recall, groups: Sequence[str]) -> float:
    """Set how many clips are asked and how their weights fall; return the CIDEr-D it was set by.

    Each training clip is described by the others in turn, those of its own group left out, and
    every combination of FEW and WIDTHS is tried: no validation or test clip decides it.

    Args:
        recall: with its training clips.
        groups: the group of each clip.
    """
    consensus = Consensus(recall)
    count = len(consensus.texts)
    asked = list(range(0, count, -(-count // ASKED)))
    cosines_QN = recall.keys_ND[asked] @ recall.keys_ND.T
    same_QN = torch.tensor([[groups[q] == other for other in groups] for q in asked])
    cosines_QN = cosines_QN.masked_fill(same_QN.to(cosines_QN.device), -torch.inf)
    if bool(same_QN.all(dim=1).any()):
        return 0.0  # A group that is all there is has no others to be described by.
    found = []
    known: list[dict[tuple[str, int], float]] = [{} for _ in asked]
    for few in FEW:
        for width in WIDTHS:
            weights_QN = recall.weights(cosines_QN, few, width).cpu()
            rows = zip(weights_QN, known, strict=True)
            said = [consensus.best(row_N, (), kept)[0].split() for row_N, kept in rows]
            found.append((float(consensus.cider.score(said, asked).mean()), few, width))
    # Of equal scores the one that asks more clips: the surer answer.
    score, few, width = max(found)
    recall.few.fill_(few)
    recall.width.fill_(width)
    return score
