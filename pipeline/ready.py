"""The heads that ship: what ``describe`` asks where no run is given.

Reads ``configs/ready/<heads>/``: ``model.safetensors`` and ``model.json`` like any run, and
``card.json`` with the held-out scores of these very numbers. No clip, no feature of a clip and no
caption is in them; model_card.md beside them says what they are and what they cannot do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reelscribe.pipeline.checkpoint import Manifest, read_manifest
from reelscribe.pipeline.config import SHIPPED
from reelscribe.pipeline.files import read_json

FOLDER = SHIPPED / "ready"

READY = {"action": FOLDER / "actions", "caption": FOLDER / "captions"}
"""Task -> the head that ships for it."""

NAME = "ready"
"""As ``--action`` or ``--caption``: the head that ships, where no folder is called so."""


def runs_of(action: Path | None, caption: Path | None) -> dict[str, Path]:
    """Return task -> run: those that are given, and where none is both that ship."""
    given = {"action": action, "caption": caption}
    if action is None and caption is None:
        return dict(READY)
    return {task: _resolved(task, run) for task, run in given.items() if run is not None}


def _resolved(task: str, run: Path) -> Path:
    return READY[task] if str(run) == NAME and not run.exists() else run


def ready_as(manifest: Manifest) -> str | None:
    """Return what records call a head that ships, wherever it lies; None for another."""
    if manifest.numbers not in {read_manifest(path).numbers for path in READY.values()}:
        return None
    if manifest.task == "action":
        return f"ready {manifest.trained['dataset']}, {len(manifest.labels)} classes"
    return f"ready {manifest.trained['dataset']}, {manifest.trained['clips']} clips"


def notice(task: str) -> str:
    """Return in a line what a head that ships is, what it cannot do, and what to do instead."""
    manifest, card = read_manifest(READY[task]), read_card(task)
    low, high = card["ci95"]
    score = f"{card[card['measure']]:.2f} ({low:.2f} to {high:.2f}, floor {card['floor']:.2f})"
    if task == "action":
        return (
            f"describe: ready action head: knows {', '.join(manifest.labels)} and nothing else; "
            f"right on {score} of held-out clips of these; anything else is wrong or held back. "
            'Yours: `reelscribe train folder --set data.root="clips by class"`, then '
            "--action runs/folder"
        )
    return (
        f"describe: ready caption head: learnt from {manifest.trained['clips']} clips, so most "
        f"captions are wrong: CIDEr {score}. "
        f"Yours: `reelscribe train msrvtt`, then --caption runs/msrvtt"
    )


def read_card(task: str) -> dict[str, Any]:
    """Return the held-out scores of a head that ships."""
    found: dict[str, Any] = read_json(READY[task] / "card.json")
    return found
