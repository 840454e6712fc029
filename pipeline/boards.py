"""Curves for TensorBoard, beside ``metrics.jsonl`` and made of it.

Reads ``metrics.jsonl``; writes ``tensorboard/`` in the run, which is made anew when a training
begins or goes on: what a killed one had not written yet is there, and nothing is there twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import read_jsonl


def check_tensorboard() -> None:
    """Raise where the package is not there.

    Raises:
        ValueError: says how to install it.
    """
    if find_spec("tensorboard") is None:
        raise ValueError(
            "--tensorboard needs the package tensorboard, which is not installed; "
            "pip install 'reelscribe[tensorboard]', or leave it out: metrics.jsonl has the same"
        )


class Board:
    """The event files of one training."""

    def __init__(self, run: Path) -> None:
        """Begin anew, with every epoch that ``metrics.jsonl`` has."""
        # Here: it is slow to import, and may not be there.
        from torch.utils.tensorboard import SummaryWriter

        folder = run / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        self.writer: Any = SummaryWriter(log_dir=str(folder))
        for row in read_jsonl(run / "metrics.jsonl"):
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        """Write the numbers of one epoch."""
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, int(row["epoch"]))
        self.writer.flush()

    def close(self) -> None:
        """End the file."""
        self.writer.close()
