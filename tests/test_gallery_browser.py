"""The pages in a real browser: they run, search, fit a phone, and ask nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from visiting import EVIL_CAPTION, EVIL_NAME, browser, context, needs_chromium, visit

from reelscribe.pipeline.files import write_json, write_jsonl
from reelscribe.pipeline.report.cards import video_page
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.report.run import write_run_page
from reelscribe.pipeline.report.strips import strip_name
from reelscribe.pipeline.report.summary import write_compare_page, write_demo_page

__all__ = ["browser", "context"]
pytestmark = needs_chromium
LONG = "a-name-with-no-place-to-break-" + "x" * 120 + ".mkv"
PAGES = (
    "index.html",
    "described/report/index.html",
    "action/report/index.html",
    "caption/report/index.html",
    "compare/report/index.html",
)


def record(path: str, label: str, sure: float | None, **more: Any) -> dict[str, Any]:
    actions = [{"label": label, "probability": sure}]
    ok = {"status": "ok", "reason": None, "duration": 5.0, "caption": f"somebody does {label}"}
    return {"path": path, "actions": actions, "segments": []} | ok | more


RECORDS: list[dict[str, Any]] = [
    record("b/clip10.mp4", "run", 0.9, duration=3.0),
    record("b/clip9.mp4", "jump", 0.6, duration=90.0, caption="A Dog leaps"),
    record(f"a/{EVIL_NAME}", '"><script>alert(3)</script>', 0.7, caption=EVIL_CAPTION),
    record(f"a/{LONG}", "run", None, duration=None),
    {"path": "a/cut.mp4", "status": "failed", "reason": "moov atom not found"},
]


def names(page: Page) -> list[str]:
    """Return the names of the cards that are shown, from top to bottom."""
    return page.locator(".card:visible .name").all_text_contents()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folder with every kind of page in it."""
    root = tmp_path_factory.mktemp("site")
    strip = root / "described" / "report" / strip_name("d" * 64)
    strip.parent.mkdir(parents=True)
    Image.new("RGB", (1040, 96), (200, 60, 60)).save(strip)
    write_jsonl(root / "described" / "results.jsonl", RECORDS)
    strips = {"b/clip10.mp4": strip_name("d" * 64)}
    write_gallery(root / "described", RECORDS, strips=strips, title=EVIL_NAME, about={"run": LONG})
    labels = [f"AnActionWithALongName{i}" for i in range(30)]
    matrix = [[5 if i == j else int(j == i + 1) for j in range(30)] for i in range(30)]
    scores = {"dataset": "d", "videos": 5, "seed": 0, "floor": 0.1, "ci95": [0.3, 0.6]}
    action = scores | {"task": "action", "top1": 0.5, "confusion": matrix, "labels": labels}
    write_json(root / "action" / "scores.json", action | {"failed": [EVIL_NAME, LONG]})
    write_jsonl(
        root / "action" / "metrics.jsonl",
        [{"epoch": i, "loss": 1 / i, "val_top1": i / 9, "lr": 0.1} for i in range(1, 9)],
    )
    (root / "action" / "config.yaml").write_text(f"output: {LONG}\n")
    caption = scores | {"task": "caption", "CIDEr": 0.5, "floor_caption": EVIL_CAPTION}
    write_json(root / "caption" / "scores.json", caption)
    spoken = {"caption": EVIL_CAPTION, "references": [LONG, EVIL_CAPTION, "c"]}
    rows = [spoken | {"path": f"{LONG}{i}", "CIDEr": 0.1 * i} for i in range(4)]
    write_jsonl(root / "caption" / "predictions.jsonl", rows)
    cells = [{"cell": cell, "score": 0.5, "ci95": [0.4, 0.6]} for cell in ("none", "rnn", "gru")]
    table = {"metric": "top1", "floor": 0.1, "seeds": [0], "rows": cells}
    write_json(root / "compare" / "compare.json", table)
    write_compare_page(root / "compare", table)
    for run in ("action", "caption"):
        write_run_page(root / run)
    write_demo_page(
        root,
        action_run=root / "action",
        caption_run=root / "caption",
        compare=root / "compare",
        described=root / "described",
        timings={"encode": 4.0},
    )
    return root


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_nothing_from_data_and_asks_only_for_files_beside_it(
    context: BrowserContext, site: Path, name: str
) -> None:
    seen = visit(context, site / name)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith((site.as_uri(), "data:"))] == []
    seen.page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert seen.page.evaluate("[...document.images].filter((i) => !i.naturalWidth).length") == 0


def test_the_strip_of_a_card_is_really_shown(context: BrowserContext, site: Path) -> None:
    seen = visit(context, site / "described" / "report" / "index.html")
    assert seen.page.locator(".strip img").count() == 2
    assert any(url.endswith(f"{'d' * 32}.jpg") for url in seen.requests)


def test_the_policy_of_the_page_stops_what_an_escape_might_miss(
    context: BrowserContext, site: Path
) -> None:
    seen = visit(context, site / "described" / "report" / "index.html")
    seen.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')"
    )
    seen.page.wait_for_function("document.images[document.images.length - 1].complete")
    seen.page.wait_for_timeout(100)
    assert not [text for text in seen.complaints if text.startswith("dialog")]
    assert any("Content Security Policy" in text for text in seen.complaints)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(
    context: BrowserContext, site: Path, name: str, width: int
) -> None:
    seen = visit(context, site / name)
    seen.page.set_viewport_size({"width": width, "height": 800})
    seen.page.add_style_tag(content=".card { content-visibility: visible !important }")
    for summary in seen.page.locator("summary").all():
        summary.click()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_dark_where_the_reader_likes_it_dark(browser: Browser, site: Path) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = visit(context, site / "index.html").page
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(int(part) for part in colour[4:-1].split(","))
        context.close()
    assert brightness["dark"] < 150 < 600 < brightness["light"]


