"""The moving average of the weights: its numbers by hand, and where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from reelscribe.pipeline.averaging import Average, decay_at
from reelscribe.pipeline.checkpoint import load_head
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.runs import train_run


def one_number(value: float = 0.0) -> nn.Linear:
    head = nn.Linear(1, 1, bias=False)
    _set(head, value)
    return head


def _set(head: nn.Linear, value: float) -> None:
    with torch.no_grad():
        head.weight.fill_(value)


def test_it_is_the_closed_form_after_every_step() -> None:
    """w_1 whole, then a_n = d_n a_(n-1) + (1 - d_n) w_n with d_n = 2/11, 3/12, 4/13, at most d."""
    head = one_number()
    average = Average(head, 0.28)
    found = []
    for value in (1.0, 12.0, 5.0, 2.0):
        _set(head, value)
        average.update()
        found.append(float(average.weights()["weight"]))
    second = 2 / 11 * 1 + 9 / 11 * 12
    third = 1 / 4 * second + 3 / 4 * 5
    fourth = 0.28 * third + 0.72 * 2  # 4/13 is more than 0.28
    assert found == pytest.approx([1.0, second, third, fourth], rel=1e-6)


def test_the_warm_up_ends_at_the_decay() -> None:
    assert decay_at(0.999, 0) == 0.1
    assert decay_at(0.999, 8) == 0.5
    assert decay_at(0.999, 10**6) == 0.999


def test_averaged_weights_are_in_the_head_only_where_asked() -> None:
    head = one_number(4.0)
    average = Average(head, 0.9)
    average.update()
    _set(head, 15.0)
    average.update()
    with average.applied():
        assert head.weight.item() == pytest.approx(2 / 11 * 4 + 9 / 11 * 15)
    assert head.weight.item() == 15.0


def test_without_a_decay_the_head_is_its_own_average() -> None:
    head = one_number(4.0)
    average = Average(head, 0.0)
    average.update()
    with average.applied():
        assert head.weight.item() == 4.0
    kept = average.weights()
    _set(head, 5.0)
    assert float(kept["weight"]) == 4.0, "a copy, not the head's own"
    assert average.state_dict() == {}


def test_it_goes_on_from_what_was_saved() -> None:
    head = one_number(1.0)
    whole, first = Average(head, 0.9), Average(head, 0.9)
    for average in (whole, first):
        average.update()
    rest = Average(one_number(7.0), 0.9)
    rest.load_state_dict(first.state_dict())
    rest.head = head
    _set(head, 3.0)
    for average in (whole, rest):
        average.update()
    assert torch.equal(whole.weights()["weight"], rest.weights()["weight"])


def test_a_decay_of_one_would_never_learn() -> None:
    with pytest.raises(ValueError, match=r"training.ema is 1.0; it must be at least 0 and below 1"):
        Average(one_number(), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "recipe"), [("action", "theatre"), ("caption", "theatre_captions")]
)
def test_a_run_of_either_task_keeps_the_average(
    trained: Any, tmp_path: Path, task: str, recipe: str
) -> None:
    """The same training but for the average: near the weights of that without it, and not them."""
    config = load_config(
        Path(recipe), [*trained.settings(task), f"output={tmp_path}", "training.ema=0.3"]
    )
    train_run(config, Place(cache=trained.cache, runner=Runner(workers=1, local=True)))
    plain, averaged = (
        torch.cat([p.detach().flatten() for p in load_head(run)[0].parameters()])
        for run in (getattr(trained, task), tmp_path)
    )
    far = (averaged - plain).norm() / plain.norm()
    assert 0 < far < 0.05
