"""Videos of one's own: class folders, tables with labels and captions, names that stay inside."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.folder import examine, load
from reelscribe.datasets.tables import inside, read_lines


def fill(root: Path, *names: str) -> None:
    """Make a file of each name, whose text is the name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def texts(source: Source, level: str) -> str:
    return "\n".join(f"{f.text} {f.examples}" for f in examine(source) if f.level == level)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


def table(tmp_path: Path, text: str, name: str = "table.csv") -> Source:
    (tmp_path / name).write_bytes(text.encode())
    return Source(root=tmp_path / "videos", annotations=tmp_path / name)


def test_class_folders_are_dealt_by_class(root: Path) -> None:
    fill(root, *(f"{label}/{i:02d}.mp4" for label in ("run", "Jump \u00e9") for i in range(20)))
    split = load(Source(root=root))
    assert split.name == "seeded"
    assert split.labels == ("Jump \u00e9", "run")
    for part, count in zip(PARTS, (14, 3, 3), strict=True):
        assert [c.label for c in split.part(part)] == ["Jump \u00e9"] * count + ["run"] * count
    assert split.train[0].path.read_text() == split.train[0].id


def test_clips_are_found_at_any_depth_and_only_videos_are(root: Path) -> None:
    fill(root, "run/a.mp4", "run/deep/er/b.MOV", "run/notes.txt", "run/._a.mp4", "loose.mp4")
    source = Source(root=root)
    assert sorted(clip.id for clip in load(source).clips()) == ["run/a.mp4", "run/deep/er/b.MOV"]
    assert "1 videos on disk are not listed or in no class" in texts(source, "warning")


def test_two_files_of_one_stem_are_two_clips(root: Path) -> None:
    """Complaint 4 (v-iashin/video_features#54): same stem, one result."""
    fill(root, "run/a.mp4", "run/a.avi", "jump/a.mp4")
    assert len({clip.id for clip in load(Source(root=root)).clips()}) == 3


def test_folders_called_train_and_test_are_parts_and_no_classes(root: Path) -> None:
    fill(root, "train/run/a.mp4", "train/jump/b.mp4", "Valid/run/c.mp4", "test/jump/d.mp4")
    split = load(Source(root=root))
    assert (split.name, split.labels) == ("given", ("jump", "run"))
    ids = {part: [clip.id for clip in split.part(part)] for part in PARTS}
    assert ids == {
        "train": ["train/jump/b.mp4", "train/run/a.mp4"],
        "val": ["Valid/run/c.mp4"],
        "test": ["test/jump/d.mp4"],
    }
    fill(root, "train/loose.mp4")
    with pytest.raises(ValueError, match=r"train/loose.mp4 is in no class; .* train/archery/a.mp4"):
        load(Source(root=root))


def test_links_are_followed_and_loops_are_not(root: Path, tmp_path: Path) -> None:
    fill(tmp_path, "elsewhere/a.mp4")
    (root / "run").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    assert [clip.id for clip in load(Source(root=root)).clips()] == ["run/a.mp4"]


def test_a_table_with_labels_splits_and_groups(root: Path, tmp_path: Path) -> None:
    fill(root, "a b.mp4", "sub/c.mp4", "d.mp4")
    text = "\ufeffPath, Label ,split,group\r\na b.mp4,run,train,x\r\nsub\\c.mp4,jump,valid,y\r\n"
    split = load(table(tmp_path, text + "\r\n./d.mp4,run,test,z\r\n"))
    assert [clip.id for clip in split.clips()] == ["a b.mp4", "sub/c.mp4", "d.mp4"]
    assert [clip.group for clip in split.clips()] == ["x", "y", "z"]
    assert [len(split.part(part)) for part in PARTS] == [1, 1, 1]
    assert split.labels == ("jump", "run")
    assert split.train[0].path == root / "a b.mp4"


def test_rows_of_one_path_gather_their_captions(root: Path, tmp_path: Path) -> None:
    fill(root, "a.mp4", "b.mp4")
    text = 'path;caption\na.mp4;a man, "he" runs\nb.mp4;a dog\na.mp4;"two\nlines"\n'
    captions = {clip.id: clip.captions for clip in load(table(tmp_path, text)).clips()}
    assert captions == {"a.mp4": ('a man, "he" runs', "two lines"), "b.mp4": ("a dog",)}


