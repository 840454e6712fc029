"""What doctors look for in any clips: wrong encodings, and seconds that are shown twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelscribe.datasets.checks import about_captions, about_clips, about_overlaps, is_broken
from reelscribe.datasets.clip import Clip, Part, Source
from reelscribe.datasets.msrvtt import examine


def clip(name: str, *, group: str = "film", captions: tuple[str, ...] = ()) -> Clip:
    return Clip(id=name, path=Path(name), group=group, captions=captions)


@pytest.mark.parametrize(
    ("caption", "broken"),
    [
        ("a woman is saut\u00e9ing mushrooms", False),
        ("a woman is saut\u00c3\u00a9ing mushrooms", True),
        ("getting it\u2019s head cut off", False),
        ("getting it\u00e2\u20ac\u2122s head cut off", True),
        ("a caf\ufffd", True),
        ("\u0432eautiful girl", False),
        ("\u0631\u062c\u0644 \u064a\u063a\u0646\u064a", False),
        ("a dog \U0001f415 barks", False),
        ("a dog barks", False),
        ("\u00bfqu\u00e9? \u00a1no! 20 \u00b0C", False),
    ],
)
def test_utf_8_that_was_read_as_something_else(caption: str, broken: bool) -> None:
    assert is_broken(caption) == broken
    parts: dict[Part, list[Clip]] = {"train": [clip("a", captions=("a dog", caption))]}
    said = [finding.text for finding in about_captions(parts)]
    assert (
        said == ["1 captions went through a wrong encoding; take them from their source"] * broken
    )


def test_seconds_that_two_clips_show() -> None:
    parts: dict[Part, list[Clip]] = {
        "train": [clip("a"), clip("b"), clip("c"), clip("x", group="other"), clip("y", group="")],
        "test": [clip("d"), clip("z", group="")],
    }
    # a and b share 8 to 10; c begins where b ends; d is within c; x is of another film. Of y and z
    # no source is known, and c's neighbour "e" has no times.
    times = {"a": (0, 10), "b": (8.0, 20.0), "c": (20, 30), "d": (25, 26), "x": (0, 90)}
    times |= {"y": (0, 9), "z": (0, 9)}
    parts["test"].append(clip("e"))
    found = {
        f.text: (f.level, f.examples) for f in about_overlaps(parts, {**times, "e": (None, "")})
    }
    assert found == {
        "1 pairs of clips in two parts show the same seconds of their source": (
            "warning",
            ("c, d",),
        ),
        "1 pairs of clips in one part show the same seconds of their source": ("note", ("a, b",)),
    }


def test_a_long_clip_is_held_against_all_that_begin_in_it() -> None:
    parts: dict[Part, list[Clip]] = {"train": [clip("long"), clip("a"), clip("b")]}
    times = {"long": (0, 100), "a": (10, 20), "b": (30, 40)}
    [found] = about_overlaps(parts, times)
    assert found.examples == ("long, a", "long, b")


def test_clips_of_ones_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    parts: dict[Part, list[Clip]] = {
        "train": [Clip(id="a", path=tmp_path / "a", captions=("a caf\ufffd",))],
        "test": [Clip(id="b", path=tmp_path / "b")],
    }
    twins, broken = about_clips(parts)
    assert twins.examples == ("a (train) = b (test)",)
    assert broken.examples == ("a: a caf\ufffd",)


def test_the_published_msr_vtt_shows_some_seconds_twice_and_leaks_none(real_data: Path) -> None:
    source = Source(root=real_data / "msrvtt/video", annotations=real_data / "msrvtt")
    said = {finding.text: finding.level for finding in examine(source)}
    assert said["355 pairs of clips in one part show the same seconds of their source"] == "note"
    assert not any("in two parts show" in text or "wrong encoding" in text for text in said)
