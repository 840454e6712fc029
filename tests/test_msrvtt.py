"""MSR-VTT: JSON and zips as published, captions joined by video, and what the doctor says."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from reelscribe.datasets.clip import PARTS, Finding, Source
from reelscribe.datasets.msrvtt import examine, load

TRAIN_VAL, TEST = "train_val_videodatainfo.json", "test_videodatainfo.json"


def video(number: int, split: str) -> dict[str, Any]:
    return {
        "category": 9,
        "url": f"https://www.youtube.com/watch?v={number}",
        "video_id": f"video{number}",
        "start time": 137.72,
        "end time": 149.44,
        "split": split,
        "id": number,
    }


def sentence(sen_id: int, number: int, caption: str) -> dict[str, Any]:
    return {"caption": caption, "video_id": f"video{number}", "sen_id": sen_id}


def halves() -> dict[str, dict[str, Any]]:
    """Two halves in the published form, with captions in another order than videos and numbers."""
    info = {"year": "2016", "version": "1.0"}
    return {
        TRAIN_VAL: {
            "info": info,
            "videos": [video(0, "train"), video(1, "train"), video(2, "validate")],
            "sentences": [
                sentence(2, 1, "third"),
                sentence(4, 2, "a man sings"),
                sentence(1, 1, "second"),
                sentence(0, 0, "first"),
                sentence(3, 0, "fourth"),
            ],
        },
        TEST: {
            "info": info,
            "videos": [video(3, "test")],
            "sentences": [sentence(5, 3, "a cat  sleeps\n")],
        },
    }


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A copy of four videos, in the two folders of the published archives."""
    for folder, numbers in (("TrainValVideo", (0, 1, 2)), ("TestVideo", (3,))):
        (tmp_path / "videos" / folder).mkdir(parents=True)
        for number in numbers:
            (tmp_path / "videos" / folder / f"video{number}.mp4").write_text(str(number))
    (tmp_path / "notes").mkdir()
    write(tmp_path / "notes", halves())
    return Source(root=tmp_path / "videos", annotations=tmp_path / "notes")