def test_json_lines_take_lists_of_captions(root: Path, tmp_path: Path) -> None:
    fill(root, "a.mp4")
    rows = [
        {"path": "a.mp4", "captions": ["one", "two"], "label": 7},
        {"path": "b.mp4", "caption": "three", "label": "8"},
    ]
    text = "\n".join(map(json.dumps, rows))
    split = load(table(tmp_path, text, "table.jsonl"))
    (clip,) = split.clips()
    assert (clip.captions, clip.label, split.labels) == (("one", "two"), "7", ("7",))
    assert split.missing == ("b.mp4",)


def test_a_table_in_latin_1_or_utf_16_is_read(root: Path, tmp_path: Path) -> None:
    fill(root, "caf\u00e9.mp4")
    for encoding in ("latin-1", "utf-16", "utf-8-sig"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("path,label\r\ncaf\u00e9.mp4,x\r\n".encode(encoding))
        (clip,) = load(Source(root=root, annotations=path)).clips()
        assert clip.id == "caf\u00e9.mp4"


def test_accents_match_however_they_are_composed(root: Path, tmp_path: Path) -> None:
    name = "caf\u00e9/\u00fc.mp4"
    fill(root, unicodedata.normalize("NFD", name))
    assert load(table(tmp_path, f"path,label\n{name},x\n")).missing == ()


def test_a_group_stays_whole_where_parts_are_dealt(root: Path, tmp_path: Path) -> None:
    """Complaint 1 (eriklindernoren/Action-Recognition#12): what looks alike stays together."""
    fill(root, *(f"{i}.mp4" for i in range(30)))
    rows = [f"{i}.mp4,run,scene{i // 5}" for i in range(30)]
    split = load(table(tmp_path, "\n".join(["path,label,group", *rows])))
    groups = [{clip.group for clip in split.part(part)} for part in PARTS]
    assert [len(part) for part in groups] == [4, 1, 1]
    assert len(groups[0] | groups[1] | groups[2]) == 6


def test_validation_is_dealt_out_of_train_and_never_out_of_test(root: Path, tmp_path: Path) -> None:
    fill(root, *(f"{i}.mp4" for i in range(30)))
    rows = [f"{i}.mp4,run,{'test' if i < 10 else 'train'}" for i in range(30)]
    split = load(table(tmp_path, "\n".join(["path,label,split", *rows])))
    assert [clip.id for clip in split.test] == [f"{i}.mp4" for i in range(10)]
    # 15 of 85 of the 20 are 3.5.
    assert (len(split.train), len(split.val)) == (16, 4)


def test_seeded_may_be_asked_for_where_parts_are_given(root: Path, tmp_path: Path) -> None:
    fill(root, "a.mp4", "b.mp4")
    source = table(tmp_path, "path,label,split\na.mp4,x,test\nb.mp4,x,test\n")
    assert len(load(source).test) == 2
    seeded = load(Source(root=root, annotations=source.annotations, split="seeded"))
    assert (len(seeded.train), len(seeded.test)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\n../secret.mp4,x", r"line 2: '\.\./secret.mp4' leaves the folder"),
        ("path,label\n/etc/passwd,x", "'/etc/passwd' leaves the folder"),
        ("path,label\nC:\\a.mp4,x", "leaves the folder"),
        ("path,label\nlink/../../a.mp4,x", r"'link/\.\./\.\./a.mp4' leaves the folder"),
        ("path,label\nsub\\..\\..\\a.mp4,x", "leaves the folder"),
        ("path,label\n ,x", "line 2: '' names no file"),
        ("path,lable\na.mp4,x", "no label or caption; .* did you mean 'label' by 'lable'"),
        ("file,label\na.mp4,x", "line 2: no path; the columns are file, label, and can be path"),
        ("path,label\n", "has no rows; it should have columns path, label"),
        ("path,label\na.mp4,x\nb.mp4,x\na.mp4,x", "lines 2 and 4: 'a.mp4' is there twice"),
        ("path,label\na.mp4,x\na.mp4,y", "lines 2 and 3: 'a.mp4' has label 'x' and 'y'; keep one"),
        ("path,label\na.mp4,x\nb.mp4,", "line 3: 'b.mp4' has no label, and 1 of 2 clips have"),
        ("path,label,split\na.mp4,x,\nb.mp4,x,val", "line 2: 'a.mp4' has no split, and 1 of 2"),
        ("path,label,split\na.mp4,x,dev", "line 2: split 'dev' is not one of train, val, test"),
        ("path,caption\na.mp4,a man, running", "line 2: 3 cells under 2 columns; put a text with"),
        ('path,caption\na.mp4,"a man', "check the quotes"),
        (
            "path,label,split,group\na.mp4,x,train,g\nb.mp4,x,test,g",
            "group 'g' has clips in two parts, 'a.mp4' and 'b.mp4'",
        ),
        ("path,label\nc.mp4,x", "none of the 1 listed clips; .* it holds 'a.mp4', 'b.mp4'"),
    ],
)
def test_a_table_out_of_form_is_refused_in_a_line(
    root: Path, tmp_path: Path, text: str, says: str
) -> None:
    fill(root, "a.mp4", "b.mp4")
    fill(tmp_path, "secret.mp4")
    with pytest.raises(ValueError, match=says) as caught:
        load(table(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"path": 1.5}', "line 1: path is 1.5; it should be a text"),
        ('{"path": "a.mp4", "captions": [1]}', "line 1: captions has 1; it should be a text"),
        ('["a.mp4"]', "is not a JSON object"),
        ('{"path": "a.mp4"', "line 1: not JSON"),
        ('{"path": "\\ud800.mp4"}', "line 1: half of a surrogate pair"),
    ],
)
def test_json_lines_out_of_form_are_refused(
    root: Path, tmp_path: Path, line: str, says: str
) -> None:
    fill(root, "a.mp4")
    with pytest.raises(ValueError, match=says):
        load(table(tmp_path, line, "table.jsonl"))


