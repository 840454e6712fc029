"""The arrow of time: clips backwards as classes of their own, and what is scored of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelscribe.datasets.backwards import with_reversed
from reelscribe.datasets.clip import Clip, Split
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place, gather, load_split
from reelscribe.pipeline.metrics.actions import direction
from reelscribe.pipeline.runs import train_run


def clip(name: str, label: str | None) -> Clip:
    return Clip(id=name, path=Path(name), group=name, label=label)


def test_every_clip_stands_there_twice_in_its_part() -> None:
    split = Split(
        dataset="x",
        name="1",
        labels=("jump", "run"),
        train=(clip("a", "run"),),
        val=(clip("b", "jump"),),
        test=(clip("c", "run"), clip("d", "jump")),
    )
    both = with_reversed(split)
    assert both.labels == ("jump", "run", "jump (backwards)", "run (backwards)")
    assert both.twins == (("jump", "jump (backwards)"), ("run", "run (backwards)"))
    assert [(c.id, c.label, c.backwards) for c in both.train] == [
        ("a", "run", False),
        ("a (backwards)", "run (backwards)", True),
    ]
    assert [len(both.part("val")), len(both.part("test"))] == [2, 4]
    assert {c.group for c in both.train} == {"a"}
    assert {c.path for c in both.train} == {Path("a")}


def test_clips_without_labels_are_refused() -> None:
    split = Split(dataset="msvd", name="1", train=(clip("a", None),), val=(), test=())
    with pytest.raises(ValueError, match="clips of msvd have no labels to double"):
        with_reversed(split)


def test_direction_is_the_share_of_pairs_that_are_in_order() -> None:
    assert direction([(0.6, 0.1), (0.1, 0.6), (0.2, 0.2), (0.9, 0.1)]) == 2.5 / 4
    assert direction([]) is None


def ramps(root: Path) -> None:
    """Sequences that rise; played backwards they fall, and their mean stays."""
    rng = np.random.default_rng(0)
    for label, level in (("high", 4.0), ("low", -4.0)):
        (root / label).mkdir(parents=True)
        for n in range(20):
            feats_TD = level + np.linspace(-2, 2, 6)[:, None] + rng.normal(0, 0.1, (6, 4))
            np.save(root / label / f"{n}.npy", feats_TD.astype(np.float32))


@pytest.mark.parametrize("cell", ["none", "lstm"])
def test_what_has_no_memory_is_right_half_of_the_time(
    tmp_path: Path, own_cache: Path, cell: str
) -> None:
    ramps(tmp_path / "in")
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder, reversed: true}}\nencoder: {{precomputed: {tmp_path / 'in'}}}\n"
        f"head: {{task: action, cell: {cell}, hidden: 8, dropout: 0.0, norm: standard}}\n"
        f"output: {tmp_path / 'run'}\n"
        "training: {epochs: 60, lr: 0.02, patience: 60}\n"
    )
    config = load_config(tmp_path / "a.yaml")
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    material = gather(config, load_split(config), place)
    forth, back = material.clips("test")[0], material.clips("test")[6]
    assert back.id == f"{forth.id} (backwards)"
    first, last = material.examples([forth, back])
    assert first.feats_TD.flip(0).equal(last.feats_TD)
    scores = train_run(config, place).scores
    assert scores["videos"] == 12
    if cell == "none":
        assert scores["direction"] == 0.5
        assert scores["order_pairs"] <= 0.5
    else:
        assert scores["direction"] == scores["order_pairs"] == 1.0


def test_both_ways_without_reversed_clips_is_refused(trained: Any) -> None:
    config = load_config(Path("theatre"), [*trained.settings("action"), "head.both_ways=true"])
    with pytest.raises(ValueError, match=r"head.both_ways is true and data.reversed is not; set"):
        load_split(config)
