"""Illustrate: the pictures of a run's page: film strips of what it quotes, and the lens.

Reads predictions, the model, the feature store and the quoted videos; writes ``lens.json``,
``report/strips.json`` and ``report/strips/``. What cannot be drawn is left out: no picture is worth
a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reelscribe.datasets.clip import Clip
from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.files import read_jsonl, write_json
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.report.examples import quoted
from reelscribe.pipeline.report.strips import make_strip, strip_name
from reelscribe.pipeline.stages.lens import look_at, picked

CLIPS = 3
"""Validation clips that the lens looks at, each of another class."""

LONGEST = 512
"""Frames of such a clip: asking after each frame takes time that grows with the square."""


def illustrate(material: Material, run: Path) -> None:
    """Draw what the page of a run shows beside its numbers."""
    scored = {row["id"]: row for row in read_jsonl(run / "per_video.jsonl")}
    rows = read_jsonl(run / "predictions.jsonl")
    paths = quoted([{**row, **scored.get(row["id"], {})} for row in rows])
    clips = _lens(material, run)
    if clips:
        write_json(run / "lens.json", {"run": str(run), "clips": clips})
        paths += [clip["path"] for clip in clips]
    write_json(run / "report" / "strips.json", _strips(material, paths, run / "report"))


def _strips(material: Material, paths: Sequence[str], report: Path) -> dict[str, str]:
    found = {}
    for path in dict.fromkeys(paths):
        sha256 = material.contents.get(Path(path))
        # Features that others made have no video beside them.
        if sha256 is None or not Path(path).is_file():
            continue
        name = strip_name(sha256)
        try:
            if not (report / name).is_file():
                make_strip(Path(path), report / name)
        except (ValueError, OSError):
            continue
        found[path] = name
    return found


def _lens(material: Material, run: Path) -> list[dict[str, Any]]:
    """Return what the head's memory did with a few clips; nothing where it names no actions."""
    head, manifest = load_head(run)
    if not isinstance(head, ActionHead):
        return []
    by_label: dict[str | None, Clip] = {}
    for clip in material.clips("val"):
        if not clip.backwards:
            by_label.setdefault(clip.label, clip)
    found = []
    for clip in list(by_label.values())[:CLIPS]:
        feats_TD, pts_T = picked(head, material.features(clip))
        if len(feats_TD) > LONGEST:
            continue
        heads = {str(manifest.head["cell"]): head}
        times = [round(float(second), 3) for second in pts_T]
        seen = look_at(heads, manifest, feats_TD, None)
        found.append({"path": str(clip.path), "true": clip.label, "times": times, **seen})
    return found
