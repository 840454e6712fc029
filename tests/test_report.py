"""The pages, read as HTML with a parser: what they say, and that data stays data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, TreeBuilder

import numpy as np
import pytest
from PIL import Image

from reelscribe.pipeline.files import write_json, write_jsonl
from reelscribe.pipeline.report.cards import read_cards
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.report.lens import line_plot
from reelscribe.pipeline.report.pages import clock, count, percent, relative_url, took
from reelscribe.pipeline.report.plots import confusion, training_curves
from reelscribe.pipeline.report.run import score_card, write_run_page
from reelscribe.pipeline.report.strips import make_strip, strip_name
from reelscribe.pipeline.report.summary import compare_verdict, write_compare_page, write_demo_page

VOID = {"meta", "link", "img", "input", "br"}
EVIL_NAME = "<img src=x onerror=alert(1)>.mp4"
EVIL_CAPTION = "</script><script>alert(2)</script>"


class Page(HTMLParser):
    """Parses a page into an element tree; every element must be closed by its own end tag."""

    def __init__(self, path: Path) -> None:
        """Read and parse ``path``."""
        super().__init__()
        self.tree, self.open = TreeBuilder(), ["page"]
        self.tree.start("page", {})
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == ["page"], f"{self.open} are never closed"
        self.tree.end("page")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Go down, unless the element cannot hold others."""
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        self.open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Go up."""
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.tree.data(data)


def text(element: Element) -> str:
    """Return the text below an element, with runs of white space as one blank."""
    return " ".join("".join(element.itertext()).split())


def find(element: Element, tag: str, cls: str = "") -> list[Element]:
    """Return the elements with a tag name and, where given, a class, in document order."""
    return [one for one in element.iter(tag) if not cls or cls in one.get("class", "").split()]


def parse(path: Path) -> Element:
    return Page(path).tree.close()


def assert_self_contained(path: Path) -> None:
    """No element names a host; each local link and picture is there; no id is given twice."""
    root = parse(path)
    ids = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids)), sorted(one for one in ids if ids.count(one) > 1)
    for node in root.iter():
        for name in ("src", "href", "xlink:href"):
            target = node.get(name, "")
            if not target or target.startswith("data:"):
                continue
            if target.startswith("#"):
                assert target[1:] in ids, target
            else:
                assert (path.parent / unquote(target)).is_file(), target


def record(path: str, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "status": "ok",
        "reason": None,
        "duration": 7.5,
        "actions": [{"label": "wave", "probability": 0.25}, {"label": "run", "probability": 0.75}],
        "caption": "a person runs",
        "segments": [],
    } | more


FAILED = {"path": "b/cut.mp4", "status": "failed", "reason": "moov atom not found"}


def rows(root: Element) -> list[dict[str, Any]]:
    """Return what a gallery's script makes its cards of."""
    (data,) = [script for script in find(root, "script") if script.get("id") == "records"]
    found: list[dict[str, Any]] = json.loads(data.text or "")
    return found


def gallery(
    out: Path, *records: Mapping[str, Any], strips: Mapping[str, str] | None = None
) -> Element:
    page = write_gallery(out, records, strips=strips or {}, title="My films", about={"model": "m1"})
    assert page == out / "report" / "index.html"
    assert_self_contained(page)
    return parse(page)


ACTION_SCORES: dict[str, Any] = (
    {"task": "action", "dataset": "ucf101", "split": "1", "cell": "lstm", "videos": 4, "seed": 7}
    | {"top1": 0.75, "top5": 1.0, "floor": 0.5, "ci95": [0.55, 0.95], "subset": True, "missing": 3}
    | {"labels": ["run", "wave"], "confusion": [[2, 0], [1, 1]]}
    | {"per_class": {"run": 1.0, "wave": 0.5}}
    | {"failed": [{"path": "run/bad.avi", "reason": "empty file"}]}
)
CAPTION_SCORES: dict[str, Any] = (
    {"task": "caption", "dataset": "msvd", "videos": 3, "references": 9, "seed": 0}
    | {"Bleu_4": 0.379, "CIDEr": 0.4, "ci95": [0.1, 0.7], "human": 1.2}
    | {"floor": 0.15, "floor_caption": "a man is playing a guitar"}
    | {"left_out": {"METEOR": "no Java"}}
)


