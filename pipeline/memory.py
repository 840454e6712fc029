"""Two tasks that only a memory solves: proof that a cell can bridge hundreds of steps.

Reads nothing; writes ``memory.json`` and ``report/index.html``. Every batch is drawn afresh, so
there is nothing to overfit, and the last batches score the training.

- ``adding`` (Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735): T random
  numbers, two of them marked, one in either half; answer their sum. Whoever always says 1 has a
  squared error of 1/6.
- ``copying`` (the same; the form of Arjovsky et al. 2016, https://arxiv.org/abs/1511.06464): one of
  eight symbols, then T blanks, then a sign; answer the symbol. Guessing is right in one of eight.

Letters: B sequences, T steps, D inputs a step, S symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from reelscribe.decoders.cells import create_cell
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.names import among
from reelscribe.pipeline.progress import Progress
from reelscribe.pipeline.report.memory import write_memory_page

CELLS = ("rnn", "gru", "lstm")
SYMBOLS = 8
SHOWN = 1
"""Symbols to be kept in mind; of three, an LSTM of 64 units had 0.45 right after 800 steps."""

EVERY = 25
"""Steps between two points of the curve."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Sequences and what is to be answered at their ends."""

    inputs_BTD: Tensor
    truth: Tensor
    """Sums (B), or the symbols (B, S)."""


