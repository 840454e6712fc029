"""The gallery of a described folder: one card a video, searched, filtered and sorted in the page.

Reads nothing but its arguments and the strips beside the page; writes ``report/index.html`` and
``report/strips.json`` (which strip belongs to which video, for pages that quote a few cards).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from reelscribe.pipeline.files import read_json, read_jsonl, write_json
from reelscribe.pipeline.report.pages import finite, write_page

FOLD = 8.0
"""A strip wider than this many times its height is shown in two rows, or its frames get tiny."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One bar of a card."""

    label: str
    probability: float | None
    """A fraction."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What was seen between two times of a video."""

    start: float | None
    """In seconds."""
    end: float | None
    """In seconds."""
    label: str
    """The most probable action, or the empty string."""
    caption: str


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A film strip on the disk."""

    src: str
    """Relative to the page."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""

    @property
    def folded(self) -> bool:
        """Whether the page shows it in two rows."""
        return self.width > FOLD * self.height


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a page shows of one record of results.jsonl."""

    place: int
    """Where the record stood in its file, from 0."""
    folder: str
    """The path up to and with the last slash, or the empty string."""
    name: str
    ok: bool
    reason: str
    """Why it failed."""
    duration: float | None
    """In seconds."""
    actions: tuple[Action, ...]
    caption: str
    segments: tuple[Segment, ...]
    strip: Strip | None

    @property
    def label(self) -> str:
        """The most probable action, or the empty string."""
        return self.actions[0].label if self.actions else ""

    @property
    def confidence(self) -> float | None:
        """The probability of the most probable action."""
        return self.actions[0].probability if self.actions else None


def read_card(
    record: Mapping[str, Any], place: int, *, page: Path, strips: Mapping[str, str]
) -> Card:
    """Return the card of one record; keys it does not have are left empty.

    Args:
        record: one line of results.jsonl.
        place: where it stands in its file.
        page: the page that will show the card: strips are looked up relative to its folder.
        strips: path of a record -> its strip, relative to that folder.
    """
    path = str(record["path"])
    name = PurePosixPath(path).name
    ok = record.get("status") == "ok"
    return Card(
        place=place,
        folder=path.removesuffix(name),
        name=name,
        ok=ok,
        reason="" if ok else str(record.get("reason") or "no reason was written down"),
        duration=finite(record.get("duration")),
        actions=_actions(record),
        caption=str(record.get("caption") or ""),
        segments=tuple(_segment(one) for one in record.get("segments") or ()),
        strip=_strip(strips.get(path), page),
    )


def _actions(record: Mapping[str, Any]) -> tuple[Action, ...]:
    actions = [
        Action(label=str(one.get("label", "")), probability=finite(one.get("probability")))
        for one in record.get("actions") or ()
    ]
    actions.sort(key=lambda action: -(action.probability or 0.0))
    return tuple(actions)


def _segment(record: Mapping[str, Any]) -> Segment:
    actions = _actions(record)
    return Segment(
        start=finite(record.get("start")),
        end=finite(record.get("end")),
        label=actions[0].label if actions else "",
        caption=str(record.get("caption") or ""),
    )


def _strip(src: str | None, page: Path) -> Strip | None:
    if src is None:
        return None
    try:
        with Image.open(page.parent / src) as image:
            return Strip(src=src, width=image.width, height=image.height)
    except OSError:  # A page with a hole in it is worth less than one that never had the picture.
        return None


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
            not there are left out.
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
        described=described,
        failed=[card for card in cards if not card.ok],
        labels=sorted(labels.items()),
        length=sum(durations) if durations else None,
    )


def read_cards(out: Path) -> list[Card]:
    """Return the cards of a folder that ``describe`` filled, with strips relative to its report."""
    page = out / "report" / "index.html"
    strips_file = page.with_name("strips.json")
    strips = read_json(strips_file) if strips_file.is_file() else {}
    records = read_jsonl(out / "results.jsonl")
    return [
        read_card(record, place, page=page, strips=strips) for place, record in enumerate(records)
    ]
