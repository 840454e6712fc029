"""The action head: a clip's features in, one logit a class out.

Shapes: B clips, T frames, D features a frame, H values a state, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from reelscribe.decoders.cells import create_cell, frame_mask
from reelscribe.decoders.dropout import SequenceDropout
from reelscribe.decoders.familiar import Familiar
from reelscribe.decoders.scaling import create_norm

POOLS = ("attention", "mean", "max", "last")


class Pool(nn.Module):
    """States (B, T, H) in, one vector a clip (B, H) out.

    ``attention`` weighs the frames by a learned score (Raffel and Ellis 2016,
    https://arxiv.org/abs/1512.08756); ``mean`` and ``max`` are over a clip's own frames; ``last``
    is what each direction knows at its end: forward at the last frame, backward at the first.
    """

    def __init__(self, kind: str, *, width: int, directions: int = 1) -> None:
        super().__init__()
        if kind not in POOLS:
            near = get_close_matches(kind, POOLS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no pool {kind!r}; there are: {', '.join(POOLS)}{hint}")
        self.kind = kind
        self.directions = directions
        if kind == "attention":
            size = min(width, 256)
            self.score = nn.Sequential(
                nn.Linear(width, size), nn.Tanh(), nn.Linear(size, 1, bias=False)
            )

    def forward(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Return pooled_BH of the states where ``mask_BT`` is True."""
        if self.kind == "attention":
            return torch.einsum("bt,bth->bh", self.weights(states_BTH, mask_BT), states_BTH)
        if self.kind == "mean":
            summed_BH = states_BTH.masked_fill(~mask_BT[:, :, None], 0.0).sum(dim=1)
            return summed_BH / mask_BT.sum(dim=1, keepdim=True)
        if self.kind == "max":
            return states_BTH.masked_fill(~mask_BT[:, :, None], -torch.inf).amax(dim=1)
        ends_B = mask_BT.sum(dim=1) - 1
        last_BH = states_BTH[torch.arange(len(ends_B), device=ends_B.device), ends_B]
        if self.directions == 1:
            return last_BH
        half = states_BTH.shape[2] // 2
        return torch.cat((last_BH[:, :half], states_BTH[:, 0, half:]), dim=1)

    def weights(self, states_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Return weights_BT of the attention pool: they sum to 1 over a clip's own frames."""
        assert self.kind == "attention", self.kind
        scores_BT: Tensor = self.score(states_BTH).squeeze(2)
        return scores_BT.masked_fill(~mask_BT, -torch.inf).softmax(dim=1)


class ActionHead(nn.Module):
    """Normalise, read with a cell, pool over time, classify.

    With ``both_ways`` the second half of the classes are those of the first half backwards: a clip
    is then asked about as it is and reversed, and the mean of both is the answer, in training too.
    With ``thin`` and ``phases`` it is asked about so many times, at other moments each time.
    Features come in any width and scale, so they are normalised first (see scaling.py).
    With the cell ``none`` there is no memory to pool, so the pool is the mean whatever is asked,
    and the norm ``steps`` is ``motion``: a config goes from ``lstm`` to its baseline in one word.
    """

    def __init__(
        self,
        *,
        dim: int,
        classes: int,
        cell: str = "lstm",
        hidden: int = 512,
        layers: int = 1,
        bidirectional: bool = True,
        pool: str = "attention",
        dropout: float = 0.5,
        norm: str = "layer",
        thin: int = 0,
        both_ways: bool = False,
        variational: bool = False,
        phases: int = 1,
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"an action head tells 2 or more classes apart, got {classes}")
        if thin < 0:
            raise ValueError(f"thin is a number of frames, or 0 for all of them; got {thin}")
        if phases < 1 or (phases > 1 and not thin):
            raise ValueError(f"phases is at least 1, and more than 1 with thin alone; got {phases}")
        if both_ways and classes % 2:
            raise ValueError(
                f"both_ways needs as many classes forwards as backwards, got {classes} in all; it "
                "goes with data.reversed"
            )
        self.dim, self.classes, self.thin, self.both_ways = dim, classes, thin, both_ways
        self.phases = phases
        # Differences would be a memory of one frame: their mean is the last frame less the first.
        kind = "motion" if (norm, cell) == ("steps", "none") else norm
        self.norm = create_norm(kind, dim)
        self.dropout = nn.Dropout(dropout)
        self.drop_inputs = SequenceDropout(dropout) if variational else self.dropout
        self.cell = create_cell(
            cell,
            dim=self.norm.out_dim,
            hidden=hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            variational=variational,
        )
        width, directions = self.cell.out_dim, self.cell.directions
        asked = Pool(pool, width=width, directions=directions)
        self.pool = asked if self.cell.remembers else Pool("mean", width=width)
        self.classify = nn.Linear(width, classes)
        self.familiar = Familiar(dim, classes)

    def measure(self, feats: Iterable[Tensor]) -> None:
        """Look at the training clips, (T, D) each, before the training: what the norm must know."""
        self.norm.measure(feats)

    def pick(
        self, feats_BTD: Tensor, lengths_B: Tensor, within: float = 0.5
    ) -> tuple[Tensor, Tensor]:
        """Return ``thin`` frames of each clip, or all: one out of each of as many equal pieces.

        It is the middle one, or that after the share ``within`` of its piece, but while training a
        random one: the same clip at other moments. A clip of fewer frames is read whole.
        """
        most = int(lengths_B.max())
        if not self.thin or most <= self.thin:
            return feats_BTD, lengths_B
        counts_B = lengths_B.clamp_max(self.thin)
        shape = (len(feats_BTD), self.thin)
        within_BN = torch.rand(shape) if self.training else torch.full(shape, within)
        pieces_BN = (torch.arange(self.thin) + within_BN).to(feats_BTD.device)
        picks_BN = (pieces_BN * (lengths_B / counts_B)[:, None].to(pieces_BN)).long()
        # Clips that are not thinned have pieces of one frame.
        picks_BN = picks_BN.clamp_max(feats_BTD.shape[1] - 1)
        rows_B1 = torch.arange(len(feats_BTD), device=feats_BTD.device)[:, None]
        return feats_BTD[rows_B1, picks_BN], counts_B

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """Return logits_BK.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """
        frame_mask(feats_BTD, lengths_B, dim=self.dim)
        if self.training or self.phases == 1:
            return self._answer(*self.pick(feats_BTD, lengths_B))
        each = [
            self._answer(*self.pick(feats_BTD, lengths_B, (phase + 0.5) / self.phases))
            for phase in range(self.phases)
        ]
        # The mean of the probabilities.
        return torch.stack([logits_BK.log_softmax(1) for logits_BK in each]).logsumexp(0)

    def _answer(self, feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        logits_BK = self._read(feats_BTD, lengths_B)
        if self.both_ways:
            # Of a clip's reverse, "X backwards" says the same as "X" of the clip itself.
            back_BK = self._read(reverse(feats_BTD, lengths_B), lengths_B)
            swapped_BK = back_BK.roll(back_BK.shape[1] // 2, dims=1)
            logits_BK = (logits_BK.log_softmax(1) + swapped_BK.log_softmax(1)) / 2
        return logits_BK

    def _read(self, feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        mask_BT = frame_mask(feats_BTD, lengths_B, dim=self.dim)
        inputs_BTD = self.drop_inputs(self.norm(feats_BTD, mask_BT))
        states_BTH = self.cell(inputs_BTD, lengths_B)
        logits_BK: Tensor = self.classify(self.dropout(self.pool(states_BTH, mask_BT)))
        return logits_BK


def reverse(feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Return each clip's own frames from the last to the first; its padding stays behind them."""
    places_BT = torch.arange(feats_BTD.shape[1], device=feats_BTD.device).expand(
        feats_BTD.shape[:2]
    )
    ends_B1 = lengths_B.to(feats_BTD.device)[:, None]
    turned_BT = torch.where(places_BT < ends_B1, ends_B1 - 1 - places_BT, places_BT)
    return feats_BTD.gather(1, turned_BT[:, :, None].expand_as(feats_BTD))
