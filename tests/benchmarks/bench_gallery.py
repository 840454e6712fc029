"""The gallery of 10,000 videos in real Chromium: does it freeze?

Writes a gallery of 10,000 made records, opens it from the disk, types a search, sorts, and scrolls.
Then writes the pages of 1,000 videos, with what an LSTM and a captioner of usual size saw in them.
Prints a table and writes build/bench/gallery.json.

    make bench-gallery
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.checkpoint import Head, Manifest
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.report.strips import strip_name
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.encode import origin
from reelscribe.pipeline.stages.pages import write_video_pages
from reelscribe.pipeline.stages.seeing import see

VIDEOS = 10_000
LABELS = 101
PAGES = 1_000
FRAMES, DIM = 16, 1280
"""Of the features of a video."""

PICTURES = 64
"""Different film strips; each video has a file of its own, linked to one of them."""

WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.tasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
"""

# From the keystroke to the second frame after it: the first one may still show what was before.
TYPED = """
(text) => new Promise((done) => {
  const search = document.getElementById("search");
  const began = performance.now();
  search.value = text;
  search.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})
"""

SORTED = """
(order) => new Promise((done) => {
  const sort = document.getElementById("sort");
  const began = performance.now();
  sort.value = order;
  sort.dispatchEvent(new Event("input", { bubbles: true }));
  sort.dispatchEvent(new Event("change", { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})
"""

