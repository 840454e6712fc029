"""What heads say of a video: several heads of one thing, and the parts of a video together."""

from __future__ import annotations

import numpy as np
import pytest

from reelscribe.pipeline.said import Ranking, Said, merged, together
from reelscribe.pipeline.segments import Span


def ranking(*run_first: float, labels: tuple[str, ...] = ("run", "sit")) -> Ranking:
    return Ranking(labels=labels, probability_K=np.array(run_first))


def part(run: float, caption: str | None = None, why: str | None = None) -> Said:
    objects = ranking(1 - run, run, labels=("cat", "dog"))
    return Said(actions=ranking(run, 1 - run), abstained=why, caption=caption, objects=objects)


SPANS = [Span(start=0, end=10), Span(start=10, end=20), Span(start=20, end=40)]


def test_a_ranking_is_told_from_the_top() -> None:
    one = Ranking(labels=("a", "b", "c"), probability_K=np.array([0.2, 0.70004, 0.09996]))
    assert one.best == "b"
    assert one.top(2) == [
        {"label": "b", "probability": 0.7},
        {"label": "a", "probability": 0.2},
    ]


def test_heads_add_what_others_do_not_say() -> None:
    actions, objects = ranking(0.9, 0.1), ranking(0.5, 0.5)
    whole = merged([Said(actions=actions, abstained="so"), Said(caption="hi", objects=objects)])
    assert (whole.actions, whole.abstained) == (actions, "so")
    assert (whole.caption, whole.objects) == ("hi", objects)


def test_the_whole_is_the_mean_of_its_parts_by_duration() -> None:
    whole = together(SPANS, [part(0.9, "a"), part(0.5, "b"), part(0.2, "b")])
    # (10 x .9 + 10 x .5 + 20 x .2) / 40 = .45
    assert whole.to_json(1) == {
        "actions": [{"label": "sit", "probability": 0.55}],
        "abstained": None,
        "caption": "b",
        "objects": [{"label": "cat", "probability": 0.55}],
    }
    assert together(SPANS[:2], [part(0.9, "a"), part(0.5, "b")]).caption == "a"
    assert together(SPANS[:2], [Said(), Said()]) == Said()


def test_parts_that_abstain_do_not_speak_for_the_whole() -> None:
    parts = [part(0.9), part(0.6), part(0.0, why="unsure")]
    # Half of the time is answered: enough. (.9 + .6) / 2 = .75, without the part that is unsure.
    assert together(SPANS, parts).to_json(1)["actions"] == [{"label": "run", "probability": 0.75}]


def test_a_whole_that_is_hardly_answered_abstains_and_says_so() -> None:
    parts = [part(0.9), part(0.6, why="unsure"), part(0.0, why="unsure")]
    whole = together(SPANS, parts)
    assert whole.abstained == "answered for 10.0 of 40.0 s, mostly run"
    assert whole.to_json(5)["actions"] == []
    assert len(whole.to_json(5)["objects"]) == 2, "objects are no guess of a head"
    silent = together(SPANS, [part(0.5, why="unsure")] * 3)
    assert silent.abstained == "answered for 0.0 of 40.0 s"


@pytest.mark.parametrize("why", [None, "unsure"])
def test_one_part_is_the_whole(why: str | None) -> None:
    one = part(0.3, "x", why)
    assert together(SPANS[:1], [one]) is one
