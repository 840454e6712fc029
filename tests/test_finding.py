"""Which files are meant: folders, patterns, lists, links; each video once, in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelscribe.pipeline.finding import find_videos


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.mp4", "b/1.MKV", "a/3.avi", "a/.hidden.mp4", "a/notes.txt", "c d/[x].mp4"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(*sources: str | Path) -> list[str]:
    return [os.fspath(path) for path in find_videos([Path(source) for source in sources])]


def test_folders_are_searched_in_order(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert names("in") == ["in/a/3.avi", "in/b/1.MKV", "in/b/2.mp4", "in/c d/[x].mp4"]
    assert "2 files are hidden or no videos; left out" in capsys.readouterr().err


def test_a_file_is_named_once_however_often(root: Path) -> None:
    assert names("in/b/2.mp4", "in/b", root / "in" / "b" / "2.mp4", "in/a/../b/1.MKV") == [
        "in/b/2.mp4",
        "in/b/1.MKV",
    ]


def test_patterns(root: Path) -> None:
    assert names("in/*/*.mp4") == ["in/b/2.mp4", "in/c d/[x].mp4"]
    assert names("in/**/*.avi") == ["in/a/3.avi"]
    # A file whose name looks like a pattern is itself.
    assert names("in/c d/[x].mp4") == ["in/c d/[x].mp4"]
    with pytest.raises(ValueError, match=r"no file matches 'in/\*\.xyz'"):
        names("in/*.xyz")


def test_lists(root: Path) -> None:
    (root / "in" / "list.txt").write_text("# mine\r\n\r\nb/2.mp4\r\nc d/[x].mp4\r\na\r\n")
    assert names("@in/list.txt") == ["in/b/2.mp4", "in/c d/[x].mp4", "in/a/3.avi"]
    (root / "in" / "list.txt").write_text("gone.mp4\n")
    with pytest.raises(ValueError, match=r"list.txt line 1: 'gone.mp4' does not exist beside"):
        names("@in/list.txt")
    with pytest.raises(ValueError, match=r"the list 'none.txt' does not exist"):
        names("@none.txt")


def test_links_are_followed_once(root: Path) -> None:
    (root / "other").mkdir()
    (root / "other" / "4.mp4").touch()
    (root / "in" / "link").symlink_to(root / "other")
    (root / "other" / "back").symlink_to(root / "in")
    found = names("in")
    assert sum(name.endswith("4.mp4") for name in found) == 1
    assert len(found) == 5
    # A broken link is named where it is decoded; it is not left out in silence.
    (root / "in" / "gone.mp4").symlink_to("nothing")
    assert "in/gone.mp4" in names("in")


def test_nothing_to_do_is_said(root: Path) -> None:
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match="no videos in empty; looked for files in"):
        names("empty")
    with pytest.raises(ValueError, match="'nowhere' does not exist"):
        names("nowhere")