def action_run(run: Path) -> Path:
    write_json(run / "scores.json", ACTION_SCORES)
    rows = [("run", "run", 0.9), ("run", "run", 0.8), ("wave", "wave", 0.7), ("wave", "run", 0.97)]
    write_jsonl(
        run / "predictions.jsonl",
        [
            {
                "id": f"c{place}",
                "path": f"{label}/c{place}.avi",
                "label": label,
                "ranked": [{"label": guess, "probability": sure}],
            }
            for place, (label, guess, sure) in enumerate(rows)
        ],
    )
    write_jsonl(
        run / "metrics.jsonl",
        [{"epoch": i, "loss": 2 / i, "val_loss": 3 / i, "val_top1": i / 4} for i in (1, 2, 3)],
    )
    (run / "config.yaml").write_text(f"output: '{EVIL_CAPTION}'\n")
    return run


def caption_run(run: Path) -> Path:
    write_json(run / "scores.json", CAPTION_SCORES)
    write_jsonl(
        run / "predictions.jsonl",
        [
            {"id": str(i), "path": f"{i}.avi", "caption": text, "references": refs, "CIDEr": value}
            for i, (text, refs, value) in enumerate(
                [
                    ("a dog", ["a dog runs"], 0.9),
                    ("a dog", ["a cat", EVIL_CAPTION], 0.1),
                    ("a man", ["a man"], 0.5),
                ]
            )
        ],
    )
    return run


TABLE: dict[str, Any] = {
    "task": "action",
    "dataset": "theatre",
    "metric": "top1",
    "seeds": [0, 1],
    "floor": 0.1,
    "videos": 48,
    "rows": [
        {"cell": "none", "score": 0.5, "ci95": [0.4, 0.6], "params": 1234, "per_seed": [0.4, 0.6]},
        {"cell": "gru", "score": 0.9, "ci95": [0.7, 0.95], "order_pairs": 0.8, "spread": 0.01},
    ],
}


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.8725), "87.2%"),
        (percent(1.0), "100.0%"),
        (percent(0.99999), "99.9%"),
        (percent(None), "n/a"),
        (percent(math.nan), "n/a"),
        (clock(7.5), "7.5 s"),
        (clock(59.96), "1:00"),
        (clock(3725), "1:02:05"),
        (took(200), "3 min 20 s"),
        (count(12345), "12,345"),
        (relative_url("strips/a b#?.jpg"), "strips/a%20b%23%3F.jpg"),
        (relative_url("https://x.org/y"), "https%3A//x.org/y"),
    ],
)
def test_numbers_and_links_are_shown_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_card_shows_the_surest_action_first_and_the_caption(tmp_path: Path) -> None:
    root = gallery(tmp_path, record("trips/sea.mp4"), FAILED)
    ok, failed = rows(root)
    assert ok["actions"] == [["run", 0.75], ["wave", 0.25]]
    assert (ok["folder"], ok["name"], ok["caption"]) == ("trips/", "sea.mp4", "a person runs")
    assert ok["duration"] == 7.5
    assert failed["reason"] == "moov atom not found"
    assert text(find(root, "p", "lead")[0]) == "2 videos, 7.5 s in all: 1 described, 1 failed."
    assert [text(option) for option in find(root, "option")][:2] == ["any", "run (1)"]
    # Without a script the same is there as a list.
    assert [text(line) for line in find(find(root, "ol", "plain")[0], "li")] == [
        "trips/sea.mp4 run 75.0% a person runs",
        "b/cut.mp4 moov atom not found",
    ]


def test_what_segments_say_is_searched_although_the_card_does_not_show_it(tmp_path: Path) -> None:
    parts = [
        {"start": 0, "end": 61, "actions": [{"label": "swim", "probability": 1}], "caption": "hi"},
        {"start": 61, "end": 70, "actions": [], "caption": "a person runs"},
    ]
    (row,) = rows(gallery(tmp_path, record("a.mp4", segments=parts)))
    assert (row["segments"], row["also"].split()) == (2, ["swim", "hi"])


