"""The cards of a gallery: what pages show of the records in results.jsonl.

Reads records, and of the strips and video pages beside a page whether they are there; writes
nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.records import by_ready
from reelscribe.pipeline.report.pages import finite

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
    probability: float | None = None
    """Of that action."""
    abstained: str = ""
    """Why no action is named."""


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
    page: str = ""
    """The video's own page, relative to the gallery; or the empty string."""
    abstained: str = ""
    """Why no action is named although the video could be read."""
    objects: tuple[Action, ...] = ()
    """What ImageNet's classes say, surest first."""
    ready: str = ""
    """What is to be said of answers by a head that came with the package."""

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
        actions=_answers(record, "actions"),
        caption=str(record.get("caption") or ""),
        segments=tuple(_segment(one) for one in record.get("segments") or ()),
        strip=_strip(strips.get(path), page),
        # Of a video that fails now an earlier call may have left one.
        page=video_page(path) if ok and (page.parent / video_page(path)).is_file() else "",
        abstained=str(record.get("abstained") or "") if ok else "",
        objects=_answers(record, "objects"),
        ready=_ready(record.get("by") or {}),
    )


def video_page(path: str) -> str:
    """Return where the page of a video lies, relative to ``report/``.

    Its name can be read, but only letters, digits and the hash of the whole path are in it.
    """
    stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(path).stem)[:40].strip("-")
    hashed = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return f"videos/{stem or 'video'}-{hashed}.html"


def _ready(by: Mapping[str, Any]) -> str:
    """Return which answers a head that ships gave; ``by`` is what a record says of who spoke."""
    said = [f"{what}: {who}" for what, who in by_ready(by).items()]
    return f"By a head that ships ({'; '.join(said)})" if said else ""


def _answers(record: Mapping[str, Any], key: str) -> tuple[Action, ...]:
    actions = [
        Action(label=str(one.get("label", "")), probability=finite(one.get("probability")))
        for one in record.get(key) or ()
    ]
    actions.sort(key=lambda action: -(action.probability or 0.0))
    return tuple(actions)


def _segment(record: Mapping[str, Any]) -> Segment:
    actions = _answers(record, "actions")
    return Segment(
        start=finite(record.get("start")),
        end=finite(record.get("end")),
        label=actions[0].label if actions else "",
        probability=actions[0].probability if actions else None,
        caption=str(record.get("caption") or ""),
        abstained=str(record.get("abstained") or ""),
    )


def _strip(src: str | None, page: Path) -> Strip | None:
    if src is None:
        return None
    try:
        with Image.open(page.parent / src) as image:
            return Strip(src=src, width=image.width, height=image.height)
    except OSError:  # A page with a hole in it is worth less than one that never had the picture.
        return None


def read_cards(out: Path) -> list[Card]:
    """Return the cards of a folder that ``describe`` filled, with strips relative to its report."""
    page = out / "report" / "index.html"
    strips_file = page.with_name("strips.json")
    strips = read_json(strips_file) if strips_file.is_file() else {}
    records = read_jsonl(out / "results.jsonl")
    return [
        read_card(record, place, page=page, strips=strips) for place, record in enumerate(records)
    ]


def strips_of_run(run: Path) -> dict[str, str]:
    """Return the strips that a run's page may show: path of a clip -> relative to its report."""
    report = run / "report"
    strips_file = report / "strips.json"
    strips = read_json(strips_file) if strips_file.is_file() else {}
    return {path: name for path, name in strips.items() if (report / name).is_file()}