def write(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    for name, content in data.items():
        (folder / name).write_text(json.dumps(content))


def notes(source: Source) -> Path:
    assert source.annotations is not None
    return source.annotations


def texts(source: Source, level: str) -> str:
    found: list[Finding] = [f for f in examine(source) if f.level == level]
    return "\n".join(f"{f.text} {f.examples}" for f in found)


def test_each_video_names_its_part(source: Source) -> None:
    split = load(source)
    assert split.name == "official"
    ids = {part: [clip.id for clip in split.part(part)] for part in PARTS}
    assert ids == {"train": ["video0", "video1"], "val": ["video2"], "test": ["video3"]}
    assert split.missing == ()
    assert split.test[0].path.read_text() == "3"
    assert split.test[0].group == "https://www.youtube.com/watch?v=3"


def test_captions_are_joined_by_video_in_published_order(source: Source) -> None:
    """Complaint 22 (hobincar/RecNet#9): sentences do not follow the videos in the file."""
    split = load(source)
    assert [clip.captions for clip in split.train] == [("first", "fourth"), ("second", "third")]
    assert split.test[0].captions == ("a cat sleeps",), "one line a caption"


def test_zips_are_read_as_they_are(source: Source) -> None:
    before = load(source)
    folder = notes(source)
    with zipfile.ZipFile(folder / "train_val_annotation.zip", "w") as archive:
        archive.writestr("category.txt", "music\t0")
        archive.write(folder / TRAIN_VAL, TRAIN_VAL)
    with zipfile.ZipFile(folder / "test_videodatainfo.json.zip", "w") as archive:
        archive.write(folder / TEST, TEST)
    for name in (TRAIN_VAL, TEST):
        (folder / name).unlink()
    assert load(source) == before
    assert len(list(folder.iterdir())) == 2, "something was unpacked"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_a_zip_holds_text_of_any_encoding(source: Source, encoding: str) -> None:
    data = halves()[TEST]
    data["sentences"][0]["caption"] = "saut\u00e9ing"
    (notes(source) / TEST).unlink()
    with zipfile.ZipFile(notes(source) / "test_videodatainfo.json.zip", "w") as archive:
        archive.writestr(TEST, json.dumps(data, ensure_ascii=False).encode(encoding))
    assert load(source).test[0].captions == ("saut\u00e9ing",)


def test_one_json_file_with_all_is_read(source: Source, tmp_path: Path) -> None:
    before = load(source)
    parts = halves()
    whole = {key: parts[TRAIN_VAL][key] + parts[TEST][key] for key in ("videos", "sentences")}
    (tmp_path / "all").mkdir()
    write(tmp_path / "all", {"MSRVTT_data.json": whole})
    assert load(Source(root=source.root, annotations=tmp_path / "all")) == before
    file = tmp_path / "all" / "MSRVTT_data.json"
    assert load(Source(root=source.root, annotations=file, split="official")) == before


def test_a_lost_video_is_named_and_left_out(source: Source) -> None:
    """Complaint 22 (howto100m#10 and others): 7,927 of 10,000 videos are what people have."""
    (source.root / "TrainValVideo" / "video1.mp4").unlink()
    split = load(source)
    assert split.missing == ("video1",)
    assert [clip.id for clip in split.train] == ["video0"]


@pytest.mark.parametrize("name", ["1k-a", "1kA", "jsfusion", "1k-B", "miech", "full"])
def test_retrieval_splits_are_refused_with_the_reason(source: Source, name: str) -> None:
    """Complaint 22 (mPLUG-2#25): captions scored on a 1k split look like those of the 2,990."""
    with pytest.raises(
        ValueError, match=r"is for text-to-video retrieval.* the 2,990 of split off"
    ):
        load(Source(root=source.root, annotations=source.annotations, split=name))


def test_another_split_lists_the_allowed(source: Source) -> None:
    with pytest.raises(ValueError, match="'offical'; there are: 1, official; did you mean 'offi"):
        load(Source(root=source.root, annotations=source.annotations, split="offical"))


def test_the_file_of_2017_is_named(source: Source) -> None:
    data = halves()[TRAIN_VAL] | {"info": {"year": "2017"}}
    for path in notes(source).iterdir():
        path.unlink()
    write(notes(source), {"videodatainfo_2017.json": data})
    with pytest.raises(ValueError, match=r"videodatainfo_2017.json is of the 2017 challenge"):
        load(source)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"videos": 3}, "has info, videos, sentences; it should have lists of videos"),
        ({"videos": [{"id": 1}]}, "a video is .* it should have a video_id"),
        ({"videos": [video(3, "dev")]}, "video3 has split 'dev'; it should be one of train, val"),
        ({"videos": [video(0, "test")]}, f"video0 is listed twice, in .*{TRAIN_VAL} and .*{TEST}"),
        ({"videos": [video(3, "test") | {"video_id": "../x"}]}, r"'\.\./x' leaves the folder"),
        ({"sentences": [{"caption": 3}]}, "a sentence is .* it should have video_id and caption"),
        ({"sentences": [sentence(5, 3, "\ud83d")]}, "half of a surrogate pair"),
    ],
)
def test_json_out_of_form_is_refused(source: Source, change: dict[str, Any], says: str) -> None:
    write(notes(source), {TEST: halves()[TEST] | change})
    with pytest.raises(ValueError, match=says) as caught:
        load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"null", b"\0"])
def test_broken_json_is_refused_in_a_line(source: Source, content: bytes) -> None:
    (notes(source) / TEST).write_bytes(content)
    with pytest.raises(ValueError, match=TEST):
        load(source)


def test_a_cut_zip_is_refused(source: Source) -> None:
    path = notes(source) / "test_videodatainfo.json.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(notes(source) / TEST, TEST)
    path.write_bytes(path.read_bytes()[:-30])
    (notes(source) / TEST).unlink()
    with pytest.raises(ValueError, match=r"is not a whole zip .* download it again"):
        load(source)


