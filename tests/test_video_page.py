"""The page of a video, in a real browser: it plays, seeks, speaks, and shows what heads saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from visiting import EVIL_CAPTION, EVIL_NAME, browser, context, needs_chromium, until, visit

from reelscribe.datasets.theatre import make_clip
from reelscribe.pipeline.report.cards import read_card, video_page
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.report.strips import make_strip, strip_name
from reelscribe.pipeline.report.video import Beside, Look, Reading, Words, write_video_page

__all__ = ["browser", "context"]
pytestmark = needs_chromium

GATES = {"input": [0.5, 0.25], "forget": [0.9, 0.8], "output": [0.1, 0.2]}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A described folder: one clip with an evil name, one file that no browser plays."""

    index: Path
    page: Path
    unplayable: Path


def look(start: float, word: str) -> tuple[Look, Look]:
    times = [start + 0.2, start + 0.8]
    reading = Reading(layer=0, backwards=False, gates=GATES, norm=[1.0, 2.0])
    words = Words(words=[word], attention=[[0.3, 0.7]])
    return (
        Look(task="action", times=times, attention=[0.25, 0.75], readings=[reading]),
        Look(task="caption", times=times, words=words),
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("site")
    report = root / "found" / "report"
    videos = [root / "my videos" / EVIL_NAME, root / "my videos" / "old #1 100%.avi"]
    make_clip(videos[0], seed=1, index=0)
    videos[1].write_bytes(b"RIFF, but nothing that plays")
    make_strip(videos[0], report / strip_name("a" * 64))
    strips = {str(video): strip_name("a" * 64) for video in videos}
    said = [
        {"label": "jump", "caption": EVIL_CAPTION},
        {"label": '"><b>wave', "caption": "a man waves"},
    ]
    parts = [
        {
            "start": float(n),
            "end": float(n + 1),
            "actions": [{"label": one["label"], "probability": 0.7}],
            "caption": one["caption"],
        }
        for n, one in enumerate(said)
    ]
    records: list[dict[str, Any]] = [
        {"path": str(video), "status": "ok", "reason": None, "duration": 2.0}
        | {"actions": parts[0]["actions"], "caption": EVIL_CAPTION, "segments": parts}
        for video in videos
    ]
    names = [video_page(record["path"]) for record in records]
    (first, *_), (second, *_) = look(0.0, "jumps"), look(1.0, "waves")
    looks = [[first, second, *(one[1] for one in (look(0.0, "a"), look(1.0, "b")))], []]
    for n, record in enumerate(records):
        card = read_card(record, n, page=report / "index.html", strips=strips)
        beside = Beside(before=names[n - 1] if n else "", behind="" if n else names[1])
        write_video_page(report, card, record, looks[n], beside=beside, about={"model": "m"})
    index = write_gallery(root / "found", records, strips=strips, title="Films", about={})
    return Site(index=index, page=report / names[0], unplayable=report / names[1])


def current(page: Page) -> list[str | None]:
    """Return which segments are marked: on the bar and in the list."""
    return [
        page.locator(f"{where} [aria-current]").get_attribute("data-start")
        for where in ("#timeline", "#spoken")
    ]


def at(page: Page) -> float:
    found: float = page.evaluate("document.getElementById('player').currentTime")
    return found


def test_from_the_gallery_to_a_video_that_plays_and_back(
    context: BrowserContext, site: Site
) -> None:
    seen = visit(context, site.index)
    page = seen.page
    page.get_by_role("link", name=EVIL_NAME).click()
    page.wait_for_url("**/videos/*.html")
    assert page.get_by_role("heading", level=1).inner_text() == EVIL_NAME
    page.evaluate("(() => { player.muted = true; return player.play(); })()")
    until(page, "player.currentTime > 0.3")
    moved = page.evaluate("getComputedStyle(timeline).getPropertyValue('--at')")
    assert float(moved) > 0.1
    page.get_by_role("link", name="All videos").click()
    page.wait_for_url("**/report/index.html")
    assert seen.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in seen.requests)


def test_subtitles_are_a_track_with_a_cue_a_segment(context: BrowserContext, site: Site) -> None:
    page = visit(context, site.page).page
    until(page, "document.querySelector('track').readyState === 2")
    cues = page.evaluate(
        "[...player.textTracks[0].cues].map((c) => [c.startTime, c.endTime, "
        "c.getCueAsHTML().textContent])"
    )
    assert page.evaluate("player.textTracks[0].mode") == "showing"
    assert cues == [
        [0, 1, f"[jump]\n{EVIL_CAPTION}"],
        [1, 2, '["><b>wave]\na man waves'],
    ]


def test_the_timeline_seeks_where_it_is_clicked(context: BrowserContext, site: Site) -> None:
    page = visit(context, site.page).page
    assert current(page) == ["0.0", "0.0"]
    lane = page.locator(".track.plotted").first
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 10)
    until(page, "!player.seeking && player.currentTime > 1")
    assert at(page) == pytest.approx(1.5, abs=0.02)
    assert current(page) == ["1.0", "1.0"]
    page.locator("#spoken button").first.click()
    until(page, "!player.seeking")
    assert at(page) == 0
    assert current(page) == ["0.0", "0.0"]


