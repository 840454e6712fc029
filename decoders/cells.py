"""Cells read a clip's features one after the other; pools make one vector of what they saw.

Whatever the cell, a clip's states never depend on its padding nor on the clips beside it.

Shapes: B clips, T frames, D features a frame, H values a state (both directions together).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from reelscribe.decoders import CELLS
from reelscribe.decoders.attention import layer_settings, sinusoids
from reelscribe.decoders.dropout import SequenceDropout


def create_cell(
    name: str,
    *,
    dim: int,
    hidden: int,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    variational: bool = False,
) -> Cell:
    """Build the cell that a config calls ``name``; ``variational`` is about dropout (dropout.py).

    Raises:
        ValueError: no cell has that name, or a size makes no sense.
    """
    if name not in CELLS:
        raise ValueError(f"no cell {name!r}; there are: {', '.join(CELLS)}{_guess(name, CELLS)}")
    module, _, attribute = CELLS[name].partition(":")
    cell: Cell = getattr(import_module(module), attribute)(
        dim=dim,
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
        variational=variational,
    )
    return cell


def frame_mask(feats_BTD: Tensor, lengths_B: Tensor, *, dim: int) -> Tensor:
    """Return mask_BT, True on the frames that a clip has and False on its padding.

    Raises:
        ValueError: the features are not (B, T, ``dim``), or a length is not within 1 to T.
    """
    if feats_BTD.ndim != 3 or feats_BTD.shape[2] != dim:
        raise ValueError(
            f"expected features (clips, frames, {dim}), got {tuple(feats_BTD.shape)}; "
            "a head reads the features that it was trained on"
        )
    clips, frames = feats_BTD.shape[:2]
    if lengths_B.shape != (clips,) or lengths_B.is_floating_point():
        raise ValueError(
            f"expected {clips} whole numbers of frames, one a clip, "
            f"got {lengths_B.dtype} {tuple(lengths_B.shape)}"
        )
    if not bool(((lengths_B >= 1) & (lengths_B <= frames)).all()):
        raise ValueError(
            f"every clip must have 1 to {frames} frames, got lengths {lengths_B.tolist()}"
        )
    places_T = torch.arange(frames, device=feats_BTD.device)
    return places_T < lengths_B.to(feats_BTD.device)[:, None]


class Cell(nn.Module, ABC):
    """Features (B, T, D) in, states (B, T, H) out; a state beyond its clip's length is zero."""

    remembers: ClassVar[bool] = True
    """False where a state knows its own frame alone."""

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("hidden", hidden), ("layers", layers)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        self.dim = dim
        self.out_dim = hidden
        self.directions = 1

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """Read each clip's first ``lengths_B`` frames into states_BTH.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """
        mask_BT = frame_mask(feats_BTD, lengths_B, dim=self.dim)
        # Filled first: nothing in the padding, not even a NaN, can reach a state.
        feats_BTD = feats_BTD.masked_fill(~mask_BT[:, :, None], 0.0)
        states_BTH = self.read(feats_BTD, mask_BT)
        return states_BTH.masked_fill(~mask_BT[:, :, None], 0.0)

    @abstractmethod
    def read(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return states_BTH; what lies beyond the mask is not looked at."""


class Recurrent(Cell):
    """One of torch's fused recurrent networks, over packed sequences."""

    network: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, hidden=hidden, layers=layers, bidirectional=bidirectional, dropout=dropout
        )
        self.directions = 2 if bidirectional else 1
        self.out_dim = hidden * self.directions
        # torch has plain dropout alone between its layers; for the other kind they stand apart.
        apart = layers if variational else 1
        self.net, *above = (
            self.network(
                dim if k == 0 else self.out_dim,
                hidden,
                num_layers=layers // apart,
                batch_first=True,
                bidirectional=bidirectional,
                # torch warns where there is nothing between.
                dropout=dropout if layers > apart else 0.0,
            )
            for k in range(apart)
        )
        self.above = nn.ModuleList(above)
        self.between = SequenceDropout(dropout)
        for net in self.nets:
            init_recurrent(net, hidden)

    @property
    def nets(self) -> tuple[nn.RNNBase, ...]:
        """The network, or one for each layer, the one that reads the features first."""
        return (self.net, *self.above)

    def read(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return states_BTH: the forward states, then the backward states."""
        lengths_B, frames = mask_BT.sum(dim=1).cpu(), feats_BTD.shape[1]
        states_BTH = feats_BTD
        for k, net in enumerate(self.nets):
            inputs_BTD = self.between(states_BTH) if k else feats_BTD
            packed = pack_padded_sequence(
                inputs_BTD, lengths_B, batch_first=True, enforce_sorted=False
            )
            states_BTH, _ = pad_packed_sequence(
                net(packed)[0], batch_first=True, total_length=frames
            )
        return states_BTH


class RNN(Recurrent):
    """Elman's simple recurrent network, tanh: https://doi.org/10.1207/s15516709cog1402_1."""

    network = nn.RNN


class LSTM(Recurrent):
    """Long short-term memory: https://doi.org/10.1162/neco.1997.9.8.1735."""

    network = nn.LSTM


class GRU(Recurrent):
    """Gated recurrent units: https://arxiv.org/abs/1406.1078."""

    network = nn.GRU


def init_recurrent(net: nn.Module, hidden: int) -> None:
    """Start a recurrent network or a single cell of torch's, gate by gate.

    Recurrent weights are orthogonal (Saxe et al. 2014, https://arxiv.org/abs/1312.6120), biases
    zero, but for the LSTM's forget gate: that is 1, so that a new network remembers (Jozefowicz
    et al. 2015, https://proceedings.mlr.press/v37/jozefowicz15.html).
    """
    for name, parameter in net.named_parameters():
        if name.startswith("weight"):
            fill = nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_
            for gate in torch.split(parameter.data, hidden):
                fill(gate)
        else:
            parameter.data.zero_()
        # torch adds two biases: the 1 is in one of them. The gates' order is input, forget, ...
        if isinstance(net, nn.LSTM | nn.LSTMCell) and name.startswith("bias_ih"):
            parameter.data[hidden : 2 * hidden] = 1.0


class Transformer(Cell):
    """Self-attention over the frames: https://arxiv.org/abs/1706.03762, norms first.

    Where it is not bidirectional, a frame attends to itself and to earlier frames alone.
    """

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, hidden=hidden, layers=layers, bidirectional=bidirectional, dropout=dropout
        )
        self.causal = not bidirectional
        self.project = nn.Linear(dim, hidden)
        layer = nn.TransformerEncoderLayer(**layer_settings(hidden, dropout))
        self.net = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(hidden), enable_nested_tensor=False
        )

    def read(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return states_BTH of what each frame saw in the others."""
        frames = feats_BTD.shape[1]
        tokens_BTH = self.project(feats_BTD)
        tokens_BTH = tokens_BTH + sinusoids(frames, self.out_dim).to(tokens_BTH)
        later_TT = None
        if self.causal:
            later_TT = torch.ones(frames, frames, dtype=torch.bool, device=feats_BTD.device).triu(1)
        states_BTH: Tensor = self.net(tokens_BTH, mask=later_TT, src_key_padding_mask=~mask_BT)
        return states_BTH


class NoMemory(Cell):
    """The frames themselves: what a recurrent cell has to beat. Its pool is the mean."""

    remembers = False

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        # Takes what every cell takes, so that a config changes its cell in one word.
        super().__init__(
            dim=dim, hidden=hidden, layers=layers, bidirectional=bidirectional, dropout=dropout
        )
        self.out_dim = dim

    def read(self, feats_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the frames."""
        return feats_BTD


def _guess(name: str, allowed: object) -> str:
    near = get_close_matches(name, list(allowed), n=1)  # type: ignore[call-overload]
    return f"; did you mean {near[0]!r}?" if near else ""
