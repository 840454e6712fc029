"""MSVD: three forms of captions, the official split by number and the one by YouTube video."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.datasets.clip import PARTS, Source
from reelscribe.datasets.msvd import examine, load

CORPUS = "MSR Video Description Corpus.csv"


def name(number: int) -> str:
    """Clip N of vidN; two clips in a row come from one YouTube video."""
    return f"-youtube{number // 2:03d}_{number}_{number + 9}"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Twelve clips of six YouTube videos and more, two captions each, no mapping."""
    (tmp_path / "video").mkdir()
    for number in range(12):
        (tmp_path / "video" / f"{name(number)}.avi").write_text(str(number))
    lines = [f"{name(n)}\tcaption {n} {i}\n" for n in range(12) for i in "ab"]
    (tmp_path / "captions.tsv").write_text("".join(lines))
    return Source(root=tmp_path / "video", annotations=tmp_path)


def notes(source: Source) -> Path:
    assert source.annotations is not None
    return source.annotations


def number_clips(source: Source, numbers: list[int], prefix: str = "vid") -> None:
    lines = [f"{name(n)} {prefix}{number}\n" for n, number in enumerate(numbers)]
    (notes(source) / "youtube_mapping.txt").write_text("".join(lines))


def texts(source: Source, level: str) -> str:
    return "\n".join(f"{f.text} {f.examples}" for f in examine(source) if f.level == level)


def sizes(source: Source) -> list[int]:
    split = load(source)
    return [len(split.part(part)) for part in PARTS]


EDGES = [1, 2, 1199, 1200, 1201, 1202, 1300, 1301, 1302, 1400, 1969, 1970]


def test_without_a_mapping_the_split_is_by_youtube_video(source: Source) -> None:
    """Complaint 1 (eriklindernoren/Action-Recognition#12): parts that share a video leak."""
    split = load(source)
    assert split.name == "source"
    ids = [{clip.id[:11] for clip in split.part(part)} for part in PARTS]
    assert [len(part) for part in ids] == [4, 1, 1]
    assert len(ids[0] | ids[1] | ids[2]) == 6
    number = split.train[0].path.read_text()
    assert split.train[0].captions == (f"caption {number} a", f"caption {number} b")
    assert split.train[0].group == split.train[0].id[:11]


def test_the_split_by_video_follows_the_seed(source: Source) -> None:
    tests = {
        tuple(
            clip.id
            for clip in load(
                Source(root=source.root, annotations=source.annotations, seed=seed)
            ).test
        )
        for seed in range(8)
    }
    assert len(tests) > 1
    assert load(source) == load(source)


def test_the_official_split_is_by_number(source: Source) -> None:
    """Complaint 22 (hobincar/RecNet#9): 470 or 670 test clips; it is 1301-1970."""
    number_clips(source, EDGES)
    split = load(source)
    assert split.name == "official"
    # 1, 2, 1199, 1200 | 1201, 1202, 1300 | the rest.
    assert [clip.id for clip in split.train] == [name(n) for n in range(4)]
    assert [clip.id for clip in split.val] == [name(n) for n in range(4, 7)]
    assert len(split.test) == 5


def test_a_mapping_from_zero_is_the_same_split(source: Source) -> None:
    number_clips(source, [0, *(n - 1 for n in EDGES[1:])], prefix="video")
    assert sizes(source) == [4, 3, 5]


def test_official_without_a_mapping_says_what_it_needs(source: Source) -> None:
    official = Source(root=source.root, annotations=source.annotations, split="official")
    with pytest.raises(ValueError, match=r"needs youtube_mapping.txt .* or take split 'source'"):
        load(official)


def test_source_may_be_asked_for_with_a_mapping(source: Source) -> None:
    number_clips(source, EDGES)
    asked = Source(root=source.root, annotations=source.annotations, split="source")
    assert load(asked).name == "source"


def test_numbered_captions_are_read_through_the_mapping(source: Source) -> None:
    folder = notes(source)
    (folder / "captions.tsv").unlink()
    number_clips(source, EDGES)
    for part, numbers in (("train", EDGES[:4]), ("val", EDGES[4:7]), ("test", EDGES[7:])):
        lines = [f"vid{n}\ta caption of {n}\r\n" for n in numbers]
        (folder / f"sents_{part}_lc_nopunc.txt").write_bytes("".join(lines).encode())
    assert sizes(source) == [4, 3, 5]
    assert load(source).test[-1].captions == ("a caption of 1970",)
    (folder / "youtube_mapping.txt").unlink()
    with pytest.raises(ValueError, match=r"line 1: 'vid1301' needs youtube_mapping.txt beside it"):
        load(source)


def test_the_corpus_of_2010_keeps_english_rows(source: Source) -> None:
    (notes(source) / "captions.tsv").unlink()
    header = "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description"
    rows = [f'-youtube{n // 2:03d},{n},{n + 9},1,clean,5,English,"a man, {n}"' for n in range(12)]
    rows += [
        "-youtube000,0,9,1,clean,5,German,ein Mann",
        "-youtube000,0,9,1,clean,5,English,",
        "#NAME?,0,9,1,clean,5,English,a man",
        '-youtube000,0,9,1,clean,5,English,"a "cat" sleeps"',
    ]
    (notes(source) / CORPUS).write_text("\r\n".join([header, *rows]), encoding="latin-1")
    captions = {clip.id: clip.captions for clip in load(source).clips()}
    assert captions[name(0)] == ("a man, 0", 'a cat" sleeps"')
    assert captions[name(11)] == ("a man, 11",)
    assert "1 rows have no usable VideoID" in texts(source, "warning")