def adding(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return numbers of 0 to 1 with two marks; the truth is the sum of the two."""
    values_BT = torch.rand(batch, length, generator=generator)
    half = length // 2
    first_B = torch.randint(0, half, (batch,), generator=generator)
    second_B = torch.randint(half, length, (batch,), generator=generator)
    marks_BT = torch.zeros(batch, length)
    rows = torch.arange(batch)
    marks_BT[rows, first_B] = 1
    marks_BT[rows, second_B] = 1
    return Batch(
        inputs_BTD=torch.stack((values_BT, marks_BT), dim=2),
        truth=(values_BT * marks_BT).sum(1),
    )


def copying(batch: int, length: int, generator: torch.Generator) -> Batch:
    """Return symbols, ``length`` blanks, and one sign for each symbol that is to be answered."""
    symbols_BS = torch.randint(0, SYMBOLS, (batch, SHOWN), generator=generator)
    blank, sign = SYMBOLS, SYMBOLS + 1
    tail_BT = torch.full((batch, length + SHOWN), blank)
    tail_BT[:, length:] = sign
    inputs_BTD = one_hot(torch.cat((symbols_BS, tail_BT), dim=1), SYMBOLS + 2).float()
    return Batch(inputs_BTD=inputs_BTD, truth=symbols_BS)


@dataclass(frozen=True, kw_only=True)
class Puzzle:
    """One of the tasks."""

    draw: Callable[[int, int, torch.Generator], Batch]
    dim: int
    answers: int
    """Numbers a step that the head gives."""
    measure: str
    guess: float
    """The score of who remembers nothing."""
    solved: float
    """The score from which on it counts as solved."""
    higher: bool
    """Whether more is better."""
    lr: float
    steps: int


PUZZLES: Mapping[str, Puzzle] = {
    "adding": Puzzle(
        draw=adding, dim=2, answers=1, measure="squared error", guess=1 / 6, solved=0.01,
        higher=False, lr=5e-3, steps=1500,
    ),
    "copying": Puzzle(
        draw=copying, dim=SYMBOLS + 2, answers=SYMBOLS, measure="symbols right", guess=1 / SYMBOLS,
        solved=0.99, higher=True, lr=5e-3, steps=1000,
    ),
}  # fmt: skip


class Reader(nn.Module):
    """A cell that reads forwards, and a linear answer from its last states."""

    def __init__(self, cell: str, puzzle: Puzzle, hidden: int, length: int) -> None:
        super().__init__()
        self.cell = create_cell(cell, dim=puzzle.dim, hidden=hidden)
        self.answer = nn.Linear(hidden, puzzle.answers)
        if cell in ("lstm", "gru"):
            remember(self.cell.net, hidden, length)  # type: ignore[arg-type]

    def forward(self, inputs_BTD: Tensor) -> Tensor:
        """Return the states' answers (B, T, answers)."""
        lengths_B = torch.full((len(inputs_BTD),), inputs_BTD.shape[1])
        found: Tensor = self.answer(self.cell(inputs_BTD, lengths_B))
        return found


def remember(net: nn.RNNBase, hidden: int, length: int) -> None:
    """Set the biases so that the units keep for 1 to ``length`` steps: Tallec and Ollivier 2018.

    "Can recurrent neural networks warp time?", https://arxiv.org/abs/1804.11188.
    """
    bias_G = dict(net.named_parameters())["bias_ih_l0"]
    keep_H = torch.empty(hidden).uniform_(1, length - 1).log()
    with torch.no_grad():
        if isinstance(net, nn.LSTM):
            bias_G[hidden : 2 * hidden] = keep_H  # forget
            bias_G[:hidden] = -keep_H  # input
        else:
            bias_G[hidden : 2 * hidden] = keep_H  # update: torch's keeps where it is 1


def solve(
    task: str,
    cell: str,
    *,
    length: int = 200,
    hidden: int = 64,
    batch: int = 32,
    seed: int = 0,
    steps: int | None = None,
    told: Callable[[int, float, float], None] = lambda step, score, norm: None,
) -> dict[str, Any]:
    """Train one cell on one task until it is solved or the steps are over.

    Returns:
        task, cell, ``curve`` (step, score), ``score`` (mean of the last 100 batches), ``solved``,
        ``steps`` and ``norm_max``, the largest gradient norm before clipping to 1.

    Raises:
        ValueError: there is no such task or cell.
    """
    puzzle = PUZZLES[among(PUZZLES, task, "task")]
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    reader = Reader(among(CELLS, cell, "cell"), puzzle, hidden, length)
    optimizer = torch.optim.Adam(reader.parameters(), lr=puzzle.lr)
    scores: list[float] = []
    curve: list[tuple[int, float]] = []
    norm_max, done = 0.0, False
    for step in range(1, (steps or puzzle.steps) + 1):
        drawn = puzzle.draw(batch, length, generator)
        loss, score = _judge(reader(drawn.inputs_BTD), drawn.truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(reader.parameters(), 1.0))
        optimizer.step()
        norm_max = max(norm_max, norm)
        scores.append(score)
        told(step, score, norm)
        if step % EVERY == 0:
            mean = fmean(scores[-EVERY:])
            curve.append((step, mean))
            recent = [value for _, value in curve[-4:]]
            right = [v >= puzzle.solved if puzzle.higher else v <= puzzle.solved for v in recent]
            done = len(right) == 4 and all(right)
            if done:
                break
    return {
        "task": task,
        "cell": cell,
        "length": length,
        "score": fmean(scores[-4 * EVERY :]),
        "guess": puzzle.guess,
        "measure": puzzle.measure,
        "solved": done,
        "steps": step,
        "norm_max": norm_max,
        "curve": curve,
    }


def prove(
    out: Path, *, cells: Sequence[str], length: int, seed: int, steps: int | None = None
) -> tuple[list[dict[str, Any]], Path]:
    """Train every cell on both tasks; return the results and the page that shows them.

    Raises:
        ValueError: a cell has no such name, none is named, or the length is below 2.
    """
    if not cells:
        raise ValueError(f"--cells names no cell; there are: {', '.join(CELLS)}")
    if length < 2:
        raise ValueError(f"--length is how many steps are bridged, at least 2; got {length}")
    if steps is not None and steps < 4 * EVERY:
        raise ValueError(f"--steps is at least {4 * EVERY}, lest no score be known; got {steps}")
    names = [among(CELLS, cell, "cell") for cell in dict.fromkeys(cells)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Networks this small are slower on many.
    results = []
    try:
        for task, puzzle in PUZZLES.items():
            for cell in names:
                with Progress(f"{task}, {cell}", steps or puzzle.steps, "steps") as progress:

                    def told(step: int, score: float, norm: float, to: Progress = progress) -> None:
                        to(f"score {score:.3f}, norm {norm:.2g}")

                    results.append(
                        solve(task, cell, length=length, seed=seed, steps=steps, told=told)
                    )
    finally:
        torch.set_num_threads(threads)
    write_json(out / "memory.json", {"length": length, "seed": seed, "results": results})
    return results, write_memory_page(out, results)


def _judge(answers_BTA: Tensor, truth: Tensor) -> tuple[Tensor, float]:
    if truth.ndim == 1:
        loss = mse_loss(answers_BTA[:, -1, 0], truth)
        return loss, loss.item()
    logits_BSA = answers_BTA[:, -truth.shape[1] :]
    loss = cross_entropy(logits_BSA.flatten(0, 1), truth.flatten())
    return loss, float((logits_BSA.argmax(2) == truth).float().mean())
