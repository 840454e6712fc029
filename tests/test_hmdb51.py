"""HMDB51: the official lists of each class, films kept whole, and what the doctor says."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.hmdb51 import examine, load

FILMS = ("April_09", "#20_Rhythm", "Me & You (1)", "veoh]x", "Prelinger", "Nike", "Oceans")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two classes of seven films with two clips each: 8 train, 4 test, 2 not used."""
    lists = tmp_path / "splits"
    lists.mkdir()
    for label in ("brush_hair", "wave"):
        (tmp_path / "hmdb" / label).mkdir(parents=True)
        rows = []
        for n, film in enumerate(FILMS):
            for k in range(2):
                name = f"{film}_{label}_u_nm_np1_ba_goo_{k}.avi"
                (tmp_path / "hmdb" / label / name).write_text(f"{label} {film} {k}")
                rows.append(f"{name} {1 if n < 4 else 2 if n < 6 else 0} ")
        (lists / f"{label}_test_split2.txt").write_text("\r\n".join(rows))
    return Source(root=tmp_path / "hmdb", annotations=lists, split="2")


def test_ones_are_train_twos_are_test_and_zeros_nothing(source: Source) -> None:
    split = load(source)
    assert split.labels == ("brush_hair", "wave")
    assert len(split.test) == 8
    # One of four films a class becomes validation, whole.
    assert [len(split.part(part)) for part in PARTS] == [12, 4, 8]
    assert not any("Oceans" in clip.id for clip in split.clips())
    assert split.test[0].id == "brush_hair/Prelinger_brush_hair_u_nm_np1_ba_goo_0"
    assert split.test[0].path.read_text() == "brush_hair Prelinger 0"
    assert split.missing == ()


def test_a_film_is_in_one_part_of_its_class(source: Source) -> None:
    split = load(source)
    groups = [{(c.label, c.group) for c in split.part(part)} for part in PARTS]
    assert sum(map(len, groups)) == len(groups[0] | groups[1] | groups[2]) == 12
    assert ("wave", "#20_Rhythm") in groups[0] | groups[1]


def test_a_lost_clip_is_named_and_moves_no_other(source: Source) -> None:
    before = load(source)
    before.test[3].path.unlink()
    after = load(source)
    assert after.missing == (before.test[3].id,)
    assert (after.train, after.val) == (before.train, before.val)


def test_lists_out_of_form_are_named_by_line(source: Source) -> None:
    assert source.annotations is not None
    with pytest.raises(ValueError, match=r"has no file \*_test_split1.txt; it should hold brush"):
        load(Source(root=source.root, annotations=source.annotations, split="1"))
    path = source.annotations / "wave_test_split2.txt"
    for line, says in (("x.avi 3", "line 1: 'x.avi 3' is not"), ("../a.avi 1", "leaves the")):
        path.write_text(line)
        with pytest.raises(ValueError, match=says):
            load(source)


def test_the_doctor_counts_and_finds_the_same_bytes(source: Source) -> None:
    wave = source.root / "wave"
    copied = (wave / "Nike_wave_u_nm_np1_ba_goo_0.avi").read_text()
    (wave / "veoh]x_wave_u_nm_np1_ba_goo_1.avi").write_text(copied)
    text = "\n".join(f"{f.level} {f.text} {f.examples}" for f in examine(source))
    assert "split 2 lists 2 classes, 16 train and 8 test clips; official: 51, 3,570" in text
    assert "all 24 listed clips are on disk" in text
    assert "wave/veoh]x_wave_u_nm_np1_ba_goo_1 (train) = wave/Nike_wave" in text
