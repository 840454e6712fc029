"""What ``reelscribe score`` does: files of captions -> figures that can be trusted.

Reads a file of predictions and one of references, in any form that ``metrics/files.py`` knows, and
where asked for a second file of predictions and one of training captions. Writes what it is asked
for: a table of the videos, and a folder with a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import write_csv, write_json
from reelscribe.pipeline.metrics.captions import METRICS, NOTE, CaptionScores, score_captions
from reelscribe.pipeline.metrics.card import caption_card, versus
from reelscribe.pipeline.metrics.files import read_predictions, read_references


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one file of predictions reached."""

    values: dict[str, Any]
    """Plain values, ready for JSON: see :func:`score_files`."""
    scores: CaptionScores
    """The same with every video and its tokens."""

    def rows(self) -> list[dict[str, Any]]:
        """Return id, caption and scores of each video."""
        return [
            {"id": row["id"], "caption": caption, **row}
            for row, caption in zip(self.scores.rows(), self.scores.captions, strict=True)
        ]

    def write_csv(self, path: Path) -> None:
        """Write one line a video."""
        rows = self.rows()
        write_csv(path, list(rows[0]), [list(row.values()) for row in rows])

    def write_folder(self, folder: Path) -> Path:
        """Write ``scores.json``, ``per_video.csv`` and a page, whose path is returned."""
        from reelscribe.pipeline.report.score_page import write_caption_page

        write_json(folder / "scores.json", self.values)
        self.write_csv(folder / "per_video.csv")
        per_video = {name: values.tolist() for name, values in self.scores.per_video.items()}
        return write_caption_page(folder / "index.html", self.values, per_video)


def score_files(
    predictions: Path,
    references: Path,
    *,
    against: Path | None = None,
    training: Path | None = None,
    metrics: Sequence[str] = tuple(METRICS),
    seed: int = 0,
    allow_missing: bool = False,
    spice: Path | None = None,
) -> Scored:
    """Score a file of captions against a file of references.

    Args:
        predictions: one caption for each id.
        references: one or more captions for each id.
        against: other predictions for the same ids, for a paired bootstrap test.
        training: captions of the training part, for the floor and for what is novel.
        metrics: names out of ``METRICS``.
        seed: for the intervals, the test and the human's captions.
        allow_missing: score the predicted ids alone where others have references. It is off
            because a video that was left out raises the score without a trace.
        spice: a folder with the jars of Stanford CoreNLP 3.6.0, to compute SPICE as well.

    Returns:
        Its ``values`` are ``task``, ``videos``, ``references``, the metrics as fractions, all of
        ``metrics/card.py`` (``ci95``, ``intervals``, ``floor``, ``human``, ``best`` ...),
        ``versus`` (None without ``against``), ``subset``, ``seed``, ``left_out``, ``warnings``,
        ``note``.

    Raises:
        ValueError: a file has no form that is known, or the ids do not fit together.
    """
    said, refs = read_predictions(predictions), read_references(references)

    def scored(side: Mapping[str, str]) -> CaptionScores:
        return score_captions(side, refs, metrics=metrics, allow_missing=allow_missing, spice=spice)

    scores = scored(said)
    test = None
    if against is not None:
        names = {"predictions": predictions.name, "against": against.name}
        test = {**names, **versus(scores, scored(read_predictions(against)), seed=seed)}
    values = {
        "task": "caption",
        "predictions": predictions.name,
        "videos": len(scores.ids),
        "references": sum(len(refs[name]) for name in scores.ids),
        **scores.corpus,
        **caption_card(scores, seed=seed, train_captions=_texts(training)),
        "versus": test,
        "subset": len(scores.ids) < len(refs),
        "seed": seed,
        "left_out": scores.left_out,
        "note": NOTE,
    }
    return Scored(values=values, scores=scores)


def _texts(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    return [text for texts in read_references(path).values() for text in texts]
