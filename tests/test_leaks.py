"""The leak guard: one video in two parts is refused, left out or allowed, and always told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reelscribe.datasets.clip import Clip, Split
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.leaks import guard_leaks
from reelscribe.pipeline.runs import train_run


def clips(*names: str) -> tuple[Clip, ...]:
    return tuple(Clip(id=name, path=Path(name), group=name, label="x") for name in names)


SPLIT = Split(
    dataset="d", name="1", train=clips("a", "b", "c"), val=clips("v", "w"), test=clips("t", "u")
)
UNIQUE = {Path(clip.id): f"hash of {clip.id}" for clip in SPLIT.clips()}


def test_a_split_without_leaks_stays_as_it_is() -> None:
    # The same bytes twice in one part are a waste and no leak.
    twice = UNIQUE | {Path("b"): "hash of a"}
    for contents in (UNIQUE, twice):
        assert guard_leaks(SPLIT, contents, "refuse") == (SPLIT, ())


def test_a_leak_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"1 clips are byte for byte.* b \(train\) = t \(test\); "):
        guard_leaks(SPLIT, UNIQUE | {Path("b"): "hash of t"}, "refuse")


def test_the_test_part_keeps_its_clips_and_validation_before_training() -> None:
    contents = UNIQUE | {
        Path("b"): "hash of t",
        Path("w"): "hash of u",
        Path("c"): "hash of v",
    }
    split, told = guard_leaks(SPLIT, contents, "drop")
    assert [[clip.id for clip in split.part(part)] for part in ("train", "val", "test")] == [
        ["a"],
        ["v"],
        ["t", "u"],
    ]
    assert sorted(told) == [
        "b (train) = t (test)",
        "c (train) = v (val)",
        "w (val) = u (test)",
    ]
    assert guard_leaks(SPLIT, contents, "allow") == (SPLIT, told)


def test_a_clip_without_features_leaks_nothing() -> None:
    contents = {path: "the same" for path in UNIQUE if path.name == "a"}
    assert guard_leaks(SPLIT, contents, "refuse") == (SPLIT, ())


def test_the_score_card_says_what_was_allowed(tmp_path: Path, own_cache: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        for label in ("down", "up"):
            (tmp_path / "in" / part / label).mkdir(parents=True)
            for n in range(count):
                np.save(tmp_path / "in" / part / label / f"{part}{n}.npy", rng.random((3, 4)))
    shutil.copy(tmp_path / "in/test/up/test0.npy", tmp_path / "in/train/up/train0.npy")
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder}}\nencoder: {{precomputed: {tmp_path / 'in'}}}\n"
        f"head: {{task: action, hidden: 4}}\noutput: {tmp_path / 'run'}\ntraining: {{epochs: 2}}\n"
    )
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    with pytest.raises(ValueError, match=r"train/up/train0 .train. = test/up/test0 .test."):
        train_run(load_config(tmp_path / "a.yaml"), place)
    for policy, learnt, says in (
        ("allow", 12, "1 leaked clips allowed"),
        ("drop", 11, "1 leaked clips left out of training"),
    ):
        scores = train_run(load_config(tmp_path / "a.yaml", [f"data.leaks={policy}"]), place).scores
        assert scores["leaks"]["policy"] == policy
        assert len(scores["leaks"]["found"]) == 1
        assert json.loads((tmp_path / "run/model.json").read_text())["trained"]["clips"] == learnt
        assert says in (tmp_path / "run/report/index.html").read_text()