def test_folders_that_are_not_there_say_what_they_should_hold(
    source: Source, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"data.root .* should hold video0.mp4"):
        load(Source(root=tmp_path / "no", annotations=source.annotations))
    with pytest.raises(ValueError, match="has no JSON file; it should hold train_val_videodatain"):
        load(Source(root=source.root, annotations=source.root))
    with pytest.raises(ValueError, match="has none of the 4 listed clips"):
        load(Source(root=notes(source), annotations=source.annotations))


def test_two_files_of_one_video_are_both_named(source: Source) -> None:
    (source.root / "video3.webm").write_text("")
    with pytest.raises(ValueError, match=r"two files for 'video3': .*webm and .*TestVideo/video3"):
        load(source)


def test_doctor_of_a_small_copy(source: Source) -> None:
    assert texts(source, "error") == ""
    warnings = texts(source, "warning")
    assert "4 videos (2 / 1 / 1) and 6 captions; official: 10,000 (6,513 / 497 / 2," in warnings
    assert "4 videos have other than 20 captions" in warnings
    assert "all 4 listed clips are on disk" in texts(source, "note")


def test_doctor_finds_what_is_wrong(source: Source) -> None:
    data = halves()
    data[TEST]["videos"][0]["url"] = data[TRAIN_VAL]["videos"][0]["url"]
    data[TEST]["sentences"] += [sentence(6, 77, "a dog runs"), sentence(7, 3, "  ")]
    write(notes(source), data)
    (source.root / "video9.mp4").write_text("x")
    (source.root / "TrainValVideo" / "video2.mp4").write_bytes(b"")
    for half, times in ((TRAIN_VAL, (10.0, 20.0)), (TEST, (19.5, 30.0))):
        data[half]["videos"][0] |= dict(zip(("start time", "end time"), times, strict=True))
    data[TEST]["sentences"].append(sentence(8, 3, "a caf\u00c3\u00a9"))
    write(notes(source), data)
    warnings, errors = texts(source, "warning"), texts(source, "error")
    assert "1 pairs of clips in two parts show the same seconds of their source" in warnings
    assert "1 captions went through a wrong encoding" in warnings
    assert "1 captions are of videos that are not listed ('video77',)" in warnings
    assert "1 captions are empty and left out ('video3',)" in warnings
    assert "1 videos on disk are not listed" in warnings
    assert "1 files are empty" in errors
    assert "1 source videos have clips in two parts ('video0, video3: https" in errors
    assert load(source).test[0].captions == ("a cat sleeps", "a caf\u00c3\u00a9")


def test_doctor_suspects_ids_that_are_off_by_one(source: Source) -> None:
    """Complaint 22 (hobincar/RecNet#20, xmodaler#33): files renamed from 1."""
    assert "off by one" not in texts(source, "warning")
    (source.root / "TrainValVideo" / "video0.mp4").rename(source.root / "video4.mp4")
    assert "files run from video1 to video4 with no video0: off by one?" in texts(source, "warning")


def test_real_annotations_and_thirteen_clips(real_data: Path) -> None:
    source = Source(root=real_data / "msrvtt/video", annotations=real_data / "msrvtt")
    split = load(source)
    assert len(list(split.clips())) == 13
    assert len(split.missing) == 10_000 - 13
    assert all(len(clip.captions) == 20 for clip in split.clips())
    assert split.train[0].id == "video0"
    assert "a car is shown" in split.train[0].captions
    findings = {finding.text: finding.level for finding in examine(source)}
    assert "error" not in findings.values()
    (counts,) = (text for text in findings if "200,000 captions" in text)
    assert counts.startswith("10,000 videos (6,513 / 497 / 2,990) and 200,000 captions")
    assert findings[counts] == "note"
    assert findings["no source video has clips in two parts"] == "note"
