"""The page of one described video: player, subtitles, timeline, and what the heads saw in it.

Reads nothing but its arguments, and whether the video is there; writes
``report/videos/<name>.html``. Everything stands on one axis of time: film strip, segments, what the
attention looked at, and what the memory did.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reelscribe.pipeline.report.cards import Card, Strip, video_page
from reelscribe.pipeline.report.lanes import Lane, Piece, bar_lane, heat, line_lane, ticks
from reelscribe.pipeline.report.pages import looks_of_pages, relative_url, write_page
from reelscribe.pipeline.subtitles import vtt

GATES = {
    "forget": "kept (forget gate)",
    "input": "let in (input gate)",
    "output": "shown (output gate)",
    "reset": "looked back at (reset gate)",
    "update": "kept (update gate)",
}
"""A gate -> what it does when it is open."""

VERSION = 1
"""Raise it when this module or the lanes draw something else of the same values."""

HEAD = 2048
"""Bytes at the beginning of a page in which its key stands."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one layer of a memory did in one direction, frame by frame; means over its units."""

    layer: int
    backwards: bool
    gates: Mapping[str, Sequence[float]]
    norm: Sequence[float]
    """Of the cell, or where there is none beside it, of the state."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """A caption, and where its head looked as it chose each word."""

    words: Sequence[str]
    attention: Sequence[Sequence[float]]
    """For each word the weight of each frame."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one head saw in one segment of a video."""

    task: str
    """``action`` or ``caption``."""
    times: Sequence[float]
    """Of the frames that it read, in seconds."""
    attention: Sequence[float] | None = None
    readings: Sequence[Reading] = ()
    words: Words | None = None


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The pages before and behind one, in the order of the gallery; empty at the ends."""

    before: str = ""
    behind: str = ""


def write_video_page(
    report: Path,
    card: Card,
    record: Mapping[str, Any],
    looks: Sequence[Look],
    *,
    beside: Beside,
    about: Mapping[str, str],
    preview: str = "",
    key: str = "",
) -> Path:
    """Write the page of one video and return its path.

    Args:
        report: the folder of the gallery.
        card: of the record; its strip lies relative to ``report``.
        record: one line of results.jsonl.
        looks: what each head saw, segment after segment.
        beside: the pages before and behind it.
        about: short facts, such as the model's run.
        preview: a copy that is played in the video's place, relative to ``report``.
        key: what :func:`page_key` says of all that it is made of.
    """
    path = report / video_page(record["path"])
    segments = record.get("segments") or []
    return write_page(
        path,
        "video.html",
        script="video.js",
        style=("video.css", "lanes.css"),
        policy="media-src 'self' file: data:; ",
        title=card.name,
        card=replace(card, strip=_up(card.strip)),
        source=_source(Path(record["path"]), path),
        preview=relative_url(f"../{preview}") if preview else "",
        track=_track(segments),
        segments=_bar(card) if card.duration else [],
        ticks=ticks(card.duration) if card.duration else [],
        lanes=lanes(looks, card.duration, _spans(card)) if card.duration else [],
        words=_words(looks, card),
        beside=beside,
        about=about,
        key=key,
    )


def page_key(made_of: Sequence[object]) -> str:
    """Return a short name of all that decides a page: plain values, and how pages look."""
    text = json.dumps([VERSION, looks_of_pages(), *made_of], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def is_made_of(page: Path, key: str) -> bool:
    """Say whether a page is there and names this key."""
    try:
        with page.open("rb") as file:
            return key.encode() in file.read(HEAD)
    except FileNotFoundError:
        return False


def _up(strip: Strip | None) -> Strip | None:
    return None if strip is None else replace(strip, src=f"../{strip.src}")


def _source(video: Path, page: Path) -> str:
    """Return the URL of the video, relative to its page; empty where the video is gone."""
    if not video.is_file():
        return ""
    return relative_url(os.path.relpath(os.path.abspath(video), os.path.abspath(page.parent)))


def _track(segments: Sequence[Mapping[str, Any]]) -> str:
    """Return the subtitles as a URL: a page from the disk may load no .vtt from the disk."""
    if not segments:
        return ""
    text = vtt(segments).encode("utf-8", "backslashreplace")
    return f"data:text/vtt;base64,{base64.b64encode(text).decode()}"


def _bar(card: Card) -> list[dict[str, Any]]:
    """Return the segments with their places on the axis, in percent."""
    assert card.duration
    found = []
    for one in card.segments:
        start, end = one.start or 0.0, one.end or card.duration
        found.append(
            {
                "start": start,
                "end": end,
                "left": f"{100 * min(start / card.duration, 1):.3f}",
                "width": f"{100 * max(min(end / card.duration, 1) - start / card.duration, 0):.3f}",
                "label": one.label,
                "probability": one.probability,
                "caption": one.caption,
                "abstained": one.abstained,
                "text": ": ".join(text for text in (one.label, one.caption) if text),
            }
        )
    return found


def lanes(looks: Sequence[Look], duration: float, spans: Mapping[float, float]) -> list[Lane]:
    """Return what the heads did along the video's time, one lane a question.

    Args:
        looks: what each head saw, segment after segment.
        duration: of the video, in seconds.
        spans: where each segment begins -> where it ends.
    """
    found = []
    actions = [look for look in looks if look.task == "action"]
    weights = _pieces(actions, spans, [look.attention for look in actions])
    if weights:
        about = "where the head that names actions looked: the share of each frame"
        found.append(bar_lane("Attention", about, weights, duration))
    spoken = [look for look in looks if look.words]
    if spoken and max(len(spoken), len(spans)) > 1:
        means = [_mean(look.words.attention) for look in spoken if look.words]
        about = "where the head that writes captions looked: the mean over its words"
        pieces = _pieces(spoken, spans, means)
        found.append(bar_lane("Attention of the captions", about, pieces, duration))
    if not actions or not actions[0].readings:
        return found
    norms = {}
    for place, reading in enumerate(actions[0].readings):
        mine = [look.readings[place] for look in actions]
        where = "backwards" if reading.backwards else "forwards"
        if any(one.layer for one in actions[0].readings):
            where = f"layer {reading.layer + 1}, {where}"
        gates = {
            GATES[name]: _pieces(actions, spans, [one.gates[name] for one in mine])
            for name in sorted(reading.gates, key=list(GATES).index)
        }
        if gates:
            about = "how far the gates stand open, mean of the units: 1 open, 0 shut"
            found.append(line_lane(f"Gates, {where}", about, gates, duration, high=1.0))
        norms[where] = _pieces(actions, spans, [one.norm for one in mine])
    about = "the size of what the memory holds (the norm of the cell)"
    found.append(line_lane("Memory", about, norms, duration))
    return found


def _spans(card: Card) -> dict[float, float]:
    assert card.duration
    return {one.start or 0.0: one.end or card.duration for one in card.segments}


def _pieces(
    looks: Sequence[Look],
    spans: Mapping[float, float],
    values: Sequence[Sequence[float] | None],
) -> list[Piece]:
    found = []
    for look, mine in zip(looks, values, strict=True):
        if mine is None:
            continue
        # The segment that a look belongs to is the last that begins before its first frame.
        start = max((start for start in spans if start <= look.times[0]), default=min(spans))
        found.append(Piece(start=start, end=spans[start], times=look.times, values=mine))
    return found


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def _words(looks: Sequence[Look], card: Card) -> dict[str, Any] | None:
    """Return the heat map of a video that was described whole: words by frames."""
    spoken = [look for look in looks if look.words]
    if len(spoken) != 1 or len(card.segments) > 1 or spoken[0].words is None or not card.duration:
        return None
    said = spoken[0].words
    drawn = heat(spoken[0].times, said.attention, card.duration)
    return {"words": said.words, "svg": drawn}