def test_abstaining_objects_and_ready_heads_are_said_where_a_record_has_them(
    tmp_path: Path,
) -> None:
    more: dict[str, Any] = {
        "actions": [],
        "abstained": "below 0.4",
        "by": {"actions": "ready ucf101, 9 classes", "caption": "runs/ready", "objects": None},
    }
    more |= {"objects": [{"label": "sea lion", "probability": 0.5}]}
    root = gallery(tmp_path, record("a.mp4", **more))
    (row,) = rows(root)
    assert (row["reason"], row["objects"]) == ("below 0.4", [["sea lion", 0.5]])
    assert row["ready"] == "By a head that ships (actions: ready ucf101, 9 classes)"
    assert "abstained 1" in text(find(root, "fieldset")[0])


def test_names_captions_labels_and_reasons_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = record(
        f"a/{EVIL_NAME}",
        caption=EVIL_CAPTION,
        actions=[{"label": '"><svg onload=alert(3)>', "probability": 1.0}],
    )
    root = gallery(tmp_path, evil, FAILED | {"reason": EVIL_CAPTION})
    ok, failed = rows(root)
    assert (ok["name"], ok["caption"], failed["reason"]) == (EVIL_NAME, EVIL_CAPTION, EVIL_CAPTION)
    assert EVIL_CAPTION in text(find(root, "ol", "plain")[0])
    assert [one.get("type") for one in find(root, "script")] == ["application/json", None]
    assert not find(root, "img")
    assert not [node for node in root.iter() if any(name[:2] == "on" for name in node.attrib)]


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    root = gallery(tmp_path, record("caf\udce9.mp4"))
    assert rows(root)[0]["name"] == "caf\\udce9.mp4"
    assert "caf\\udce9.mp4" in text(find(root, "ol", "plain")[0])


def test_two_videos_of_one_stem_keep_their_own_strips(tmp_path: Path) -> None:
    """Complaint 4 (v-iashin/video_features#54): two folders, same stem -> one file."""
    strips = {f"{one}/x.mp4": strip_name(one * 64) for one in "ab"}
    for one in strips.values():
        (tmp_path / "report" / one).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1000, 96)).save(tmp_path / "report" / one)
    root = gallery(tmp_path, *(record(path) for path in strips), strips=strips)
    assert [row["strip"] for row in rows(root)] == [
        [f"strips/{one * 32}.jpg", 1000, 96] for one in "ab"
    ]


