"""The made clips: twins are reversals, parts are balanced, captions are true, files are whole."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reelscribe.datasets import theatre
from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.figures import CLOTH, CYCLES, WAY_DOWN
from reelscribe.datasets.script import (
    ACTIONS,
    COLOURS,
    HEIGHT,
    LABELS,
    RATE,
    WIDTH,
    draw_scene,
    read_slots,
)
from reelscribe.datasets.stage import render

TWINS = [label for label in LABELS if ACTIONS[label].twin]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The smallest set there is, made once; tests that change it make one of their own."""
    source = Source(root=tmp_path_factory.mktemp("theatre"), clips=theatre.LEAST)
    theatre.load(source)
    return source


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def stamps(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*.*")}


def read(path: Path) -> NDArray[np.uint8]:
    import av

    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return np.stack(frames).astype(np.uint8)


def test_eight_of_the_twelve_labels_are_four_pairs_of_twins() -> None:
    assert len(LABELS) == 12
    assert len(TWINS) == 8
    for label in TWINS:
        twin = ACTIONS[label].twin
        assert twin is not None
        assert ACTIONS[twin].twin == label
        assert ACTIONS[twin].plays == ACTIONS[label].plays
        assert ACTIONS[twin].backwards is not ACTIONS[label].backwards


@pytest.mark.parametrize("label", TWINS)
def test_a_twin_is_the_same_pixels_in_reverse_order(label: str) -> None:
    scene = draw_scene(3, LABELS.index(label))
    twin = scene.twin()
    assert twin is not None
    assert (scene.label, twin.label) == (label, ACTIONS[label].twin)
    frames_THWC = render(scene)
    np.testing.assert_array_equal(frames_THWC, render(twin)[::-1])
    assert (frames_THWC[0] != frames_THWC[-1]).mean() > 0.01, "nothing moved"


def test_the_others_have_no_twin() -> None:
    for label in set(LABELS) - set(TWINS):
        assert draw_scene(0, LABELS.index(label)).twin() is None


@pytest.mark.parametrize(
    ("label", "sign"), [("walk_right", 1), ("walk_left", -1), ("run_right", 1)]
)
def test_who_walks_right_goes_right(label: str, sign: int) -> None:
    frames_THWC = render(draw_scene(0, LABELS.index(label))).astype(float)
    # The background is what most frames show; what differs from it is the figure.
    moved_THW = np.abs(frames_THWC - np.median(frames_THWC, axis=0)).sum(axis=3) > 90
    columns = np.arange(WIDTH)
    third = len(moved_THW) // 3
    early, late = (
        (part_THW.sum(axis=(0, 1)) * columns).sum() / part_THW.sum()
        for part_THW in (moved_THW[:third], moved_THW[-third:])
    )
    assert sign * (late - early) > WIDTH / 10


def test_every_movement_that_is_played_can_be_drawn() -> None:
    assert {action.plays for action in ACTIONS.values()} == set(CYCLES) | set(WAY_DOWN)
    assert set(CLOTH) == set(COLOURS)


def test_a_clip_depends_on_seed_and_index_alone() -> None:
    assert draw_scene(0, 7) == draw_scene(0, 7)
    np.testing.assert_array_equal(render(draw_scene(0, 7)), render(draw_scene(0, 7)))
    assert theatre.captions_of(0, 7) == theatre.captions_of(0, 7)
    assert draw_scene(1, 7) != draw_scene(0, 7)
    assert draw_scene(0, 19) != draw_scene(0, 7)


def test_no_two_clips_are_nearly_alike() -> None:
    """Complaint 1 (eriklindernoren/Action-Recognition#12): near copies in train and test."""
    drawn = [draw_scene(0, index) for index in range(600)]
    fingerprints = {(s.tempo, s.size, s.place, s.paint) for s in drawn}
    assert len(fingerprints) == 600
    assert len({s.frames for s in drawn}) == 27
    assert {s.frames / RATE for s in drawn} >= {1.5, 3.0}


@pytest.mark.parametrize("clips", [36, 100, 600])
def test_parts_are_balanced(clips: int) -> None:
    counts = {part: Counter[str]() for part in PARTS}
    for index in range(clips):
        counts[theatre.part_of(index)][LABELS[index % 12]] += 1
    for part in PARTS:
        assert len(counts[part]) == 12
        assert max(counts[part].values()) - min(counts[part].values()) <= 1
    if clips == 600:
        assert [counts[part].total() for part in PARTS] == [420, 60, 120]


def test_captions_name_what_the_clip_shows() -> None:
    for index in range(600):
        captions = theatre.captions_of(0, index)
        assert len(set(captions)) == 5
        for caption in captions:
            assert read_slots(caption) == draw_scene(0, index).slots, caption


def test_slots_are_read_off_any_caption() -> None:
    assert read_slots("Two green figures are jumping on the stage.") == {
        "count": "two",
        "colour": "green",
        "action": "jump",
        "direction": None,
    }
    assert read_slots("someone in blue walks to the left")["direction"] == "left"
    assert read_slots("a figure") == {
        "count": "one",
        "colour": None,
        "action": None,
        "direction": None,
    }


def test_every_file_is_a_video_that_both_decoders_read(small: Source) -> None:
    for clip in theatre.load(small).clips():
        frames_THWC = read(clip.path)
        scene = draw_scene(0, int(clip.id[-5:]))
        assert frames_THWC.shape == (scene.frames, HEIGHT, WIDTH, 3)
        # What was encoded is what was drawn, but for H.264's rounding and the grain.
        error = np.abs(frames_THWC.astype(float) - render(scene)).mean()
        assert error < 8, clip.id
    decord = pytest.importorskip("decord")
    reader = decord.VideoReader(str(clip.path), num_threads=1)
    assert (len(reader), reader.get_avg_fps()) == (scene.frames, RATE)


def test_a_split_says_which_clip_is_what(small: Source) -> None:
    split = theatre.load(small)
    assert split.labels == LABELS
    assert [len(split.part(part)) for part in PARTS] == [12, 12, 12]
    assert {clip.group for clip in split.clips()} == {clip.id for clip in split.clips()}
    kept = json.loads((small.root / "theatre.json").read_text())
    for clip in split.clips():
        assert clip.label == clip.path.parent.name
        assert kept["clips"][clip.id]["captions"] == list(clip.captions)
        assert kept["clips"][clip.id]["slots"] == read_slots(clip.captions[0])


def test_a_second_load_makes_nothing(small: Source) -> None:
    before = stamps(small.root)
    first = theatre.load(small)
    assert theatre.load(small) == first
    assert stamps(small.root) == before


def test_a_lost_clip_is_made_again_to_the_byte(small: Source) -> None:
    before, times = contents(small.root), stamps(small.root)
    lost = theatre.load(small).train[0].path
    lost.unlink()
    # What a killed process leaves behind is no clip.
    half = lost.with_name(f".{lost.name}.1234.part")
    half.write_bytes(b"half")
    theatre.load(small)
    half.unlink()
    assert contents(small.root) == before
    changed = {name for name, at in stamps(small.root).items() if times[name] != at}
    assert {name for name in changed if name.endswith(".mp4")} == {
        f"{lost.parent.name}/{lost.name}"
    }


def test_encoding_gives_the_same_bytes_whatever_lay_in_memory(tmp_path: Path) -> None:
    # With crf in place of qp, libx264 gives two to five different files here.
    rng = np.random.default_rng(0)
    made = set()
    for _ in range(30):
        junk = [
            np.frombuffer(rng.bytes(int(size)), np.uint8) + 1
            for size in rng.integers(400_000, size=8)
        ]
        del junk
        theatre.make_clip(tmp_path / "box.mp4", seed=0, index=9)
        made.add((tmp_path / "box.mp4").read_bytes())
    assert len(made) == 1


def test_nothing_is_left_of_a_clip_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, frames: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(theatre, "_encode", fail)
    with pytest.raises(OSError, match="no space"):
        theatre.make_clip(tmp_path / "a.mp4", seed=0, index=0)
    assert list(tmp_path.iterdir()) == []


def test_another_seed_or_version_makes_other_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def make(job: tuple[Path, int, int]) -> None:
        path, seed, index = job
        made.append(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % seed)

    monkeypatch.setattr(theatre, "_make_one", make)
    source = Source(root=tmp_path, clips=36)
    theatre.load(source)
    theatre.load(source)
    assert made == list(range(36))
    theatre.load(Source(root=tmp_path, clips=36, seed=1))
    assert made == [*range(36)] * 2
    assert (tmp_path / "box" / "00009.mp4").read_bytes() == b"1"
    monkeypatch.setattr(theatre, "VERSION", theatre.VERSION + 1)
    theatre.load(Source(root=tmp_path, clips=36, seed=1))
    assert made == [*range(36)] * 3


def test_a_larger_set_keeps_the_smaller(tmp_path: Path, small: Source) -> None:
    theatre.load(Source(root=tmp_path, clips=36))
    before = stamps(tmp_path)
    split = theatre.load(Source(root=tmp_path, clips=38))
    after = stamps(tmp_path)
    mp4 = {name for name in before if name.endswith(".mp4")}
    assert len(mp4) == 36
    assert all(after[name] == before[name] for name in mp4)
    assert len(list(split.clips())) == 38
    assert len(list(theatre.load(Source(root=tmp_path, clips=36)).clips())) == 36


@pytest.mark.slow
def test_many_clips_are_made_by_processes_with_equal_bytes(tmp_path: Path, small: Source) -> None:
    theatre.load(Source(root=tmp_path, clips=60))
    few, many = contents(small.root), contents(tmp_path)
    assert {name: many[name] for name in few if name.endswith(".mp4")} == {
        name: data for name, data in few.items() if name.endswith(".mp4")
    }
    assert len(many) == 61


def test_files_that_are_not_ours_are_never_touched(tmp_path: Path) -> None:
    mine = tmp_path / "wave" / "00008.mp4"
    mine.parent.mkdir()
    mine.write_bytes(b"a video of mine")
    with pytest.raises(ValueError, match="choose another root"):
        theatre.load(Source(root=tmp_path, clips=36))
    assert contents(tmp_path) == {os.path.join("wave", "00008.mp4"): b"a video of mine"}


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"version": 1}', '{"version": 0, "seed": 0, "clips": {"../../mine": {}}}'],
)
def test_an_index_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "theatre.json").write_text(text)
    with pytest.raises(ValueError, match="is not an index of theatre clips"):
        theatre.load(Source(root=tmp_path, clips=36))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clips": 35}, "35 clips are too few .* ask for 36 or more"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"split": "2"}, "theatre has no split '2'; there are: 1"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        theatre.load(Source(root=tmp_path, **settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_examine_counts_and_makes_nothing(small: Source, tmp_path: Path) -> None:
    texts = [finding.text for finding in theatre.examine(small)]
    assert texts[0] == "36 of 36 clips are there"
    assert "train: 12 clips, 1 to 1 of each of 12 labels" in texts
    (finding,) = theatre.examine(Source(root=tmp_path, clips=36))
    assert "no clips yet" in finding.text
    assert list(tmp_path.iterdir()) == []
    (finding,) = theatre.examine(Source(root=small.root, clips=36, seed=5))
    assert (finding.level, "seed 0, wanted" in finding.text) == ("warning", True)


def test_examine_names_a_clip_that_does_not_open(tmp_path: Path) -> None:
    source = Source(root=tmp_path, clips=36)
    clip = theatre.load(source).test[3]
    clip.path.write_bytes(clip.path.read_bytes()[:500])
    (error,) = (finding for finding in theatre.examine(source) if finding.level == "error")
    assert (error.text[:7], error.examples) == ("1 clips", (clip.id,))