def test_the_keyboard_alone_walks_the_segments(context: BrowserContext, site: Site) -> None:
    page = visit(context, site.page).page
    page.locator(".part").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.start") == "1.0"
    page.keyboard.press("Enter")
    until(page, "!player.seeking && player.currentTime > 0.9")
    assert at(page) == pytest.approx(1.0, abs=0.02)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    until(page, "!player.seeking && player.currentTime === 0")
    assert current(page) == ["0.0", "0.0"]


def test_what_the_heads_saw_is_drawn_in_words_too(context: BrowserContext, site: Site) -> None:
    page = visit(context, site.page).page
    labels = [lane.get_attribute("aria-label") or "" for lane in page.locator("svg.lane").all()]
    assert labels[0] == "Attention: weight from 0.25 to 0.75, mean 0.5"
    assert labels[1] == "Attention of the captions: weight from 0.3 to 0.7, mean 0.5"
    assert labels[2].startswith("Gates, forwards: kept (forget gate) from 0.8 to 0.9, mean 0.85; ")
    assert labels[3] == "Memory: forwards from 1 to 2, mean 1.5"
    # Both segments: attention of a quarter and three quarters, from the left to the right edge.
    path = page.locator("svg.lane").first.locator("path").get_attribute("d")
    assert path == "M0 100V66.7H250V0H500V100ZM500 100V66.7H750V0H1000V100Z"


def test_a_file_that_the_browser_cannot_play_shows_its_strip_and_still_has_a_timeline(
    context: BrowserContext, site: Site
) -> None:
    page = visit(context, site.unplayable).page
    page.get_by_text("This browser cannot play").wait_for()
    assert not page.locator("#player").is_visible()
    assert page.locator("#unplayable .strip img").first.is_visible()
    page.locator("#spoken button").nth(1).click()
    assert current(page) == ["1.0", "1.0"]
    assert page.get_by_role("link", name="Previous").is_visible()


def test_a_preview_is_played_in_the_place_of_the_file(
    context: BrowserContext, site: Site, tmp_path: Path
) -> None:
    make_clip(tmp_path / "previews" / "x.mp4", seed=1, index=1)
    (tmp_path / "old.avi").touch()
    record = {"path": str(tmp_path / "old.avi"), "status": "ok", "duration": 2.0, "segments": []}
    card = read_card(record, 0, page=tmp_path / "index.html", strips={})
    page_file = write_video_page(
        tmp_path, card, record, [], beside=Beside(), about={}, preview="previews/x.mp4"
    )
    page = visit(context, page_file).page
    until(page, "player.readyState > 0")
    assert page.get_by_role("link", name="The file itself").last.is_visible()
    assert not page.locator("#unplayable").is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_its_window(
    context: BrowserContext, site: Site, width: int
) -> None:
    page = visit(context, site.page).page
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_the_video_its_subtitles_and_its_segments_are_there(
    browser: Browser, site: Site
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.page.as_uri())
    assert page.locator("video[controls] track").count() == 1
    assert page.locator("#spoken").inner_text().count("70.0%") == 2
    assert page.locator("svg.lane").count() == 4
    context.close()


def test_a_video_that_fails_now_is_not_linked_to_its_page_of_before(tmp_path: Path) -> None:
    record: dict[str, Any] = {"path": "a.mp4", "status": "ok", "duration": None, "segments": []}
    index = tmp_path / "index.html"
    card = read_card(record, 0, page=index, strips={})
    write_video_page(tmp_path, card, record, [], beside=Beside(), about={})
    assert read_card(record, 0, page=index, strips={}).page == video_page("a.mp4")
    assert read_card(record | {"status": "failed"}, 0, page=index, strips={}).page == ""


def test_a_video_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    record: dict[str, Any] = {"path": "gone.mp4", "status": "ok", "duration": None, "segments": []}
    card = read_card(record, 0, page=tmp_path / "index.html", strips={})
    page = write_video_page(tmp_path, card, record, [], beside=Beside(), about={})
    text = page.read_text()
    assert "no longer where it was" in text
    assert "<video" not in text


def test_a_segment_without_an_action_says_why(tmp_path: Path) -> None:
    none: dict[str, Any] = {"actions": [], "caption": None}
    why = {**none, "abstained": "most probable was <b>jump at 0.31"}
    parts = [{"start": 0.0, "end": 1.0, **why}, {"start": 1.0, "end": 2.0, **none}]
    record: dict[str, Any] = {"path": "a.mp4", "status": "ok", "duration": 2.0, "segments": parts}
    card = read_card(record, 0, page=tmp_path / "index.html", strips={})
    write_video_page(tmp_path, card, record, [], beside=Beside(), about={})
    page = (tmp_path / video_page("a.mp4")).read_text()
    assert "no action is named: most probable was &lt;b&gt;jump at 0.31" in page
    assert page.count("nothing was said</span>") == 1
