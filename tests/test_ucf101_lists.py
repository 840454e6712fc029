"""The lists of UCF101: what is out of form, there twice or of another split is said by its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_ucf101 import CLASSES, replace_line, stem, write_lists

from reelscribe.datasets.clip import Source
from reelscribe.datasets.ucf101 import examine, load
from reelscribe.datasets.ucf101_lists import OFFICIAL, SPLITS, TESTED, read_lists


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Lists of four classes of 25 clips, one a group, and one clip of them on disk."""
    root = tmp_path / "videos"
    (root / CLASSES[0]).mkdir(parents=True)
    (root / CLASSES[0] / f"{stem(CLASSES[0], 1)}.avi").write_text("x")
    write_lists(tmp_path / "lists")
    return Source(root=root, annotations=tmp_path / "lists")


def test_the_official_sizes_add_up() -> None:
    assert {sum(OFFICIAL[split]) for split in SPLITS} == {13_320}
    assert not set(TESTED["1"]) & set(TESTED["2"]) & set(TESTED["3"])


def test_lists_are_read_in_their_order(source: Source) -> None:
    lists = read_lists(source)
    assert lists.classes == CLASSES
    assert [len(lists.train), len(lists.test)] == [72, 28]
    assert (lists.test[0].id, lists.test[0].group) == ("Archery/v_Archery_g01_c01", "Archery_g01")


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("classInd.txt", "2 Hammering", "Hammering", r"classInd.txt line 2: 'Hammering' is not"),
        ("classInd.txt", "2 Hammering", "1 Hammering", "line 2: '1 Hammering' repeats"),
        ("classInd.txt", "1 Archery", "1 ../up", r"'\.\./up' leaves the folder"),
        ("testlist01.txt", "Archery/v_", "../v_", r"line 1: '\.\./v_Archery.* leaves the folder"),
        ("testlist01.txt", "Archery/v_", "/etc/v_", "line 1: '/etc/v_Archery.* leaves the folder"),
        ("testlist01.txt", "Archery/v_", "Arch/v_", "class 'Arch' is not in classInd.txt"),
        ("testlist01.txt", "_g01_c01", "", "line 1: 'Archery/v_Archery.avi.* is not like"),
        ("testlist01.txt", "g02_c01", "g01_c01", "g01_c01 is listed twice, in testlist01.txt; u"),
        ("testlist01.txt", "g02_c01", "g09_c01", "g09_c01 is listed twice, in trainlist01.txt and"),
        (
            "testlist01.txt",
            "g02_c01",
            "g09_c02",
            "1 groups are in train and test, first Arch",
        ),
        ("trainlist01.txt", "c01.avi 1", "c01.avi 2", "Archery is 1 in classInd.txt and 2 here"),
    ],
)
def test_a_list_out_of_form_is_refused_by_line(
    source: Source, name: str, old: str, new: str, says: str
) -> None:
    replace_line(source, name, old, new)
    with pytest.raises(ValueError, match=says) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_the_test_list_of_another_split_is_refused(source: Source) -> None:
    assert source.annotations is not None
    for number in range(1, 8):  # As split 2 would have it, under split 1's name.
        for name in ("testlist01.txt", "trainlist01.txt"):
            path = source.annotations / name
            ours, theirs = f"_g{number:02d}_", f"_g{number + 7:02d}_"
            old, new = (ours, theirs) if name == "testlist01.txt" else (theirs, ours)
            path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"testlist01\.txt has groups 8 to 14 alone, .* split 2's"):
        load(source)
    (finding,) = examine(source)
    assert "set data.split to 2" in finding.text
