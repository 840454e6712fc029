"""What a recurrent head does with one clip, frame by frame: gates, answers, attention, gradients.

Reads and writes nothing. The gates are computed here from the weights, by the equations of the
papers, and reproduce the states of torch's fused networks; the tests hold them to 1e-5.

Shapes: T frames, D features a frame, H values a state of one direction, K classes, B clips of one
length where several are traced at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.cells import Recurrent


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What one layer did in one direction, in the order of the frames whatever the direction."""

    layer: int
    """From 0, the one that reads the features."""
    backwards: bool
    gates: dict[str, Tensor]
    """Name -> (T, H), each value 0 to 1: ``input forget output``, ``reset update``, or nothing.

    Of several clips (T, B, H), here and below."""
    cell_TH: Tensor | None
    """The LSTM's memory; None where there is none beside the state."""
    state_TH: Tensor
    """What the layer above reads."""


def trace(cell: Recurrent, feats_TD: Tensor) -> list[Trace]:
    """Return what each layer and direction of a recurrent cell did with one clip.

    Or with several of one length at once: features (T, B, D).

    Raises:
        ValueError: the features are not (T, D) of the cell's width.
    """
    if feats_TD.ndim not in (2, 3) or feats_TD.shape[-1] != cell.dim or not len(feats_TD):
        raise ValueError(f"expected features (T, {cell.dim}), got {tuple(feats_TD.shape)}")
    steps = {nn.LSTM: _lstm, nn.GRU: _gru, nn.RNN: _rnn}
    step = next(found for kind, found in steps.items() if isinstance(cell.net, kind))
    traces: list[Trace] = []
    inputs_TD = feats_TD
    with torch.no_grad():
        layers = [(net, k) for net in cell.nets for k in range(net.num_layers)]
        for number, (net, k) in enumerate(layers):
            both = [
                replace(_direction(net, step, inputs_TD, k, backwards), layer=number)
                for backwards in ([False, True] if net.bidirectional else [False])
            ]
            traces += both
            inputs_TD = torch.cat([one.state_TH for one in both], dim=-1)
    return traces


Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[dict[str, Tensor], Tensor, Tensor]]
"""(from the input, from the state, state, memory) -> gates, state, memory."""


def _direction(
    net: nn.RNNBase, step: Step, inputs_TD: Tensor, layer: int, backwards: bool
) -> Trace:
    name = f"l{layer}{'_reverse' if backwards else ''}"
    weights = [getattr(net, f"{kind}_{name}") for kind in ("weight_ih", "weight_hh")]
    biases = [getattr(net, f"{kind}_{name}") for kind in ("bias_ih", "bias_hh")]
    # torch keeps one matrix for all gates, one below the other.
    sums_TG = inputs_TD @ weights[0].T + biases[0]
    state_H = memory_H = torch.zeros(*inputs_TD.shape[1:-1], net.hidden_size)
    rows = []
    order = range(len(inputs_TD) - 1, -1, -1) if backwards else range(len(inputs_TD))
    for t in order:
        gates, state_H, memory_H = step(
            sums_TG[t], state_H @ weights[1].T + biases[1], state_H, memory_H
        )
        rows.append((gates, state_H, memory_H))
    rows = rows[::-1] if backwards else rows
    return Trace(
        layer=layer,
        backwards=backwards,
        gates={gate: torch.stack([row[0][gate] for row in rows]) for gate in rows[0][0]},
        cell_TH=torch.stack([row[2] for row in rows]) if isinstance(net, nn.LSTM) else None,
        state_TH=torch.stack([row[1] for row in rows]),
    )


