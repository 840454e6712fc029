"""Caption scores gathered batch by batch, with the calls that torchmetrics' text metrics have.

Reads and writes nothing, and needs no torchmetrics.
"""

from __future__ import annotations

from collections.abc import Sequence

from reelscribe.pipeline.metrics.captions import METRICS, score_captions


class CaptionMetric:
    """``update`` with each batch, ``compute`` once, ``reset`` before the next pass.

    >>> metric = CaptionMetric(metrics=["CIDEr"])
    >>> metric.update(["a cat", "a dog"], [["a cat", "one cat"], ["the dog"]])
    >>> metric.compute()

    Nothing is scored before ``compute``: BLEU and METEOR of a corpus are no means of batches, and
    CIDEr's idf comes from all references.

    Args:
        metrics: names out of ``METRICS``.
    """

    def __init__(self, metrics: Sequence[str] = tuple(METRICS)) -> None:
        self._metrics = tuple(metrics)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._said: list[str] = []
        self._against: list[Sequence[str]] = []

    def update(self, preds: Sequence[str], target: Sequence[Sequence[str]]) -> None:
        """Keep a batch.

        Args:
            preds: one caption a video.
            target: the references of each of them.

        Raises:
            ValueError: there are not as many captions as lists of references.
        """
        if isinstance(preds, str) or len(preds) != len(target):
            raise ValueError(
                f"{len(preds)} captions and {len(target)} lists of references; give one list for "
                f"each caption"
            )
        self._said += preds
        self._against += target

    def compute(self) -> dict[str, float]:
        """Return the scores of all batches since the last ``reset``.

        Raises:
            ValueError: there was no batch, or a video has no reference.
            RuntimeError: a metric could not run; the message names it and says why.
        """
        scores = score_captions(
            {str(i): text for i, text in enumerate(self._said)},
            {str(i): refs for i, refs in enumerate(self._against)},
            metrics=self._metrics,
        )
        if scores.left_out:
            raise RuntimeError("; ".join(f"{name}: {why}" for name, why in scores.left_out.items()))
        return scores.corpus
