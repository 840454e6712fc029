"""The training loop, one for both heads, from top to bottom in :func:`fit`.

Reads nothing but its arguments and, to resume, ``training.pt``. Writes into the run:
``metrics.jsonl`` (a line an epoch) and, while it runs, ``training.pt``.

Every epoch has a random stream of its own, drawn from (seed, epoch): a training that is resumed
after epoch 7 goes through the very numbers that it would have gone through uninterrupted.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reelscribe.pipeline.averaging import Average
from reelscribe.pipeline.config import TrainingConfig
from reelscribe.pipeline.files import write_jsonl, write_whole
from reelscribe.pipeline.meter import Meter
from reelscribe.pipeline.speed import autocast, compile_head
from reelscribe.pipeline.watch import Watch

SAVE_EVERY = 10.0
"""Seconds between two saves of the training's state at the least."""

SAVE_SHARE = 0.02
"""Of the time, what saving may take: a large head on a slow disk is saved less often."""


class Task(Protocol):
    """What the loop needs to know of a head and its data."""

    @property
    def head(self) -> nn.Module:
        """The head that is trained."""

    @property
    def measure(self) -> str:
        """The validation score's name: higher is better."""

    @property
    def steps(self) -> int:
        """Batches an epoch."""

    def batches(self, generator: torch.Generator) -> Iterator[Any]:
        """Yield the training batches of one epoch, in an order drawn from ``generator``."""

    def names(self, batch: Any) -> list[str]:
        """Return what the clips of one batch are called."""

    def loss(self, batch: Any) -> Tensor:
        """Return the mean loss of one batch."""

    def validate(self) -> tuple[float, float]:
        """Return the score and the loss on the validation clips."""


@dataclass(kw_only=True)
class State:
    """All that changes from epoch to epoch; what ``training.pt`` holds."""

    epoch: int = 0
    """Epochs that are done."""
    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    """The weights of the best epoch so far."""
    best_epoch: int = 0
    best_score: float = -math.inf
    best_loss: float = math.inf


def fit(
    task: Task,
    settings: TrainingConfig,
    run: Path,
    *,
    made_of: str,
    resume: bool = False,
    validate: bool = True,
    told: Callable[[Mapping[str, float]], None] = lambda row: None,
    heard: Callable[[str], None] = lambda text: None,
) -> State:
    """Train ``task.head``; leave the weights of its best validation epoch in it.

    With ``settings.ema`` it is the averaged weights that are validated and kept.

    Args:
        task: the head and its data.
        settings: epochs, rates, seed, patience.
        run: the folder that gets ``metrics.jsonl``.
        made_of: a fingerprint of data and settings; a state of another is not resumed.
        resume: go on from ``training.pt`` where there is one.
        validate: False to train the whole schedule and keep its end.
        told: called with each epoch's row.
        heard: called with how far a long epoch is, in words.

    Raises:
        Diverged: the loss or the gradient is no number any more; says where, with the clips of
            that step and the last norms.
    """
    optimizer = torch.optim.AdamW(
        task.head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    average = Average(task.head, settings.ema)
    state = _load(run, made_of, task.head, optimizer, average) if resume else State()
    device = next(task.head.parameters()).device
    if settings.compile:
        compile_head(task.head)
    watch = Watch(clipped=settings.clip_norm > 0, names=task.names)
    saved, cost = monotonic(), 0.0
    for epoch in range(state.epoch + 1, settings.epochs + 1):
        if epoch - 1 - state.best_epoch >= settings.patience and state.best:
            break
        meter = Meter(epoch, task.steps)
        generator = torch.Generator().manual_seed(_stream(settings.seed, epoch))
        torch.manual_seed(_stream(settings.seed, epoch))  # dropout
        task.head.train()
        for step, batch in enumerate(task.batches(generator)):
            rate = settings.lr * _schedule(settings, epoch - 1 + step / task.steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with autocast(settings.precision, device):
                loss = task.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            most = settings.clip_norm or math.inf
            norm = nn.utils.clip_grad_norm_(task.head.parameters(), most)
            optimizer.step()
            average.update()
            # Looked at together, and last: a GPU is waited for at each look.
            seen = torch.stack((loss.detach(), norm)).cpu()
            watch.loss(seen[0], epoch, step, batch)
            watch.norm(seen[1], epoch, step, batch)
            meter.step(seen, len(task.names(batch)))
            if note := meter.note():
                heard(note)
        row = {**meter.row(), "lr": rate}
        score, val_loss = float(epoch), 0.0  # Without validation the last epoch is the best.
        trained = monotonic()
        if validate:
            task.head.eval()
            with average.applied(), torch.inference_mode():
                score, val_loss = task.validate()
            watch.validation(val_loss, epoch)
            row |= {"val_loss": val_loss, f"val_{task.measure}": score}
        row |= {"seconds": monotonic() - meter.began, "val_seconds": monotonic() - trained}
        state.epoch = epoch
        state.rows.append(row)
        # Small validation parts tie often; among equals the lower loss is the surer answer.
        if (score, -val_loss) > (state.best_score, -state.best_loss):
            state.best_epoch, state.best_score, state.best_loss = epoch, score, val_loss
            state.best = average.weights()
        if (now := monotonic()) - saved >= max(SAVE_EVERY, cost / SAVE_SHARE):
            _save(run, made_of, state, task.head, optimizer, average)
            saved, cost = monotonic(), monotonic() - now
        write_jsonl(run / "metrics.jsonl", state.rows)
        told(row)
    _save(run, made_of, state, task.head, optimizer, average)
    task.head.load_state_dict(state.best)
    task.head.eval()
    return state


def unfinished(run: Path) -> bool:
    """Say whether a training was cut off here, so that ``--resume`` would go on."""
    return (run / "training.pt").is_file()


def finished(run: Path) -> None:
    """Remove the state of a training whose model is written."""
    (run / "training.pt").unlink(missing_ok=True)


def _schedule(settings: TrainingConfig, epoch: float) -> float:
    """Return the share of the rate after ``epoch`` epochs: a linear rise, then half a cosine."""
    done = epoch / settings.epochs
    if done < settings.warmup:
        return max(done / settings.warmup, 0.01)
    left = (done - settings.warmup) / (1 - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * left))


def _stream(seed: int, epoch: int) -> int:
    # A checksum of the pair, so that (0, 1) and (1, 0) share nothing.
    return zlib.crc32(f"{seed}/{epoch}".encode())


def _save(
    run: Path,
    made_of: str,
    state: State,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average,
) -> None:
    values = {
        "made_of": made_of,
        "state": vars(state),
        "head": head.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict(),
    }
    raw = io.BytesIO()
    torch.save(values, raw)
    write_whole(run / "training.pt", raw.getvalue())


def _load(
    run: Path,
    made_of: str,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average,
) -> State:
    path = run / "training.pt"
    if not path.is_file():
        return State()
    try:
        # weights_only: numbers and plain containers, never code.
        values = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # The reader of a torn file may stumble over anything.
        raise ValueError(
            f"{path} is damaged ({' '.join(str(error).split())[:120]}); train without --resume"
        ) from None
    if values["made_of"] != made_of:
        raise ValueError(
            f"{path} was begun with other data or settings; train without --resume, or put the "
            "config back as it was"
        )
    head.load_state_dict(values["head"])
    optimizer.load_state_dict(values["optimizer"])
    average.load_state_dict(values["average"])
    return State(**values["state"])
