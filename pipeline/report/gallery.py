"""The gallery of a described folder: one card a video, searched, filtered and sorted in the page.

Reads nothing but its arguments and the strips beside the page; writes ``report/index.html`` and
``report/strips.json`` (which strip belongs to which video, for pages that quote a few cards).

The page holds what it shows as JSON. Its script makes the cards that are near the window and takes
away those that are far, so that 10,000 videos weigh no more than a screenful.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.report.cards import Action, Card, read_card
from reelscribe.pipeline.report.pages import relative_url, write_page

SHOWN_ACTIONS = 5
"""Bars of a card."""


def write_gallery(
    out: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    strips: Mapping[str, str],
    title: str,
    about: Mapping[str, str],
) -> Path:
    """Write ``out/report/index.html`` and return its path.

    Args:
        out: the folder that ``describe`` fills.
        records: the lines of results.jsonl, in their order.
        strips: path of a record -> its strip, relative to ``out/report``; those that are
            not there are left out, as are links to video pages.
        title: the heading.
        about: short facts under the heading, such as the model's run.
    """
    page = out / "report" / "index.html"
    cards = [
        read_card(record, place, page=page, strips=strips) for place, record in enumerate(records)
    ]
    described = [card for card in cards if card.ok]
    labels = Counter(card.label for card in described if card.label)
    durations = [card.duration for card in cards if card.duration is not None]
    write_json(page.with_name("strips.json"), dict(strips))
    return write_page(
        page,
        "gallery.html",
        script="page.js",
        title=title,
        about=about,
        cards=cards,
        data=embedded([_row(card) for card in cards]),
        described=len(described),
        abstained=sum(bool(card.abstained) for card in described),
        failed=len(cards) - len(described),
        labels=sorted(labels.items()),
        length=sum(durations) if durations else None,
    )


def embedded(value: object) -> Markup:
    """Return ``value`` as JSON that can stand in a page: nothing in it ends its element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _row(card: Card) -> dict[str, Any]:
    """Return what the script of the page needs of a card; what is empty is left out."""
    strip = card.strip
    # Segments are shown on the video's own page; here they are searched.
    seen = {card.label, card.caption}
    also = dict.fromkeys(text for one in card.segments for text in (one.label, one.caption))
    row = {
        "folder": shown(card.folder),
        "name": shown(card.name),
        "ok": card.ok,
        "reason": shown(card.reason or card.abstained),
        "duration": card.duration,
        "actions": [_pair(action) for action in card.actions[:SHOWN_ACTIONS]],
        "objects": [_pair(action) for action in card.objects[:SHOWN_ACTIONS]],
        "caption": shown(card.caption),
        "segments": len(card.segments) if len(card.segments) > 1 else 0,
        "also": shown(" ".join(text for text in also if text not in seen)),
        "ready": shown(card.ready),
        "strip": [relative_url(strip.src), strip.width, strip.height] if strip else None,
        "page": card.page,
    }
    return {key: value for key, value in row.items() if value or key == "ok"}


def _pair(action: Action) -> tuple[str, float | None]:
    return shown(action.label), action.probability


def shown(text: str) -> str:
    """Return text as pages show it: a byte that is no UTF-8 as its surrogate's number."""
    return text.encode("utf-8", "backslashreplace").decode()