# 200 frames of 400 pixels each, then one jump to the end, and how long until it is drawn.
SCROLLED = """
() => new Promise((done) => {
  const gaps = [];
  let last = performance.now(), left = 200;
  const jump = () => {
    const began = performance.now();
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    requestAnimationFrame(() => requestAnimationFrame(() =>
      done({ gaps, jump: performance.now() - began })));
  };
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    if (left-- === 0) return jump();
    scrollBy({ top: 400, behavior: "instant" });
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""


def records() -> list[dict[str, Any]]:
    """Return what ``describe`` might have written of as many videos."""
    found: list[dict[str, Any]] = []
    for number in range(VIDEOS):
        path = f"/films/{number % 100:02}/clip {number:05}.mp4"
        if number % 100 == 99:
            found.append({"path": path, "status": "failed", "reason": "moov atom not found"})
            continue
        actions = [
            {"label": f"Action{(number * (k + 7)) % LABELS}", "probability": 0.6 / 2**k}
            for k in range(5)
        ]
        caption = f"a person does number {number % 997} with {number % 13} others in a garden"
        segments = [
            {"start": 5.0 * k, "end": 5.0 * k + 5, "actions": actions, "caption": caption}
            for k in range(2)
        ]
        found.append(
            {"path": path, "status": "ok", "reason": None, "duration": 10.0}
            | {"actions": actions, "caption": caption, "segments": segments}
        )
    return found


def draw_strips(report: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Give each video a strip of its own on the disk; return their names."""
    names = {}
    for number, row in enumerate(rows):
        if row["status"] == "failed":
            continue
        path = report / strip_name(f"{number:064x}"[::-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        first = report / "strips" / f"picture{number % PICTURES}.jpg"
        if not first.exists():
            image = Image.effect_noise((1040, 96), 60).convert("RGB")
            image.save(first, quality=82)
        os.link(first, path)
        names[row["path"]] = strip_name(f"{number:064x}"[::-1])
    return names


def pages(scratch: Path) -> tuple[float, float, float]:
    """Write the pages of some videos; return seconds of the lens, of it all, and bytes a page."""
    ready = scratch / "ready"
    ready.mkdir()
    np.save(ready / "x.npy", np.ones((FRAMES, DIM), np.float32))
    made = origin(FramesConfig(count=FRAMES), EncoderConfig(precomputed=ready), scratch / "cache")
    rows = [row for row in records()[: PAGES * 2] if row["status"] == "ok"][:PAGES]
    contents, store = {}, FeatureStore(scratch / "cache")
    for number, row in enumerate(rows):
        contents[Path(row["path"])] = f"{number:064x}"
        feats_TD = np.random.default_rng(number).normal(size=(FRAMES, DIM)).astype(np.float32)
        pts_T = np.linspace(0.3, 9.7, FRAMES)
        features = Features(feats_TD=feats_TD, pts_T=pts_T, about={"duration": 10.0})
        store.write(f"{number:064x}", made.recipe, features)
        row["caption"] = "a man is playing a guitar in a room"
        row["segments"] = [{**row["segments"][0], "end": 10.0, "caption": row["caption"]}]
    vocabulary = Vocabulary.build([row["caption"] for row in rows], min_count=1)
    place = Place(cache=scratch / "cache", runner=Runner(workers=1, local=True))
    untrained: dict[str, Head] = {
        "action": ActionHead(dim=DIM, classes=101, hidden=128),
        "caption": CaptionHead(dim=DIM, words=len(vocabulary), hidden=512),
    }
    heads = []
    for task, head in untrained.items():
        manifest = Manifest(
            task=task, dim=DIM, head={}, words=vocabulary.words, recipe=made.recipe.settings,
            frames={}, encoder={}, search={}, trained={},
        )  # fmt: skip
        heads.append(
            Answerer(
                head=head.eval(), manifest=manifest, origin=made, place=place, by="a benchmark"
            )
        )
    whole = Segmentation()
    began = perf_counter()
    for first in range(0, PAGES, 128):
        block = rows[first : first + 128]
        videos = {contents[Path(row["path"])]: Path(row["path"]) for row in block}
        said = {contents[Path(row["path"])]: row for row in block}
        see(heads, videos, said, whole)
    lens = perf_counter() - began
    report = scratch / "found" / "report"
    began = perf_counter()
    write_video_pages(
        report,
        rows,
        heads=heads,
        contents=contents,
        segmentation=whole,
        strips={},
        previews={},
        about={},
    )
    took = perf_counter() - began
    written = list((report / "videos").iterdir())
    return lens, took, sum(path.stat().st_size for path in written) / len(written)


def timed(page: Page, script: str, argument: str) -> tuple[float, float]:
    """Return milliseconds until it was drawn, and those of the longest task meanwhile."""
    page.evaluate("window.tasks.length = 0")
    took = page.evaluate(script, argument)
    page.wait_for_timeout(200)
    return took, page.evaluate("Math.max(0, ...window.tasks)")


def measure(browser: Browser, index: Path) -> dict[str, float]:
    """Open the page, search, sort and scroll; return milliseconds by what was done."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.add_init_script(WATCH)
    began = perf_counter()
    page.goto(index.as_uri())
    page.wait_for_function("document.querySelector('#shown').textContent.length > 0")
    found = {"load": 1000 * (perf_counter() - began)}
    page.wait_for_timeout(500)
    found["load, longest task"] = page.evaluate("Math.max(0, ...window.tasks)")
    keys = [timed(page, TYPED, text) for text in ("a", "ac", "action7", "clip 0123", "")]
    found["keystroke to list, median"] = median(took for took, _ in keys)
    found["keystroke to list, worst"] = max(took for took, _ in keys)
    found["keystroke, longest task"] = max(task for _, task in keys)
    orders = [timed(page, SORTED, order) for order in ("name", "sure", "short", "place")]
    found["sort, worst"] = max(took for took, _ in orders)
    page.evaluate("window.tasks.length = 0")
    scrolled = page.evaluate(SCROLLED)
    gaps = sorted(scrolled["gaps"])
    page.wait_for_timeout(200)
    found["scroll, median frame"] = median(gaps)
    found["scroll, 99 % of the frames within"] = gaps[int(0.99 * len(gaps))]
    found["scroll, longest task"] = page.evaluate("Math.max(0, ...window.tasks)")
    found["jump to the end"] = scrolled["jump"]
    found["elements in the page"] = page.evaluate("document.querySelectorAll('*').length")
    context.close()
    return found


def main() -> None:
    """Write the gallery, measure it three times, print the medians."""
    rows = records()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(folder)
        strips = draw_strips(out / "report", rows)
        began = perf_counter()
        index = write_gallery(out, rows, strips=strips, title="Many films", about={})
        found = {"writing the page": 1000 * (perf_counter() - began)}
        found["size of the page, MB"] = index.stat().st_size / 1e6
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        runs = [measure(browser, index) for _ in range(3)]
        browser.close()
        lens, all_of_it, weight = pages(out)
    found["a video page: the lens alone"] = 1000 * lens / PAGES
    found["a video page: all of it"] = 1000 * all_of_it / PAGES
    found["a video page, kB"] = weight / 1e3
    found |= {name: median(run[name] for run in runs) for name in runs[0]}
    table = Table(title=f"A gallery of {VIDEOS:,} videos; milliseconds unless said, median of 3")
    table.add_column("what")
    table.add_column("", justify="right")
    for name, value in found.items():
        table.add_row(name, f"{value:,.1f}" if value < 1000 else f"{value:,.0f}")
    Console().print(table)
    write_json(Path("build/bench/gallery.json"), {"videos": VIDEOS, **found})


if __name__ == "__main__":
    main()
