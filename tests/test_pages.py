"""Pages: a page that would be made of the same again is left alone; anything else is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reelscribe.pipeline.report.cards import video_page
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages.pages import write_video_pages


def record(path: str, caption: str = "a dog") -> dict[str, Any]:
    return {"path": path, "status": "ok", "duration": 2.0, "caption": caption, "segments": []}


def write(report: Path, records: list[dict[str, Any]], **more: Any) -> dict[str, int]:
    contents = {Path(one["path"]): "a" * 64 for one in records}
    usual: dict[str, Any] = {"heads": [], "segmentation": Segmentation(), "strips": {}, "about": {}}
    usual["previews"] = {}
    write_video_pages(report, records, contents=contents, **(usual | more))
    return {path.name: path.stat().st_mtime_ns for path in (report / "videos").iterdir()}


def test_every_record_that_did_not_fail_has_a_page_and_knows_its_neighbours(tmp_path: Path) -> None:
    failed = {"path": "cut.mp4", "status": "failed"}
    pages = write(tmp_path, [record("a.mp4"), failed, record("b.mp4")])
    first, second = (video_page(path) for path in ("a.mp4", "b.mp4"))
    assert set(pages) == {Path(first).name, Path(second).name}
    assert f'href="../{second}" rel="next"' in (tmp_path / first).read_text()
    assert f'href="../{first}" rel="prev"' in (tmp_path / second).read_text()


@pytest.mark.parametrize(
    "more",
    [
        {"about": {"model": "x"}},
        {"strips": {"a.mp4": "strips/1.jpg"}},
        {"previews": {"a.mp4": "previews/1.mp4"}},
        {},
    ],
)
def test_a_page_is_written_again_only_for_a_reason(tmp_path: Path, more: dict[str, Any]) -> None:
    before = write(tmp_path, [record("a.mp4")])
    assert write(tmp_path, [record("a.mp4")]) == before
    again = write(tmp_path, [record("a.mp4", "a cat" if not more else "a dog")], **more)
    page = tmp_path / video_page("a.mp4")
    if not more:
        assert "a cat" in page.read_text()
    assert again[page.name] != before[page.name]


def test_paths_that_look_alike_have_pages_of_their_own() -> None:
    names = {video_page(path) for path in ("x/a b.mp4", "x/a-b.mp4", "y/a b.mp4", "x/a b.avi")}
    assert len(names) == 4
    assert all(name.startswith("videos/a-b-") for name in names)
    assert video_page("\udcff" + "\U0001f600" * 300 + ".mp4").startswith("videos/video-")
