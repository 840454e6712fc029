"""The lens in a run's report: what its memory did with a few validation clips.

Reads ``lens.json`` of a run where it is there; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import read_json
from reelscribe.pipeline.report.lanes import Lane, Piece, bar_lane, line_lane, ticks
from reelscribe.pipeline.report.video import Look, Reading, lanes

LINES = 3
"""Answers that are drawn: those that the whole clip has as most probable."""


def read_glimpses(run: Path) -> list[dict[str, Any]]:
    """Return what the page of a run shows of the clips in its ``lens.json``."""
    path = run / "lens.json"
    return [_glimpse(clip) for clip in read_json(path)["clips"]] if path.is_file() else []


def _glimpse(clip: Mapping[str, Any]) -> dict[str, Any]:
    times: Sequence[float] = clip["times"]
    # The frames stand in the middle of what they stand for.
    duration = times[-1] + (times[0] or 0.5)
    answers = clip["answers"]
    best = sorted(answers, key=lambda label: -answers[label][-1])[:LINES]
    look = Look(
        task="action",
        times=times,
        attention=clip["attention"],
        readings=[
            Reading(
                layer=one["layer"],
                backwards=one["backwards"],
                gates=one["gates"],
                norm=one["cell_norm"] or one["state_norm"],
            )
            for one in clip["layers"]
        ],
    )
    return {
        "path": clip["path"],
        "label": clip["true"],
        "said": best[0],
        "sure": answers[best[0]][-1],
        "lanes": [
            _answers(answers, best, times, duration),
            *lanes([look], duration, {0.0: duration}),
            _gradient(clip["gradients"][clip["cell"]], times, duration),
        ],
        "ticks": ticks(duration),
    }


def _answers(
    answers: Mapping[str, Sequence[float]],
    best: Sequence[str],
    times: Sequence[float],
    duration: float,
) -> Lane:
    lines = {
        label: [Piece(start=0.0, end=duration, times=times, values=answers[label])]
        for label in best
    }
    about = "the probabilities as frames arrive: the most probable answers at the end"
    return line_lane("Answer", about, lines, duration, high=1.0)


def _gradient(values: Sequence[float], times: Sequence[float], duration: float) -> Lane:
    about = "how much the loss of the answer depends on each frame (norm of its gradient)"
    piece = Piece(start=0.0, end=duration, times=times, values=values)
    return bar_lane("Gradient", about, [piece], duration)
