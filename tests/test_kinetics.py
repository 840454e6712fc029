"""Kinetics-style CSVs: names made of ids and times, lists as published, files at any depth."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.kinetics import examine, load

HEAD = "label,youtube_id,time_start,time_end,split\n"


def rows(part: str, count: int) -> list[tuple[str, str, int]]:
    return [
        (label, f"-{part[:2]}{label[:2]}{n:06d}", 10 * n)
        for label in ("abseiling", "air drumming")
        for n in range(count)
    ]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two classes with 20, 3 and 2 clips a list; files lie in <part>/<class with spaces>/."""
    (tmp_path / "csv").mkdir()
    for part, name, count in (("train", "train", 20), ("val", "validate", 3), ("test", "test", 2)):
        text = HEAD
        for label, video, start in rows(part, count):
            text += f"{label},{video},{start},{start + 10},{part}\n"
            folder = tmp_path / "videos" / part / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{video}_{start:06d}_{start + 10:06d}.mp4").write_text(video)
        (tmp_path / "csv" / f"{name}.csv").write_text(text)
    return Source(root=tmp_path / "videos", annotations=tmp_path / "csv")


def test_the_published_protocol_scores_the_validation_list(source: Source) -> None:
    split = load(source)
    assert split.labels == ("abseiling", "air drumming")
    assert [len(split.part(part)) for part in PARTS] == [38, 2, 6]
    first = split.test[0]
    assert (first.id, first.group) == ("-vaab000000_000000_000010", "-vaab000000")
    assert first.path.read_text() == "-vaab000000"


def test_the_three_lists_as_they_are_called(source: Source) -> None:
    split = load(Source(root=source.root, annotations=source.annotations, split="test"))
    assert [len(split.part(part)) for part in PARTS] == [40, 6, 4]


def test_videos_that_are_gone_are_named(source: Source) -> None:
    """Half of Kinetics has vanished from YouTube: no copy is whole."""
    load(source).test[1].path.unlink()
    assert load(source).missing == ("-vaab000001_000010_000020",)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("abseiling,,0,10,train", "line 2: no youtube_id; columns: label, youtube_id, time"),
        ("abseiling,abc,zero,10,train", "line 2: 'zero' to '10' are no times in seconds"),
        ("abseiling,../abc,0,10,train", "leaves the folder of the videos"),
        ("abseiling,-vaab000000,0,10,train", "000010 is also in the train list; keep one"),
    ],
)
def test_rows_out_of_form_are_named_by_line(source: Source, row: str, says: str) -> None:
    assert source.annotations is not None
    (source.annotations / "train.csv").write_text(f"{HEAD}{row}\n")
    with pytest.raises(ValueError, match=says) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_is_named(source: Source) -> None:
    assert source.annotations is not None
    (source.annotations / "validate.csv").unlink()
    with pytest.raises(ValueError, match=r"has no val.csv; it should hold train.csv and val.csv"):
        load(source)


def test_the_doctor_counts(source: Source) -> None:
    texts = [f"{finding.level}: {finding.text}" for finding in examine(source)]
    assert texts == [
        "note: 2 classes, 38 / 2 / 6 clips (train / val / test)",
        "note: all 46 listed clips are on disk",
    ]