def test_a_strip_that_is_not_there_leaves_no_hole(tmp_path: Path) -> None:
    root = gallery(tmp_path, record("a.mp4"), strips={"a.mp4": "strips/gone.jpg"})
    assert "strip" not in rows(root)[0]


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    pages = [write_run_page(action_run(tmp_path / name)) for name in ("a", "b")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_failed_write_leaves_the_old_page(tmp_path: Path) -> None:
    page = write_run_page(action_run(tmp_path))
    before = page.read_bytes()
    (tmp_path / "scores.json").write_text(json.dumps({"task": "sing"}))
    with pytest.raises(ValueError, match="'sing'; allowed: action, caption"):
        write_run_page(tmp_path)
    assert page.read_bytes() == before
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def test_an_action_run_shows_its_score_beside_its_floor(tmp_path: Path) -> None:
    page = write_run_page(action_run(tmp_path))
    assert_self_contained(page)
    root = parse(page)
    (card,) = find(root, "section", "score")
    assert text(find(card, "p", "figure")[0]) == "75.0% top-1 accuracy"
    assert [text(badge) for badge in find(card, "span", "badge")] == [
        "subset",
        "4 test videos",
        "one seed: 7",
    ]
    assert [text(row) for row in find(card, "dd")] == [
        "55.0% to 95.0%",
        "50.0% always the most frequent class",
        "100.0%",
    ]
    assert text(find(card, "p", "verdict")[0]).startswith("25.0 points above the floor")
    assert "wave taken for run 1 of 2" in text(root)
    assert "run, is wave 97.0% wave/c3.avi" in text(root)
    assert "3 clips that the lists name are missing on the disk." in text(root)
    assert "run/bad.avi empty file" in text(root)
    assert text(find(root, "pre")[0]) == f"output: '{EVIL_CAPTION}'"
    assert not find(root, "script")


def test_a_caption_run_shows_best_worst_and_how_often_it_repeats_itself(tmp_path: Path) -> None:
    """Complaint 24 (vijayvee/video-captioning#17): the same sentence for every video."""
    page = write_run_page(caption_run(tmp_path))
    assert_self_contained(page)
    root = parse(page)
    assert "2 different captions for 3 videos." in text(root)
    assert "said 2 times, is a dog." in text(root)
    best, worst = find(root, "ul", "samples")
    assert [text(p) for p in find(best, "p", "from")] == ["0.avi CIDEr 0.90"]
    assert [text(p) for p in find(worst, "p", "from")] == ["1.avi CIDEr 0.10"]
    assert text(find(worst, "ul", "refs")[0]) == f"a cat {EVIL_CAPTION}"
    values = [text(row) for row in find(find(root, "section", "score")[0], "dd")]
    assert values[:3] == [
        "0.100 to 0.700",
        '0.150 always "a man is playing a guitar"',
        "1.200 against the other humans",
    ]
    assert values[3:] == ["0.379", "left out: no Java"]
    assert "reaches down to it" in text(find(root, "p", "verdict")[0])


@pytest.mark.parametrize("task", ["action", "caption"])
def test_scores_with_nothing_but_their_task_still_make_a_page(tmp_path: Path, task: str) -> None:
    write_json(tmp_path / "scores.json", {"task": task, "unknown": 1})
    assert "There is no score" in text(parse(write_run_page(tmp_path)))


def test_a_run_without_scores_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no scores\.json; run `reelscribe evaluate`"):
        write_run_page(tmp_path)


@pytest.mark.parametrize(
    ("more", "mood"),
    [
        ({}, "good"),
        ({"ci95": [0.45, 0.9]}, "unsure"),
        ({"ci95": None}, "unsure"),
        ({"floor": None}, "unsure"),
        ({"top1": 0.5}, "bad"),
        ({"top1": None}, "bad"),
    ],
)
def test_the_verdict_is_no_kinder_than_the_numbers(more: dict[str, Any], mood: str) -> None:
    assert score_card(ACTION_SCORES | more).mood == mood


def test_marks_stand_where_their_numbers_are() -> None:
    card = score_card(ACTION_SCORES)
    assert (card.score_at, card.floor_at, card.low_at, card.band) == (75.0, 50.0, 55.0, 40.0)


def test_plots_take_their_colours_from_the_page_and_have_no_ids_of_groups() -> None:
    rows = [{"epoch": 1, "loss": 2.0, "lr": 0.1}, {"epoch": 2, "loss": math.nan, "lr": 0.1}]
    plots = training_curves(rows)
    assert plots.count("<svg") == 2
    assert "currentColor" in plots
    assert "var(--muted)" in plots
    assert "#0102" not in plots
    assert '<g id="' not in plots
    assert training_curves([]) == ""


def test_the_confusion_matrix_names_each_cell_and_escapes_labels() -> None:
    svg = confusion([[2, 0], [1, 1]], ["a<b>$x$", "c"])
    assert svg.count("<title>") == 3
    assert "<title>c taken for a&lt;b&gt;$x$: 1 of 2</title>" in svg
    assert "a<b>" not in svg


def test_the_confusion_matrix_of_101_classes_is_drawn_in_a_size_a_page_can_carry() -> None:
    labels = [f"Class{i}" for i in range(101)]
    matrix = np.eye(101, dtype=int) * 30 + np.eye(101, k=3, dtype=int) * 7
    assert len(confusion(matrix.tolist(), labels)) < 400_000


@pytest.mark.parametrize("values", [[0.003, 0.02], [1e-9, 1e-2]])
def test_the_axis_of_powers_of_ten_is_in_plain_figures(values: list[float]) -> None:
    drawn = line_plot("Gradient", {"lstm": values}, log=True)
    ticks = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert "0.01" in ticks
    assert "mathdefault" not in drawn


def test_a_label_in_another_script_is_drawn_without_a_warning() -> None:
    assert "\u8dd1\u6b65" in confusion([[1]], ["\u8dd1\u6b65"])


def test_compare_page_has_a_row_a_cell(tmp_path: Path) -> None:
    page = write_compare_page(tmp_path, TABLE)
    assert_self_contained(page)
    body = find(parse(page), "tbody")[0]
    rows = [
        [text(cell) for cell in row.iter() if cell.tag in ("th", "td")] for row in find(body, "tr")
    ]
    none = ["none", "50.0%", "n/a", "40.0% to 60.0%", "+40.0 points", "n/a", "1,234", "n/a", "n/a"]
    gru = ["gru", "90.0%", "1.0%", "70.0% to 95.0%", "+80.0 points", "80.0%", "n/a", "n/a", "n/a"]
    assert rows == [none, gru]
    assert [row.get("class") for row in find(body, "tr")] == [None, "top-row"]


@pytest.mark.parametrize(
    ("none", "gru", "expected"),
    [
        ([0.4, 0.6], [0.7, 0.95], "intervals lie apart"),
        ([0.4, 0.75], [0.7, 0.95], "it may be chance"),
        (None, [0.7, 0.95], "no intervals were measured"),
    ],
)
def test_a_recurrent_cell_must_earn_its_keep(none: Any, gru: Any, expected: str) -> None:
    rows = [
        {"cell": "none", "score": 0.5, "ci95": none},
        {"cell": "gru", "score": 0.9, "ci95": gru},
    ]
    assert expected in compare_verdict(rows, seeds=[0])
    assert "no recurrent cell" in compare_verdict([rows[0], rows[1] | {"score": 0.4}], seeds=[0])


def test_the_demo_page_leads_to_every_other_page(tmp_path: Path) -> None:
    runs = action_run(tmp_path / "runs/action"), caption_run(tmp_path / "runs/caption")
    for run in runs:
        write_run_page(run)
    described = tmp_path / "described"
    strip = described / "report" / strip_name("c" * 64)
    strip.parent.mkdir(parents=True)
    Image.new("RGB", (1000, 96)).save(strip)
    rows = [record("a/1.mp4"), record(f"a/{EVIL_NAME}"), FAILED]
    write_jsonl(described / "results.jsonl", rows)
    strips = {"a/1.mp4": strip_name("c" * 64)}
    write_gallery(described, rows, strips=strips, title="Described", about={})
    write_json(tmp_path / "compare/compare.json", TABLE)
    write_compare_page(tmp_path / "compare", TABLE)
    page = write_demo_page(
        tmp_path,
        action_run=runs[0],
        caption_run=runs[1],
        compare=tmp_path / "compare",
        described=described,
        timings={"encode": 30.0, "train": 60.0},
    )
    assert page == tmp_path / "index.html"
    assert_self_contained(page)
    root = parse(page)
    assert [a.attrib["href"] for a in find(root, "a") if a.get("class") == "go"] == [
        "runs/action/report/index.html",
        "runs/caption/report/index.html",
        "compare/report/index.html",
        "described/report/index.html",
    ]
    assert "2 videos were described, 1 failed and is named below." in text(root)
    assert "moov atom not found" in text(root)
    assert "run/bad.avi (actions)" in text(root)
    assert "1 min 30 s in all." in text(root)
    assert {img.attrib["src"] for img in find(root, "img")} == {
        f"described/report/strips/{'c' * 32}.jpg"
    }
    assert len(read_cards(described)) == 3


def test_a_strip_shows_the_video_from_left_to_right(make_video: Any, tmp_path: Path) -> None:
    """Frame i of the ramp is grey 20 i: five frames of ten rise in even steps."""
    video = make_video(frames=10, grey=lambda i: 20 * i)
    out = tmp_path / "strips" / "x.jpg"
    make_strip(video, out, frames=5, height=48)
    with Image.open(out) as image:
        assert (image.format, image.size) == ("JPEG", (5 * 50, 48))
        pixels = np.asarray(image.convert("L"), dtype=int)
    greys = [int(pixels[24, 50 * i + 25]) for i in range(5)]
    assert np.allclose(np.diff(greys), 40, atol=4), greys
    assert [path.name for path in out.parent.iterdir()] == ["x.jpg"]


def test_a_broken_video_gives_a_reason_and_no_strip(tmp_path: Path) -> None:
    video = tmp_path / "cut.mp4"
    video.write_bytes(b"not a video")
    with pytest.raises(ValueError, match="cannot open it"):
        make_strip(video, tmp_path / "cut.jpg")
    assert not (tmp_path / "cut.jpg").exists()


def test_a_strip_is_named_by_content_alone() -> None:
    assert strip_name("ab" * 32) == f"strips/{'ab' * 16}.jpg"
    with pytest.raises(AssertionError):
        strip_name("../../x")


@pytest.mark.parametrize(("frames", "height"), [(0, 96), (8, 4)])
def test_a_strip_of_no_size_is_refused(tmp_path: Path, frames: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"not [04]"):
        make_strip(tmp_path / "x.mp4", tmp_path / "x.jpg", frames=frames, height=height)