def test_what_is_not_there_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data.root .* is not a folder; it should hold one fol"):
        load(Source(root=tmp_path / "no"))
    with pytest.raises(ValueError, match=r"has no videos in folders; .* `reelscribe describe`"):
        load(Source(root=root))
    with pytest.raises(ValueError, match="folder has no split '3'; there are: 1, given, seeded"):
        load(Source(root=root, split="3"))
    fill(root, "run/a.mp4")
    with pytest.raises(ValueError, match="split 'given' needs a column split or folders train"):
        load(Source(root=root, split="given"))
    with pytest.raises(ValueError, match=r"table.xlsx is no table; it should end in .csv, .tsv"):
        load(table(tmp_path, "", "table.xlsx"))
    with pytest.raises(ValueError, match=r"no-such.csv is not a file"):
        load(Source(root=root, annotations=tmp_path / "no-such.csv"))


def test_doctor_counts_classes_and_finds_what_is_wrong(root: Path, tmp_path: Path) -> None:
    """Complaint 22: what is missing is named before a run, not in the middle of it."""
    names = [f"{i}.mp4" for i in range(6)]
    fill(root, *names, "stray.mp4")
    (root / "5.mp4").write_text("0.mp4")  # the bytes of 0.mp4
    for empty in ("3.mp4", "4.mp4"):
        (root / empty).write_bytes(b"")
    rows = ["0.mp4,run,train", "1.mp4,run,val", "2.mp4,run,test", "3.mp4,jump,train"]
    rows += ["4.mp4,jump,val", "5.mp4,run,test", "6.mp4,run,test"]
    source = table(tmp_path, "\n".join(["path,label,split", *rows]))
    warnings = texts(source, "warning")
    assert "('jump: 2', 'run: 4')" in texts(source, "note")
    assert "1 classes have fewer than 3 clips or groups" in warnings
    assert "1 of 7 listed clips are not on disk ('6.mp4',)" in warnings
    assert "1 videos on disk are not listed" in warnings
    # Empty files are empty, and no twins.
    assert "1 videos are byte for byte the same" in warnings
    assert "0.mp4 (train) = 5.mp4 (test)" in warnings
    assert "2 files are empty" in texts(source, "error")


def test_doctor_answers_where_load_refuses(tmp_path: Path) -> None:
    assert "is not a folder" in texts(Source(root=tmp_path / "no"), "error")


def test_doctor_counts_clips_without_captions(root: Path, tmp_path: Path) -> None:
    fill(root, "a.mp4", "b.mp4")
    source = table(tmp_path, "path,caption\na.mp4,a man\nb.mp4,\n")
    assert "1 of 2 clips have no caption ('b.mp4',)" in texts(source, "warning")


@pytest.mark.parametrize("name", ["..", "a/..", "/a", "//a/b", "\\a", "C:a", "a\0", "..\\a", "."])
def test_names_that_leave_or_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"^list line 3: "):
        inside(name, "list line 3")


def test_names_that_stay() -> None:
    assert inside("a/./b c/\u00e9..mp4", "") == "a/b c/\u00e9..mp4"
    assert inside("...", "") == "..."


def test_lines_end_where_files_say_and_not_inside_captions(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("a\u2028b\r\n\r\nc\x0cd\re".encode())
    assert read_lines(path) == [(1, "a\u2028b"), (3, "c\x0cd"), (4, "e")]
