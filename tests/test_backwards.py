"""The arrow of time: clips backwards as classes of their own, and what is scored of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reelscribe.datasets.backwards import inside, with_reversed
from reelscribe.datasets.clip import Clip, Split
from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.holding import OnDisk, Room
from reelscribe.pipeline.inputs import Place, gather, load_split
from reelscribe.pipeline.metrics.actions import direction
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.stages.lens import look


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
    assert direction([(0.300001, 0.3), (0.3, 0.300001)]) == 0.5, "rounding is no direction"
    assert direction([(0.31, 0.3), (0.301, 0.3), (0.3, 0.301)]) == 2 / 3


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


def test_seconds_at_both_ends_are_left_out() -> None:
    pts_T = np.arange(11) / 10
    assert list(pts_T[inside(pts_T, 0.2)]) == list(pts_T[2:9])
    assert inside(pts_T, 0.0) == slice(0, 11)
    assert inside(pts_T, 0.15) == slice(2, 9), "a frame within the time is left out whole"
    assert inside(pts_T, 60.0) == slice(3, 8), "a quarter at each end at most"
    assert inside(np.zeros(1), 0.5) == inside(np.zeros(1), 0.0) == slice(0, 1)


@pytest.mark.parametrize(
    ("pts", "kept"), [([0, 7], 0), ([0, 0.1, 7], 1), ([0, 0, 0, 5, 5, 5], 0), ([0, 4, 5, 9], 1)]
)
def test_one_frame_is_left_where_all_are_at_the_ends(pts: list[float], kept: int) -> None:
    found = inside(np.array(pts, dtype=np.float64), 60.0)
    assert found.start == kept
    assert found.stop > found.start


def marked(root: Path, make_video: Callable[..., Path]) -> None:
    """Clips of one grey, but for a first frame that is brighter, as a key frame is sharper."""
    for number, label in enumerate(("dark", "light")):
        for n in range(8):
            grey = 60 + 80 * number + n
            shade = lambda i, grey=grey: grey + 30 * (i == 0)  # noqa: E731
            make_video(root / label / f"{n}.mp4", frames=12, grey=shade)


@pytest.mark.parametrize(("trim", "right"), [("0", 1.0), ("0.2", 0.5)])
def test_a_mark_at_the_start_tells_no_direction_where_the_ends_are_left_out(
    trim: str, right: float, tmp_path: Path, own_cache: Path, make_video: Callable[..., Path]
) -> None:
    """A result that looks too good is a leak: here the direction is in nothing but the mark."""
    marked(tmp_path / "in", make_video)
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder, root: {tmp_path / 'in'}, reversed: true, trim: {trim}}}\n"
        "frames: {count: 12}\n"
        "head: {task: action, hidden: 16, dropout: 0.0, norm: steps, both_ways: true}\n"
        f"output: {tmp_path / 'run'}\n"
        "training: {epochs: 40, lr: 0.02, patience: 40}\n"
    )
    config = load_config(tmp_path / "a.yaml")
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    material = gather(config, load_split(config), place)
    frames = 12 if trim == "0" else 8
    example = material.examples(material.clips("test")[:1])[0]
    assert len(example.feats_TD) == len(material.features(material.clips("test")[0]).pts_T)
    assert len(example.feats_TD) == frames
    scores = train_run(config, place).scores
    # Frames that are all the same are the same backwards: a tie is half a right answer.
    assert scores["direction"] == pytest.approx(right, abs=1e-6)
    # The lens shows what the head has learnt from, not more.
    video = material.clips("test")[0].path
    seen = look(config.output, [video], tmp_path / "lens", place).clips[0]
    times_T = material.features(material.clips("test")[0]).pts_T
    assert seen["times"] == [round(float(second), 3) for second in times_T]
    assert len(seen["times"]) == frames


def test_a_trimmed_run_is_stale_where_the_trim_changes(
    tmp_path: Path, own_cache: Path, make_video: Callable[..., Path]
) -> None:
    marked(tmp_path / "in", make_video)
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder, root: {tmp_path / 'in'}, reversed: true}}\n"
        "frames: {count: 12}\nhead: {task: action, hidden: 4}\n"
    )
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    digests = []
    for trim in ("0", "0.2", "0.3", "0.2"):
        config = load_config(tmp_path / "a.yaml", [f"data.trim={trim}"])
        material = gather(config, load_split(config), place)
        digests.append(material.digest(material.clips("test")))
    assert len(set(digests)) == 3
    assert digests[1] == digests[3]


def test_what_is_left_out_is_left_out_on_disk_and_of_mirrored_views_too(
    tmp_path: Path, own_cache: Path, make_video: Callable[..., Path]
) -> None:
    marked(tmp_path / "in", make_video)
    (tmp_path / "a.yaml").write_text(
        f"data: {{dataset: folder, root: {tmp_path / 'in'}, reversed: true, trim: 0.2}}\n"
        "frames: {count: 12}\nhead: {task: action, hidden: 4}\ntraining: {mirrored: true}\n"
    )
    config = load_config(tmp_path / "a.yaml")
    place = Place(cache=own_cache, runner=Runner(workers=1, local=True))
    material = gather(config, load_split(config), place)
    clips = material.clips("train")
    held = material.examples(clips, Room(1.0), mirrors=True)
    on_disk = material.examples(clips, Room(0.0), mirrors=True)
    assert isinstance(on_disk[0], OnDisk)
    for clip, one, other in zip(clips, held, on_disk, strict=True):
        assert one.mirror is not None
        assert other.mirror is not None
        assert len(one.feats_TD) == len(one.mirror.feats_TD) == 8
        assert torch.equal(one.feats_TD, other.feats_TD)
        assert torch.equal(one.mirror.feats_TD, other.mirror.feats_TD)
        whole_TD = torch.from_numpy(material.features(clip).feats_TD)
        assert torch.equal(one.feats_TD, whole_TD.flip(0) if clip.backwards else whole_TD)


def test_trim_is_refused_without_reversed_clips_and_with_features_without_times(
    tmp_path: Path,
) -> None:
    ramps(tmp_path / "in")
    (tmp_path / "a.yaml").write_text("data: {dataset: folder}\nhead: {task: action}\n")
    sets = [f"data.root={tmp_path / 'in'}", f"output={tmp_path / 'run'}", "data.trim=0.5"]
    with pytest.raises(
        ValueError, match=r"data.trim: is 0.5 and data.reversed is not true; set that"
    ):
        load_config(tmp_path / "a.yaml", sets)
    with pytest.raises(ValueError, match=r"data.trim: .*greater than or equal to 0"):
        load_config(tmp_path / "a.yaml", [*sets, "data.reversed=true", "data.trim=-1"])
    ready = ["data.reversed=true", f"encoder.precomputed={tmp_path / 'in'}"]
    with pytest.raises(
        ValueError, match=r"data.trim is 0.5 and features of encoder.precomputed may"
    ):
        load_split(load_config(tmp_path / "a.yaml", [*sets, *ready]))


def test_mean_pooling_has_no_steps_to_read_an_order_from() -> None:
    """Their mean would be the last frame less the first."""
    torch.manual_seed(0)
    head = ActionHead(dim=6, classes=4, cell="none", norm="steps").eval()
    clips = [torch.randn(5, 6) for _ in range(8)]
    head.measure(clips)
    lengths_B = torch.full((8,), 5)
    feats_BTD = torch.stack(clips)
    torch.testing.assert_close(head(feats_BTD, lengths_B), head(feats_BTD.flip(1), lengths_B))
