"""Alarms about captions: each is raised by what it is about, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from reelscribe.datasets.script import slot_accuracy
from reelscribe.pipeline.alarms import alarms, habits

FINE: dict[str, Any] = {
    "videos": 20,
    "CIDEr": 0.5,
    "floor": 0.25,
    "greedy_CIDEr": 0.45,
    "commonest": "a man sings",
    "commonest_share": 0.1,
    "copied": 0.5,
    "repeats": 0.0,
}


def rows(*epochs: tuple[float, float]) -> list[dict[str, float]]:
    return [
        {"epoch": i, "val_CIDEr": cider, "val_loss": loss}
        for i, (cider, loss) in enumerate(epochs, 1)
    ]


def test_habits_are_counted_as_the_metrics_count_words() -> None:
    said = ["A man sings.", "a man sings", "a cat and a dog and a dog and", "a bird flies"]
    found = habits(said, ["a man sings!", "something else"])
    assert found["commonest"] == "a man sings"
    assert found["commonest_share"] == 0.5
    assert found["copied"] == 0.5
    assert found["repeats"] == 0.25  # "and a dog", twice


def test_where_all_is_well_there_is_none() -> None:
    assert alarms(FINE, rows((0.1, 3.0), (0.5, 2.0), (0.48, 1.9))) == []


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"commonest_share": 0.4}, "collapse: 40% of the videos get one caption, 'a man sings'"),
        ({"copied": 1.0}, "100% of the captions are training captions word by word"),
        ({"repeats": 0.25}, "25% of the captions say three words twice; set head.no_repeat to 3"),
        ({"CIDEr": 0.25, "greedy_CIDEr": 0.2}, "CIDEr 0.250 is not above that of one constant"),
        ({"greedy_CIDEr": 0.6}, "the search is worse than greedy: CIDEr 0.500 against 0.600"),
    ],
)
def test_each_is_raised_by_its_own(changes: dict[str, Any], start: str) -> None:
    """Complaint 24 (vijayvee/video-captioning#17): one sentence for every video, and no word."""
    [alarm] = alarms(FINE | changes, [])
    assert alarm.startswith(start)


def test_consensus_may_say_what_people_said() -> None:
    assert alarms(FINE | {"copied": 1.0, "consensus": True}, []) == []


def test_a_share_of_few_videos_is_no_alarm() -> None:
    assert alarms(FINE | {"videos": 4, "commonest_share": 0.5}, []) == []


def test_cider_falls_while_the_loss_improves() -> None:
    [alarm] = alarms(FINE, rows((0.2, 3.0), (0.5, 2.5), (0.3, 2.4)))
    assert alarm.startswith(
        "validation CIDEr fell from 0.500 (epoch 2) to 0.300 (epoch 3) while the validation loss "
        "improved from 2.500 to 2.400"
    )
    # Where the loss rises with it, it is plain overfitting and early stopping has dealt with it.
    assert alarms(FINE, rows((0.2, 3.0), (0.5, 2.5), (0.3, 2.6))) == []


def test_slots_are_right_where_most_references_say_so() -> None:
    references = [
        ["a red figure walks left", "someone is walking left", "a red one walks left"],
        ["two blue figures sit down", "two figures are sitting down", "two blue figures sit down"],
    ]
    found = slot_accuracy(["a red figure walks right", "a green figure"], references)
    assert found["colour"] == 0.5
    assert found["direction"] == 0.0
    assert found["action"] == 0.5
    assert slot_accuracy([texts[0] for texts in references], references)["colour"] == 1.0
