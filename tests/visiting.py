"""Pages in a real browser, for the tests of several files: fixtures, and what a visit collects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EVIL_NAME = "<img src=x onerror=alert(1)>.mp4"
EVIL_CAPTION = "</script><script>alert(2)</script> \"' & <b>bold</b>"


@dataclass(kw_only=True)
class Visit:
    """A page that is open, and what it did that it should not have."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Dialogs, console messages of any level, errors."""
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    context.close()


def visit(context: BrowserContext, path: Path) -> Visit:
    """Open ``path`` from disk and scroll to its end, so that lazy pictures load."""
    seen = Visit(page=context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))

    def refuse(dialog: Any) -> None:
        seen.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    seen.page.on("dialog", refuse)
    seen.page.goto(path.as_uri())
    seen.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    seen.page.wait_for_load_state("networkidle")
    seen.page.evaluate("scrollTo(0, 0)")
    return seen


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true; the page's policy forbids the page to poll it."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {condition}")
