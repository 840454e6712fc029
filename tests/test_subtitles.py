"""Subtitles that players show: times, escaping, and names that stay in their folder."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import Any

import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.pipeline.subtitles import inside_path, srt, vtt, write_subtitles

Segment = dict[str, Any]
TIME = r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})"
SPAN = re.compile(f"{TIME} --> {TIME}")


def segment(start: float, end: float, caption: str | None, *labels: str) -> Segment:
    actions = [{"label": label, "probability": 0.5} for label in labels]
    return {"start": start, "end": end, "actions": actions, "caption": caption}


def record(path: str, caption: str = "a cat") -> dict[str, Any]:
    return {"path": path, "duration": 2.0, "segments": [segment(0.0, 2.0, caption)]}


def test_by_hand() -> None:
    segments = [segment(0.0, 1.5, "a cat", "sit", "run"), segment(3661.25, 3662.0, "a dog")]
    assert vtt(segments) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n[sit]\na cat\n\n"
        "01:01:01.250 --> 01:01:02.000\na dog\n"
    )
    assert srt(segments) == (
        "1\n00:00:00,000 --> 00:00:01,500\n[sit]\na cat\n\n"
        "2\n01:01:01,250 --> 01:01:02,000\na dog\n"
    )


def test_no_segment_says_nothing() -> None:
    assert vtt([segment(0, 1, None), segment(1, 2, " \n ")]) == "WEBVTT\n\n"
    assert srt([segment(0, 1, None), segment(1, 2, "x")]).startswith("1\n00:00:01,000")


@pytest.mark.parametrize(
    ("caption", "in_vtt", "in_srt"),
    [
        ("a --> b", "a --&gt; b", "a -> b"),
        ("a ---->> b", "a ----&gt;&gt; b", "a ->> b"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;", "<b>&amp;"),
        ("one\n\ntwo\r\u2028three\x85", "one two three", "one two three"),
        ("\n2\n\n00:00:00", "2 00:00:00", "2 00:00:00"),
    ],
)
def test_a_caption_is_text_and_no_more(caption: str, in_vtt: str, in_srt: str) -> None:
    assert vtt([segment(0, 1, caption)]).split("\n")[3:] == [in_vtt, ""]
    assert srt([segment(0, 1, caption)]).split("\n")[2:] == [in_srt, ""]


SECONDS = st.floats(-1, 400_000)
TEXTS = st.one_of(st.text("-> \n<&a1:,", max_size=20), st.text(max_size=8))
SEGMENTS = st.lists(st.builds(segment, SECONDS, SECONDS, TEXTS, TEXTS), max_size=5)


@given(SEGMENTS)
def test_times_are_well_formed_and_in_order(segments: list[Segment]) -> None:
    for text in (vtt(segments).removeprefix("WEBVTT\n\n"), srt(segments)):
        spans = [line for line in text.split("\n") if "-->" in line]
        assert len(spans) == len(segments), "one for each cue, none inside a text"
        last = 0
        for line in spans:
            match = SPAN.fullmatch(line)
            assert match, line
            h, m, s, ms, *end = map(int, match.groups())
            start = ((h * 60 + m) * 60 + s) * 1000 + ms
            assert last <= start < ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]
            last = start
        assert text.count("\n\n") == max(0, len(segments) - 1), "an empty line ends a cue"


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("./a/../b.mp4", "a/b.mp4"),
        ("../../etc/x", "etc/x"),
        ("/etc/x", "etc/x"),
        ("//etc/x", "etc/x"),
        ("///etc//x", "etc/x"),
        ("C:\\x.mp4", "C__x.mp4"),
        ("..\\..\\x", ".._.._x"),
        ("a\nb\x00.mp4", "a_b_.mp4"),
        ("", "video"),
        ("/", "video"),
        ("//", "video"),
        ("../..", "video"),
    ],
)
def test_a_path_stays_inside(path: str, inside: str) -> None:
    assert inside_path(path) == PurePath(inside)


PATHS = st.one_of(
    st.text("/.\\:a\n\x00~", max_size=12),
    st.lists(st.binary(max_size=255), max_size=4).map(lambda parts: os.fsdecode(b"/".join(parts))),
)


@given(PATHS)
def test_no_path_escapes_or_overflows(path: str) -> None:
    inside = inside_path(path)
    assert not inside.is_absolute()
    assert inside.parts
    assert ".." not in inside.parts
    assert not re.search(r"[\x00-\x1f]", str(inside))
    assert all(len(os.fsencode(part)) <= 220 for part in inside.parts)


def test_both_files_for_each_video(tmp_path: Path) -> None:
    write_subtitles(tmp_path / "s", [record("a/v.mp4"), {**record("b"), "segments": []}])
    assert sorted(path.name for path in (tmp_path / "s").rglob("*.*")) == ["v.mp4.srt", "v.mp4.vtt"]
    assert (tmp_path / "s/a/v.mp4.vtt").read_text().endswith("a cat\n")


def test_hostile_and_clashing_names_each_get_a_file_in_the_folder(tmp_path: Path) -> None:
    """Complaint 4 (v-iashin/video_features#54): two inputs, one name, one output."""
    paths = ["../../x.mp4", "/x.mp4", "//x.mp4", "x.mp4", "a:b", "a_b", "a\nb", "", "/", "..",
             "\u00e9" * 127, os.fsdecode(b"\xff" * 255),
             "n" * 254 + "1", "n" * 254 + "2"]  # fmt: skip
    write_subtitles(
        tmp_path / "out" / "s", [record(path, f"no {i}") for i, path in enumerate(paths)]
    )
    found = sorted((tmp_path / "out").rglob("*.vtt"))
    said = {path.read_text().split("\n")[3] for path in found}
    assert said == {f"no {i}" for i in range(len(paths))}
    assert all(path.is_relative_to(tmp_path / "out" / "s") for path in found)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s"]


def test_a_track_says_in_a_note_that_a_head_that_ships_spoke(tmp_path: Path) -> None:
    segments = [{"start": 0.0, "end": 2.0, "actions": [], "caption": "a man runs"}]
    by = {"actions": None, "caption": "ready msvd, 47 clips", "objects": "lite0, ImageNet"}
    record = {"path": "a.mp4", "duration": 2.0, "segments": segments, "by": by}
    write_subtitles(tmp_path, [record])
    text = (tmp_path / "a.mp4.vtt").read_text()
    assert text.startswith("WEBVTT\n\nNOTE caption by ready msvd, 47 clips\n\n00:00")
    (cue,) = webvtt.read(str(tmp_path / "a.mp4.vtt")).captions
    assert cue.text == "a man runs"
    write_subtitles(tmp_path, [record | {"by": by | {"caption": "runs/mine"}}])
    assert "NOTE" not in (tmp_path / "a.mp4.vtt").read_text()