def test_names_with_a_suffix_are_the_same_clips(source: Source) -> None:
    before = load(source)
    path = notes(source) / "captions.tsv"
    path.write_text(path.read_text().replace("\t", ".avi\t"))
    assert load(source) == before


def test_a_lost_clip_is_named_and_moves_no_other(source: Source) -> None:
    """Complaint 22 (NACF#5): copies have 1,967 of 1,970."""
    before = load(source)
    lost = before.train[0]
    lost.path.unlink()
    after = load(source)
    assert after.missing == (lost.id,)
    assert (after.train, after.val, after.test) == (before.train[1:], before.val, before.test)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no tab", "line 1: 'no tab' has no tab; write name<TAB>caption"),
        ("short_1_2\tx", "line 1: 'short_1_2' is not <11 characters of YouTube id>"),
        ("../-youtube000_0_9\tx", r"line 1: '\.\./-youtube000_0_9' leaves the folder"),
    ],
)
def test_captions_out_of_form_are_refused_by_line(source: Source, line: str, says: str) -> None:
    (notes(source) / "captions.tsv").write_text(line)
    with pytest.raises(ValueError, match=says):
        load(source)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{name(0)} vid1\n{name(1)} vid1", "line 2: .* vid1' repeats an earlier line"),
        (f"{name(0)} vid1971", "numbers go beyond 1970"),
        (f"{name(0)}", "line 1: .* is not like '-4wsuPCjDBc_5_15 vid1'"),
        (f"{name(0)} vid1", f"11 captioned clips are not in youtube_mapping.txt, first '{name(1)}"),
    ],
)
def test_a_mapping_out_of_form_is_refused(source: Source, line: str, says: str) -> None:
    (notes(source) / "youtube_mapping.txt").write_text(line)
    with pytest.raises(ValueError, match=says):
        load(source)


def test_what_is_not_there_is_said(source: Source, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data.root .* is not a folder; .* <VideoID>_<Start>"):
        load(Source(root=tmp_path / "no", annotations=source.annotations))
    with pytest.raises(ValueError, match=r"no-such.tsv is not a file; check data.annotations"):
        load(Source(root=source.root, annotations=tmp_path / "no-such.tsv"))
    with pytest.raises(ValueError, match=r"has no captions; it should hold captions.tsv"):
        load(Source(root=source.root, annotations=source.root))
    with pytest.raises(ValueError, match="msvd has no split '2'; there are: 1, official, source"):
        load(Source(root=source.root, annotations=source.annotations, split="2"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"none of the 12 listed clips; .* it holds nothing"):
        load(Source(root=tmp_path / "empty", annotations=source.annotations))


def test_doctor_finds_what_is_wrong(source: Source) -> None:
    number_clips(source, EDGES)
    (source.root / f"{name(0)}.avi").write_bytes(b"")
    (source.root / f"{name(1)}.avi").rename(source.root / "-youtube999_0_9.avi")
    path = notes(source) / "captions.tsv"
    path.write_text(path.read_text() + f"{name(2)}\t \n")
    warnings = texts(source, "warning")
    assert "12 clips with 24 captions, 2-2 each; official: 1,970 with 80,827" in warnings
    assert "1 captions are empty" in warnings
    assert f"1 of 12 listed clips are not on disk ('{name(1)}',)" in warnings
    assert "1 videos on disk have no captions" in warnings
    # Clips 6 and 7 (numbers 1300 and 1301) are of one video, in val and test.
    assert "1 YouTube videos have clips in two parts ('-youtube003" in warnings
    assert "1 files are empty" in texts(source, "error")


def test_doctor_finds_seconds_that_two_clips_show(source: Source) -> None:
    ids = ("-yt00000000_0_9", "-yt00000000_5_20", "-yt00000000_20_30")
    path = notes(source) / "captions.tsv"
    path.write_text(path.read_text() + "".join(f"{one}\ta man caf\u00c3\u00a9\n" for one in ids))
    said = texts(source, "note") + texts(source, "warning")
    # The twelve clips make six pairs already.
    assert "7 pairs of clips in one part show the same seconds of their source" in said
    assert "3 captions went through a wrong encoding" in said


def test_doctor_knows_the_copies_that_go_round(source: Source) -> None:
    """Complaint 22 (GL-RG#6): 1,967 and 1,970 clips give other scores."""
    lines = [f"-yt{n:08d}_0_9\ta man\n" for n in range(1_967)]
    (notes(source) / "captions.tsv").write_text("".join(lines))
    assert "copies with 1,967 clips go round" in texts(source, "warning")


def test_real_subset(real_data: Path) -> None:
    source = Source(root=real_data / "msvd/video", annotations=real_data / "msvd/captions.tsv")
    split = load(source)
    clips = list(split.clips())
    assert (split.name, len(clips)) == ("source", 62)
    assert sum(len(clip.captions) for clip in clips) == 2_442
    assert split.missing == ()
    # 64, 12 and 24 % of 62 are 39.7, 7.4 and 14.9.
    assert sizes(source) == [40, 7, 15]
    parts = [{clip.id[:11] for clip in split.part(part)} for part in PARTS]
    assert sum(map(len, parts)) == len(parts[0] | parts[1] | parts[2])
    assert texts(source, "error") == ""
