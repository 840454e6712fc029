"""UCF101: the official lists to the byte, validation by groups, and what the doctor says."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.datasets.clip import PARTS, Finding, Source
from reelscribe.datasets.ucf101 import examine, load

CLASSES = ("Archery", "Hammering", "HammerThrow", "HandstandPushups")
"""Four real classes, in classInd's order and with its one odd spelling."""


def stem(label: str, group: int) -> str:
    return f"v_{label.replace('dstandP', 'dStandP')}_g{group:02d}_c01"


def write_lists(folder: Path, *, groups: int = 25, classes: tuple[str, ...] = CLASSES) -> None:
    """Write the three files as published: groups 1-7 are the test of split 1."""
    folder.mkdir(exist_ok=True)
    numbered = list(enumerate(classes, start=1))
    train = [
        f"{c}/{stem(c, g)}.avi {i}" for i, c in numbered for g in range(1, groups + 1) if g > 7
    ]
    test = [f"{c}/{stem(c, g)}.avi" for _, c in numbered for g in range(1, 8)]
    for name, lines in (
        ("classInd.txt", [f"{i} {c}" for i, c in numbered]),
        ("trainlist01.txt", train),
        ("testlist01.txt", test),
    ):
        (folder / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A whole copy of four classes of 25 clips, one a group."""
    root = tmp_path / "UCF 101 \u00e9"
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for group in range(1, 26):
            (root / label / f"{stem(label, group)}.avi").write_text(f"{label} {group}")
    write_lists(tmp_path / "lists")
    return Source(root=root, annotations=tmp_path / "lists")


def replace_line(source: Source, name: str, old: str, new: str) -> None:
    assert source.annotations is not None
    path = source.annotations / name
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode(), 1))


def texts(findings: list[Finding], level: str) -> str:
    return "\n".join(f"{f.text} {f.examples}" for f in findings if f.level == level)


def test_official_lists_make_train_val_and_test(source: Source) -> None:
    split = load(source)
    # 18 train groups a class: 8-22 train, 23-25 validation; 1-7 test.
    assert [len(split.part(part)) for part in PARTS] == [4 * 15, 4 * 3, 4 * 7]
    assert {clip.group for clip in split.val if clip.label == "Archery"} == {
        "Archery_g23",
        "Archery_g24",
        "Archery_g25",
    }
    assert split.missing == ()
    first = split.train[0]
    assert (first.id, first.label) == ("Archery/v_Archery_g08_c01", "Archery")
    assert first.path.read_text() == "Archery 8"


def test_labels_follow_class_ind_and_not_the_alphabet(source: Source) -> None:
    """Complaint 17 (pytorch/vision): torchvision sorts, so 4 classes have other numbers."""
    assert load(source).labels == CLASSES
    assert sorted(CLASSES) != list(CLASSES)


def test_the_class_is_the_folder_where_file_names_spell_it_otherwise(source: Source) -> None:
    clips = [clip for clip in load(source).clips() if "StandPushups" in clip.id]
    assert {clip.label for clip in clips} == {"HandstandPushups"}
    assert len(clips) == 25


def test_no_group_is_in_two_parts(source: Source) -> None:
    """Complaint 1 (eriklindernoren/Action-Recognition#12): 91 % with leaks, 76 % without."""
    groups = [{clip.group for clip in load(source).part(part)} for part in PARTS]
    assert sum(map(len, groups)) == len(groups[0] | groups[1] | groups[2]) == 4 * 25


def test_a_lost_clip_is_named_and_moves_no_other(source: Source) -> None:
    """Complaint 22 (hobincar/RecNet#9 and others): copies are not whole; say what is missing."""
    before = load(source)
    (source.root / "Archery" / "v_Archery_g25_c01.avi").unlink()
    after = load(source)
    assert after.missing == ("Archery/v_Archery_g25_c01",)
    assert after.train == before.train
    assert len(after.val) == len(before.val) - 1


def test_a_class_without_clips_on_disk_is_no_label(source: Source) -> None:
    for path in (source.root / "Hammering").iterdir():
        path.unlink()
    split = load(source)
    assert split.labels == ("Archery", "HammerThrow", "HandstandPushups")
    assert len(split.missing) == 25


def test_a_copy_converted_to_mp4_is_found(source: Source) -> None:
    path = source.root / "Archery" / "v_Archery_g01_c01.avi"
    path.rename(path.with_suffix(".mp4"))
    split = load(source)
    assert split.missing == ()
    assert split.test[0].path.suffix == ".mp4"


def test_lists_without_carriage_returns_and_with_a_mark_are_the_same(source: Source) -> None:
    before = load(source)
    assert source.annotations is not None
    for path in source.annotations.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").rstrip())
    assert load(source) == before


def test_a_folder_that_is_no_class_is_said_with_the_class_it_may_mean(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    (source.root / "Archery").rename(source.root / "archery")
    (source.root / "lists of others").mkdir()
    assert len(load(source).missing) == 25
    assert caplog.messages == [
        f"{source.root}: no class of classInd.txt, left out: archery (did you mean Archery?)"
    ]


def test_folders_that_are_not_there_say_what_they_should_hold(
    source: Source, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"data.root .* is not a folder; .* one folder a class"):
        load(Source(root=tmp_path / "no", annotations=source.annotations))
    with pytest.raises(ValueError, match=r"has no classInd.txt; it should hold classInd.txt, tr"):
        load(Source(root=source.root, annotations=source.root))
    with pytest.raises(ValueError, match=r"has none of the 100 listed clips; .* it holds 'UCF 101"):
        load(Source(root=source.root.parent, annotations=source.annotations))


def test_another_split_lists_the_allowed(source: Source) -> None:
    with pytest.raises(ValueError, match="ucf101 has no split '01'; there are: 1, 2, 3"):
        load(Source(root=source.root, annotations=source.annotations, split="01"))


def test_doctor_of_a_small_whole_copy(source: Source) -> None:
    findings = list(examine(source))
    assert texts(findings, "error") == ""
    notes = texts(findings, "note")
    assert "all 100 listed clips are on disk" in notes
    assert "no group is in both train and test" in notes
    assert "25 files spell their class unlike their folder" in notes
    assert "2 classes stand elsewhere when sorted" in notes
    assert "CRLF" in notes
    assert "lists 4 classes, 72 train and 28 test clips; official: 101, 9,537 and 3,783" in texts(
        findings, "warning"
    )


def test_doctor_finds_what_is_wrong(source: Source) -> None:
    archery = source.root / "Archery"
    # The bytes of g01, a test clip, in a train list's clip that became validation.
    (archery / "v_Archery_g25_c01.avi").write_text("Archery 1")
    (archery / "v_Archery_g09_c01.avi").unlink()
    (archery / "v_Archery_g10_c01.avi").write_bytes(b"")
    (source.root / "Extra").mkdir()
    (source.root / "Extra" / "v_Extra_g01_c01.avi").write_text("x")
    (source.root / "Archry").mkdir()
    (source.root / "Archry" / "v_Archery_g01_c01.avi").write_text("y")
    findings = list(examine(source))
    warnings = texts(findings, "warning")
    assert "1 of 100 listed clips are not on disk ('Archery/v_Archery_g09_c01',)" in warnings
    assert "2 videos on disk are in no list and will not be used ('Archry/v_Archery_g01" in warnings
    assert "2 folders with videos are no class of classInd.txt ('Archry (did you" in warnings
    assert "v_Archery_g25_c01 (train) = Archery/v_Archery_g01_c01 (test)" in warnings
    assert "1 files are empty" in texts(findings, "error")


def test_doctor_calls_a_shared_group_an_error(source: Source) -> None:
    """Complaint 1 again: lists split at random share groups."""
    replace_line(source, "testlist01.txt", "g02_c01", "g09_c02")
    assert "1 groups are in train and test" in texts(list(examine(source)), "error")


def test_doctor_answers_where_load_refuses(tmp_path: Path) -> None:
    (finding,) = examine(Source(root=tmp_path / "no"))
    assert finding.level == "error"
    assert "is not a folder" in finding.text


@pytest.mark.parametrize("split", ["1", "2", "3"])
def test_real_subset(real_data: Path, split: str) -> None:
    source = Source(
        root=real_data / "ucf101/UCF-101",
        annotations=real_data / "ucf101/ucfTrainTestlist",
        split=split,
    )
    read = load(source)
    assert len(read.train) + len(read.val) == 306
    assert len(read.test) == 119
    assert len(read.missing) == 13_320 - 425
    assert len(read.labels) == 9
    assert {clip.group[-3:] for clip in read.val} == {"g23", "g24", "g25"}
    # Two clips a group, of BandMarching one: 8 x 3 x 2 + 3.
    assert len(read.val) == 51


def test_real_subset_has_its_known_twin(real_data: Path) -> None:
    folder = real_data / "ucf101"
    findings = list(
        examine(Source(root=folder / "UCF-101", annotations=folder / "ucfTrainTestlist"))
    )
    assert texts(findings, "error") == ""
    assert "Basketball_g23_c01 (train) = Basketball/v_Basketball_g03_c01 (test)" in texts(
        findings, "warning"
    )
    assert "128 files spell" in texts(findings, "note")
    assert "Hammering', 'HammerThrow', 'JumpingJack', 'JumpRope'" in texts(findings, "note")
