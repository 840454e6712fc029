"""Answers of action heads: calibrated, and held back where they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.checkpoint import read_manifest
from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.judging import calibrated, judged, logits, probabilities
from reelscribe.pipeline.tasks import Example

LABELS = ("left", "right")


@pytest.fixture
def clips() -> list[Example]:
    """Frames to the left of 0 and to the right of it, with some noise."""
    draws = torch.Generator().manual_seed(0)
    sides = [(i % 2, (-1.0, 1.0)[i % 2]) for i in range(40)]
    return [
        Example(feats_TD=torch.randn(3, 4, generator=draws) * 0.3 + side, label=label)
        for label, side in sides
    ]


@pytest.fixture
def head(clips: list[Example]) -> ActionHead:
    torch.manual_seed(0)
    made = ActionHead(dim=4, classes=2, cell="none", norm="standard").eval()
    made.measure(clip.feats_TD for clip in clips)
    made.familiar.learn([clip.feats_TD for clip in clips], [clip.label for clip in clips])
    with torch.no_grad():
        made.classify.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        made.classify.bias.zero_()
    return made


def test_a_temperature_divides_the_logits(head: ActionHead, clips: list[Example]) -> None:
    feats = [clip.feats_TD for clip in clips[:5]]
    found = logits(head, feats)
    cold, warm = probabilities(head, feats), probabilities(head, feats, temperature=2.0)
    np.testing.assert_allclose(np.log(cold[:, 1] / cold[:, 0]), found[:, 1] - found[:, 0])
    np.testing.assert_allclose(np.log(warm[:, 1] / warm[:, 0]), (found[:, 1] - found[:, 0]) / 2)


def test_what_is_like_the_training_clips_is_answered(
    head: ActionHead, clips: list[Example]
) -> None:
    calibration = calibrated(head, clips)
    assert calibration["top1"] == 1.0
    assert calibration["answered"] >= 0.9
    right = torch.ones(3, 4)
    (row_K, why), (_, strange) = judged(
        head, LABELS, calibration, [right, torch.tensor([[9.0, -9.0, 9.0, -9.0]])]
    )
    assert row_K.argmax() == 1
    assert why is None
    assert strange is not None
    assert strange.startswith("unlike the training clips (")


def test_every_run_is_calibrated_and_its_test_clips_judged(trained: Any) -> None:
    run = Path(trained.action)
    calibration = read_manifest(run).calibration
    assert 0.05 <= calibration["temperature"] <= 20
    rows = read_jsonl(run / "predictions.jsonl")
    given = [row for row in rows if row["abstained"] is None]
    scored = read_json(run / "scores.json")["calibration"]
    assert scored["answered"] == pytest.approx(len(given) / len(rows))
    assert sum(row["clips"] for row in scored["bins"]) == len(rows)
    for row in rows:
        best = row["ranked"][0]
        if row["abstained"] is None:
            assert best["probability"] >= calibration["threshold"] - 1e-6
        else:
            assert best["label"] in row["abstained"]
    assert read_manifest(Path(trained.caption)).calibration == {}
