"""What is said of a video or of a part of it, by all that look at it; and of parts together.

Reads and writes nothing. K classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.pipeline.segments import Span

ENOUGH = 0.5
"""The share of a video's time that must be answered before the whole is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """A probability for each label."""

    labels: tuple[str, ...]
    probability_K: NDArray[np.float64]

    @property
    def best(self) -> str:
        """The most probable label."""
        return self.labels[int(self.probability_K.argmax())]

    def top(self, count: int) -> list[dict[str, Any]]:
        """Return the most probable, as records hold them."""
        order = np.argsort(-self.probability_K, kind="stable")[:count]
        return [
            {"label": self.labels[k], "probability": round(float(self.probability_K[k]), 4)}
            for k in order
        ]


@dataclass(frozen=True, kw_only=True)
class Said:
    """The answers of an action head, a caption head and the encoder's own last layer."""

    actions: Ranking | None = None
    abstained: str | None = None
    """Why the actions are not to be told; None where they are."""
    caption: str | None = None
    objects: Ranking | None = None

    def to_json(self, top: int) -> dict[str, Any]:
        """Return this part of a record, with the ``top`` most probable of each ranking."""
        told = self.actions if self.abstained is None else None
        return {
            "actions": told.top(top) if told else [],
            "abstained": self.abstained,
            "caption": self.caption,
            "objects": self.objects.top(top) if self.objects else [],
        }


def merged(answers: Sequence[Said]) -> Said:
    """Put what several heads say of one thing together; each answers what the others do not."""

    def first(name: str) -> Any:
        given = (getattr(answer, name) for answer in answers)
        return next((value for value in given if value is not None), None)

    names = ("actions", "abstained", "caption", "objects")
    return Said(**{name: first(name) for name in names})


def together(spans: Sequence[Span], parts: Sequence[Said]) -> Said:
    """Return what the parts of a video say of the whole.

    Actions and objects are the mean of the parts' probabilities by duration; of actions, those
    parts alone count that were answered, and where they are less than half of the time nothing is
    said of the whole. The caption is the one that is said for the longest time, the first of
    equals.
    """
    if len(parts) == 1:
        return parts[0]
    seconds = [max(span.end - span.start, 1e-3) for span in spans]
    spoken: defaultdict[str, float] = defaultdict(float)
    for part, length in zip(parts, seconds, strict=True):
        if part.caption is not None:
            spoken[part.caption] += length
    timed = list(zip(parts, seconds, strict=True))
    heard = [(part.actions, length) for part, length in timed if part.abstained is None]
    time = sum(length for _, length in heard)
    abstained = None
    if time < ENOUGH * sum(seconds):
        abstained = f"answered for {time:.1f} of {sum(seconds):.1f} s"
        if best := _mean(heard):
            abstained += f", mostly {best.best}"
    return Said(
        actions=_mean(heard),
        abstained=abstained,
        caption=max(spoken, key=spoken.__getitem__) if spoken else None,
        objects=_mean([(part.objects, length) for part, length in timed]),
    )


def _mean(parts: Sequence[tuple[Ranking | None, float]]) -> Ranking | None:
    given = [(ranking, seconds) for ranking, seconds in parts if ranking is not None]
    if not given:
        return None
    rows_NK = np.stack([ranking.probability_K for ranking, _ in given])
    return Ranking(
        labels=given[0][0].labels,
        probability_K=np.average(rows_NK, axis=0, weights=[seconds for _, seconds in given]),
    )