def _lstm(
    from_input: Tensor, from_state: Tensor, state_H: Tensor, memory_H: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
    i, f, g, o = (from_input + from_state).chunk(4, -1)
    gates = {"input": i.sigmoid(), "forget": f.sigmoid(), "output": o.sigmoid()}
    memory_H = gates["forget"] * memory_H + gates["input"] * g.tanh()
    return gates, gates["output"] * memory_H.tanh(), memory_H


def _gru(
    from_input: Tensor, from_state: Tensor, state_H: Tensor, memory_H: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Cho et al. 2014, as torch has it: the reset gate is applied after the matrix."""
    (ri, ui, ni), (rs, us, ns) = from_input.chunk(3, -1), from_state.chunk(3, -1)
    gates = {"reset": (ri + rs).sigmoid(), "update": (ui + us).sigmoid()}
    new_H = (ni + gates["reset"] * ns).tanh()
    return gates, (1 - gates["update"]) * new_H + gates["update"] * state_H, memory_H


def _rnn(
    from_input: Tensor, from_state: Tensor, state_H: Tensor, memory_H: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Elman 1990: no gates."""
    return {}, (from_input + from_state).tanh(), memory_H


def inputs(head: ActionHead, feats_TD: Tensor) -> Tensor:
    """Return what the head's cell reads of a clip, (T, its width)."""
    found: Tensor = head.norm(feats_TD[None], torch.ones(1, len(feats_TD), dtype=torch.bool))[0]
    return found.detach()


def arriving(head: ActionHead, feats_TD: Tensor) -> Tensor:
    """Return answers_TK: the probabilities after the first frame, the first two, ... all T."""
    found = []
    with torch.no_grad():
        # A few at a time: T clips of T frames would be T times the memory.
        for first in range(1, len(feats_TD) + 1, 32):
            lengths_B = torch.arange(first, min(first + 32, len(feats_TD) + 1))
            read_TD = feats_TD[: int(lengths_B[-1])]
            found.append(head(read_TD.expand(len(lengths_B), *read_TD.shape), lengths_B))
    return torch.cat(found).softmax(dim=1)


def attention(head: ActionHead, feats_TD: Tensor) -> Tensor | None:
    """Return the weight of each frame (T), or None where the head's pool learns none."""
    if head.pool.kind != "attention":
        return None
    lengths_B = torch.tensor([len(feats_TD)])
    with torch.no_grad():
        states_BTH = head.cell(inputs(head, feats_TD)[None], lengths_B)
        return head.pool.weights(states_BTH, torch.ones(1, len(feats_TD), dtype=torch.bool))[0]


def input_gradients(head: ActionHead, feats_TD: Tensor, label: int) -> Tensor:
    """Return the norm of the gradient of the loss with respect to each frame's features (T).

    Features are taken as the cell reads them, after the norm, so that cells can be compared.
    Of a head that answers from several readings it is the one that the lens shows.
    """
    with torch.enable_grad():
        inputs_BTD = inputs(head, feats_TD)[None].requires_grad_()
        lengths_B = torch.tensor([len(feats_TD)])
        mask_BT = torch.ones(1, len(feats_TD), dtype=torch.bool)
        logits_BK = head.classify(head.pool(head.cell(inputs_BTD, lengths_B), mask_BT))
        loss = cross_entropy(logits_BK, torch.tensor([label]))
        (gradient_BTD,) = torch.autograd.grad(loss, inputs_BTD)
    norms_T: Tensor = gradient_BTD[0].norm(dim=1)
    return norms_T


def reach(cell: Recurrent, inputs_TD: Tensor) -> Tensor:
    """Return how much the last state, read forwards, still depends on each frame (T).

    The norm of the gradient of the last state's sum with respect to each frame: what Bengio et al.
    1994 (https://doi.org/10.1109/72.279181) show to vanish or to explode with the distance.
    """
    with torch.enable_grad():
        inputs_BTD = inputs_TD[None].detach().requires_grad_()
        states_BTH = cell(inputs_BTD, torch.tensor([len(inputs_TD)]))
        last_H = states_BTH[0, -1, : cell.out_dim // cell.directions]
        (gradient_BTD,) = torch.autograd.grad(last_H.sum(), inputs_BTD)
    norms_T: Tensor = gradient_BTD[0].norm(dim=1)
    return norms_T
