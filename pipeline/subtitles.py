"""Subtitles: what was found, as WebVTT and SubRip files that players show.

Writes ``<folder>/<path of the video>.vtt`` and ``.srt``. WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from reelscribe.pipeline.files import write_whole
from reelscribe.pipeline.records import by_ready

LONGEST = 200
"""Bytes of a file name that are kept; file systems end at 255."""

_ODD = re.compile(r"[\x00-\x1f\x7f:\\]")


def write_subtitles(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write both files for each record that has segments."""
    names: set[PurePath] = set()
    for record in records:
        if not record["segments"] or not record["duration"]:
            continue
        inside = inside_path(record["path"])
        if inside in names:
            inside = inside.with_name(f"{inside.name}-{_short_hash(record['path'])}")
        names.add(inside)
        stem = folder / inside
        write_whole(stem.with_name(f"{stem.name}.vtt"), vtt(record["segments"], _note(record)))
        write_whole(stem.with_name(f"{stem.name}.srt"), srt(record["segments"]))


def inside_path(path: str) -> PurePath:
    """Turn any path into one that stays inside a folder: no root, no ``..``, no endless names."""
    whole = PurePath(path)
    parts = [part for part in whole.parts if part not in (whole.anchor, "..")]
    # Line breaks and the like would be legal, but no tool reads them; ":" and "\" mean a root
    # elsewhere.
    return PurePath(*(_shortened(_ODD.sub("_", part)) for part in parts or ["video"]))


def _note(record: Mapping[str, Any]) -> str:
    """Return what is to be said of answers by a head that ships; SubRip has no place for it."""
    said = [f"{what} by {who}" for what, who in by_ready(record.get("by") or {}).items()]
    return " ".join("; ".join(said).replace("-->", "->").split())


def vtt(segments: Sequence[Mapping[str, Any]], note: str = "") -> str:
    """Return the segments as WebVTT, with a note that players do not show."""
    cues = [f"{_span(segment, '.')}\n{_escaped(text)}\n" for segment, text in _spoken(segments)]
    head = f"WEBVTT\n\nNOTE {note}\n\n" if note else "WEBVTT\n\n"
    return head + "\n".join(cues)


def srt(segments: Sequence[Mapping[str, Any]]) -> str:
    """Return the segments as SubRip."""
    cues = [
        f"{number}\n{_span(segment, ',')}\n{re.sub('--+>', '->', text)}\n"
        for number, (segment, text) in enumerate(_spoken(segments), 1)
    ]
    return "\n".join(cues)


def _spoken(
    segments: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], str]]:
    for segment in sorted(segments, key=lambda segment: float(segment["start"])):
        best = [answer["label"] for answer in segment["actions"][:1]]
        lines = [*(f"[{label}]" for label in best), segment["caption"]]
        text = "\n".join(said for line in lines if line and (said := " ".join(line.split())))
        if text:
            yield segment, text


def _span(segment: Mapping[str, Any], point: str) -> str:
    # No player takes a time below 0, or a cue that ends where it begins.
    start = max(0, round(1000 * segment["start"]))
    end = max(start + 1, round(1000 * segment["end"]))
    return f"{_clock(start, point)} --> {_clock(end, point)}"


def _clock(millis: int, point: str) -> str:
    whole, milli = divmod(millis, 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{milli:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shortened(name: str) -> str:
    raw = os.fsencode(name)
    if len(raw) <= LONGEST:
        return name
    return f"{os.fsdecode(raw[:LONGEST]).rstrip()}-{_short_hash(name)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
