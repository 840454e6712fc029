"""What a doctor looks for in the clips of a split, whatever dataset they are of.

Reads the files of clips that may be the same; writes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reelscribe.datasets.clip import Clip, Finding, Part


def about_clips(parts: Mapping[Part, Sequence[Clip]]) -> Iterator[Finding]:
    """Say what is wrong with clips of one's own: twins, and captions of a wrong encoding."""
    yield from about_twins(parts)
    yield from about_captions(parts)


def about_twins(parts: Mapping[Part, Sequence[Clip]]) -> Iterator[Finding]:
    """Say which clips of different parts are the same bytes: by size first, then by sha256."""
    by_size: defaultdict[int, list[tuple[Part, Clip]]] = defaultdict(list)
    for part, clips in parts.items():
        for clip in clips:
            by_size[clip.path.stat().st_size].append((part, clip))
    by_hash: defaultdict[str, list[tuple[Part, Clip]]] = defaultdict(list)
    for size, same in by_size.items():
        if size and len({part for part, _ in same}) > 1:
            for part, clip in same:
                with clip.path.open("rb") as file:
                    by_hash[hashlib.file_digest(file, "sha256").hexdigest()].append((part, clip))
    twins = [
        " = ".join(f"{clip.id} ({part})" for part, clip in same)
        for same in by_hash.values()
        if len({part for part, _ in same}) > 1
    ]
    if twins:
        text = f"{len(twins):,} videos are byte for byte the same in different parts"
        yield Finding(level="warning", text=text, examples=tuple(twins[:5]))


def about_captions(parts: Mapping[Part, Sequence[Clip]]) -> Iterator[Finding]:
    """Say which captions were read or written in another encoding on their way."""
    broken = [
        f"{clip.id}: {caption[:60]}"
        for clips in parts.values()
        for clip in clips
        for caption in clip.captions
        if is_broken(caption)
    ]
    if broken:
        text = (
            f"{len(broken):,} captions went through a wrong encoding; take them from their source"
        )
        yield Finding(level="warning", text=text, examples=tuple(broken[:5]))


def is_broken(caption: str) -> bool:
    """Say whether a caption holds the mark of a lost character, or UTF-8 read as Windows-1252.

    Such text turns back into UTF-8, which text that is right hardly ever does.
    """
    if caption.isascii():
        return False
    if "\ufffd" in caption:
        return True
    for misread in ("cp1252", "latin-1"):
        try:
            return not caption.encode(misread).decode("utf-8").isascii()
        except UnicodeError:
            continue
    return False


def about_overlaps(
    parts: Mapping[Part, Sequence[Clip]], times: Mapping[str, Sequence[Any]]
) -> Iterator[Finding]:
    """Say which clips show the same seconds of one source: across parts that is a leak.

    Args:
        parts: the clips; those of one group are of one source.
        times: first and last second of each clip in its source, by id; what is no number is not
            known.
    """
    sources: defaultdict[str, list[tuple[float, float, Part, str]]] = defaultdict(list)
    for part, clips in parts.items():
        for clip in clips:
            start, end = times[clip.id]
            if clip.group and isinstance(start, int | float) and isinstance(end, int | float):
                sources[clip.group].append((start, end, part, clip.id))
    within: list[str] = []
    across: list[str] = []
    for shown in sources.values():
        shown.sort(key=lambda one: one[0])
        for i, (_, end, part, name) in enumerate(shown):
            for start, _, other, later in shown[i + 1 :]:
                if start >= end:
                    break
                (within if part == other else across).append(f"{name}, {later}")
    if across:
        text = f"{len(across):,} pairs of clips in two parts show the same seconds of their source"
        yield Finding(level="warning", text=text, examples=tuple(across[:5]))
    if within:
        text = f"{len(within):,} pairs of clips in one part show the same seconds of their source"
        yield Finding(level="note", text=text, examples=tuple(within[:5]))