def test_the_search_looks_at_names_captions_actions_and_reasons(
    context: BrowserContext, site: Path
) -> None:
    page = visit(context, site / "described" / "report" / "index.html").page
    for words, expected in {
        "dog LEAPS": ["clip9.mp4"],
        "clip jump": ["clip9.mp4"],
        "moov": ["cut.mp4"],
        "<img": [EVIL_NAME],
        "no such thing": [],
    }.items():
        page.get_by_role("searchbox").fill(words)
        assert names(page) == expected
    assert page.get_by_text("No video matches").is_visible()
    page.keyboard.press("Escape")
    assert len(names(page)) == 5
    assert page.locator("#shown").inner_text() == "5 of 5 shown"


def test_filters_by_action_and_by_outcome_meet(context: BrowserContext, site: Path) -> None:
    page = visit(context, site / "described" / "report" / "index.html").page
    page.get_by_label("Action", exact=True).select_option("run")
    assert names(page) == ["clip10.mp4", LONG]
    assert page.locator("#shown").inner_text() == "2 of 5 shown"
    page.get_by_role("radio", name="failed").check()
    assert names(page) == []
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("radio", name="failed").check()
    assert names(page) == ["cut.mp4"]
    page.get_by_role("radio", name="described").check()
    assert len(names(page)) == 4


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("as given", ["clip10.mp4", "clip9.mp4", EVIL_NAME, LONG]),
        ("by name", [EVIL_NAME, LONG, "clip9.mp4", "clip10.mp4"]),
        ("surest first", ["clip10.mp4", EVIL_NAME, "clip9.mp4", LONG]),
        ("least sure first", ["clip9.mp4", EVIL_NAME, "clip10.mp4", LONG]),
        ("longest first", ["clip9.mp4", EVIL_NAME, "clip10.mp4", LONG]),
        ("shortest first", ["clip10.mp4", EVIL_NAME, "clip9.mp4", LONG]),
    ],
)
def test_cards_are_sorted_and_what_has_no_number_comes_last(
    context: BrowserContext, site: Path, order: str, expected: list[str]
) -> None:
    page = visit(context, site / "described" / "report" / "index.html").page
    page.get_by_label("Order").select_option(order)
    assert names(page) == [*expected, "cut.mp4"]


def test_the_gallery_is_used_by_keyboard_alone(context: BrowserContext, site: Path) -> None:
    page = visit(context, site / "described" / "report" / "index.html").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    page.keyboard.type("clip")
    assert names(page) == ["clip10.mp4", "clip9.mp4"]
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "ok"


def test_without_script_every_video_is_still_listed(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "described" / "report" / "index.html").as_uri())
    assert page.locator("ol.plain > li:visible").count() == 5
    assert "moov atom not found" in page.locator("ol.plain").inner_text()
    assert not page.locator("#controls").is_visible()
    context.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [record(f"v/{i}.mp4", f"action{i % 40}", i / 3000) for i in range(3000)]
    return write_gallery(tmp_path_factory.mktemp("many"), records, strips={}, title="M", about={})


def test_thousands_of_cards_are_filtered_and_sorted_at_once(
    context: BrowserContext, many: Path
) -> None:
    page = visit(context, many).page
    took = page.evaluate(
        """() => {
            const start = performance.now();
            for (const [id, value] of [["search", "action7"], ["sort", "sure"]]) {
                document.getElementById(id).value = value;
                document.getElementById(id).dispatchEvent(new Event("input", { bubbles: true }));
            }
            document.body.getBoundingClientRect();
            return performance.now() - start;
        }"""
    )
    assert page.locator("#shown").inner_text() == "75 of 3,000 shown"
    assert names(page)[:2] == ["2967.mp4", "2927.mp4"]
    assert took < 1000, f"{took:.0f} ms"


def test_only_what_is_near_the_window_is_in_the_page(context: BrowserContext, many: Path) -> None:
    page = visit(context, many).page
    for place, name in {"0": "0.mp4", "document.documentElement.scrollHeight": "2999.mp4"}.items():
        page.evaluate(f"scrollTo({{ top: {place}, behavior: 'instant' }})")
        page.get_by_text(name, exact=True).wait_for()
        assert page.locator(".card").count() < 300


def test_a_card_that_the_keyboard_is_on_stays_however_far_one_scrolls(
    context: BrowserContext, tmp_path: Path
) -> None:
    records = [record(f"v/{i}.mp4", "run", 0.5) for i in range(500)]
    for one in records:
        page_file = tmp_path / "report" / video_page(one["path"])
        page_file.parent.mkdir(parents=True, exist_ok=True)
        page_file.touch()
    page = visit(context, write_gallery(tmp_path, records, strips={}, title="", about={})).page
    page.locator("a.open").nth(2).focus()
    page.evaluate("scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' })")
    page.get_by_text("499.mp4", exact=True).wait_for()
    assert page.evaluate("document.activeElement.textContent") == "v/2.mp4"


def test_confidence_is_filtered_from_both_ends(context: BrowserContext, site: Path) -> None:
    page = visit(context, site / "described" / "report" / "index.html").page
    level = page.get_by_label("Confidence")
    for choice, expected in {
        "70% or more": ["clip10.mp4", EVIL_NAME],
        "below 50%": [],
        "no action named": [LONG, "cut.mp4"],
        "any": ["clip10.mp4", "clip9.mp4", EVIL_NAME, LONG, "cut.mp4"],
    }.items():
        level.select_option(choice)
        assert names(page) == expected
