"""Records of described videos, as JSON, as a row, and as a line to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reelscribe.pipeline.records import COLUMNS, blank, flat, is_ready, record, spoken
from reelscribe.pipeline.said import Ranking, Said
from reelscribe.pipeline.segments import Span

RUN = Ranking(labels=("run", "sit"), probability_K=np.array([0.7, 0.3]))
CAT = Ranking(labels=("cat", "dog"), probability_K=np.array([0.12345, 0.87655]))
BY = {"actions": "runs/mine", "caption": None, "objects": "lite0, ImageNet"}


def described(said: Said, by: dict[str, Any] = BY) -> dict[str, Any]:
    one = record(2.0004, [Span(start=0.0, end=2.0004)], [said])
    return {**blank(Path("a.mp4")), "by": by, **one}


def row(found: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, flat(found), strict=True))


def test_an_answer() -> None:
    found = described(Said(actions=RUN, objects=CAT, caption="a cat runs"))
    assert found["duration"] == 2.0
    assert found["actions"] == found["segments"][0]["actions"] == RUN.top(5)
    assert found["objects"][0] == {"label": "dog", "probability": 0.8766}
    assert spoken(found) == "a.mp4: run 0.70; a cat runs; shows dog 0.88"
    assert row(found) == {
        "path": "a.mp4",
        "status": "ok",
        "reason": "",
        "duration": 2.0,
        "action": "run",
        "probability": 0.7,
        "caption": "a cat runs",
        "abstained": "",
        "object": "dog",
        "object_probability": 0.8766,
        "by": "actions: runs/mine; objects: lite0, ImageNet",
    }
    assert not is_ready(found)


def test_an_answer_that_is_held_back() -> None:
    found = described(Said(actions=RUN, abstained="too unsure"))
    assert found["actions"] == found["segments"][0]["actions"] == []
    assert found["abstained"] == found["segments"][0]["abstained"] == "too unsure"
    assert spoken(found) == "a.mp4: no action (too unsure)"
    assert (row(found)["action"], row(found)["abstained"]) == ("", "too unsure")


def test_what_ships_is_marked() -> None:
    found = described(Said(actions=RUN), {**BY, "actions": "ready ucf101, 9 classes"})
    assert is_ready(found)
    assert spoken(found) == "a.mp4: [ready] run 0.70"
    assert row(found)["by"].startswith("actions: ready ucf101, 9 classes; ")


def test_a_failure() -> None:
    found = {**blank(Path("b.mp4")), "status": "failed", "reason": "empty file"}
    assert spoken(found) == "failed: b.mp4: empty file"
    assert row(found)["reason"] == "empty file"
    assert list(found) == list(described(Said())), "every record has the same keys"
