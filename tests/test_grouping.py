"""Groups out of names: what a pattern keeps together, and patterns that are refused in one line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from reelscribe.datasets import grouping
from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.folder import examine, load
from reelscribe.datasets.grouping import check, groups_of
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.inputs import load_split


def test_the_first_group_is_searched_for() -> None:
    names = ["walk/p01_d1_c1", "run/p01_d2_c1", "run/p02_d1_c1"]
    assert groups_of(names, r"(p\d+)_") == ["p01", "p01", "p02"]
    assert groups_of(names, r"(.+)_c\d+") == ["walk/p01_d1", "run/p01_d2", "run/p02_d1"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(.+)_c[", "is no regular expression"),
        (r".+_c\d+", "has no group; put what clips of one source share into parentheses"),
        (r"(\d\d\d)_", "finds no group in 2 of 2 clips, first 'a/g1_c1'"),
        (r"(.+)_c1$", "finds no group in 1 of 2 clips, first 'a/g1_c2'"),
        (r"(x*)", "finds no group in 2 of 2 clips"),
        (r"(.)/", "puts all 2 clips into one group, 'a'"),
    ],
)
def test_a_pattern_that_makes_no_groups_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        groups_of(["a/g1_c1", "a/g1_c2"], pattern)
    assert "\n" not in str(refused.value)


def test_a_pattern_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"not done with 1 names after 1 s; a repeat within a rep"):
        groups_of(["a" * 40 + "!"], "((a+)+)b")
    assert time.monotonic() - began < 20


def test_a_good_pattern_comes_back() -> None:
    assert check(r"(.+)_c\d+") == r"(.+)_c\d+"


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_clips_of_a_group_stay_in_one_part_and_classes_in_all(tmp_path: Path) -> None:
    clips = [f"{k}/v_g{g:02d}_c{c}.mp4" for k in "ab" for g in range(9) for c in range(4)]
    split = load(Source(root=fill(tmp_path, *clips), groups=r"(.+)_c\d+"))
    where = {part: {clip.group for clip in split.part(part)} for part in PARTS}
    assert sum(map(len, where.values())) == len(set.union(*where.values())) == 18
    for part in PARTS:
        assert {clip.label for clip in split.part(part)} == {"a", "b"}
    # Without it two clips of one scene do come apart: this is what the pattern is for.
    apart = load(Source(root=tmp_path))
    scenes = [{clip.id[:7] for clip in apart.part(part)} for part in PARTS]
    assert scenes[0] & scenes[2]


def test_a_group_in_two_folders_of_parts_is_a_leak(tmp_path: Path) -> None:
    parts = {"train": (1, 2, 3), "val": (4, 5), "test": (3, 6)}
    names = [
        f"{p}/{k}/g{n}_c{p}.mp4" for p, numbers in parts.items() for n in numbers for k in "ab"
    ]
    source = Source(root=fill(tmp_path, *names), groups=r"(g\d)_")
    with pytest.raises(ValueError, match=r"^group 'g3' has clips in two parts, 'train/a/g3_c"):
        load(source)
    assert [f.level for f in examine(source)] == ["error"]
    assert len(load(Source(root=tmp_path)).train) == 6


def test_a_column_and_a_pattern_contradict(tmp_path: Path) -> None:
    fill(tmp_path / "in", "a.mp4", "b.mp4")
    (tmp_path / "t.csv").write_text("path,label,group\na.mp4,x,1\nb.mp4,y,2\n")
    source = Source(root=tmp_path / "in", annotations=tmp_path / "t.csv", groups="(.)")
    with pytest.raises(ValueError, match=r"has a column group beside data\.groups; give one$"):
        load(source)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["data.groups=.+"], "data.groups: pattern '.+' has no group"),
        (["data.groups=(.+)_c", "data.dataset=ucf101"], "data.groups: is for the dataset folder"),
    ],
)
def test_in_a_config_it_is_checked_at_once(settings: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        load_config(Path("folder"), [f"data.root={tmp_path}", *settings])
    fill(tmp_path, *(f"{label}/g{n}_c{n}.mp4" for label in "ab" for n in "xyz"))
    good = [f"data.root={tmp_path}", "data.groups=(.+)_c"]
    split = load_split(load_config(Path("folder"), good))
    assert {clip.group[:3] for clip in split.test} == {"a/g", "b/g"}
