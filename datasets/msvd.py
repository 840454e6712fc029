"""MSVD (YouTube2Text): 1,970 short clips with about 41 English captions each.

Reads ``root/<VideoID>_<Start>_<End>.avi`` (or a folder right below the root) and captions as lines
``name<TAB>caption``, as ``vidN<TAB>caption`` with ``youtube_mapping.txt`` beside it, or as the
corpus of 2010, ``MSR Video Description Corpus.csv``. Writes nothing.

The official split is by vidN: 1-1200 train, 1201-1300 validation, 1301-1970 test, so it needs
``youtube_mapping.txt`` (``-4wsuPCjDBc_5_15 vid1``). Without it the split is ``source``: by YouTube
video, which is the first 11 characters of a name, so that no video has clips in two parts.

Paper: D. L. Chen, W. B. Dolan, "Collecting Highly Parallel Data for Paraphrase Evaluation",
ACL 2011, https://aclanthology.org/P11-1020
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reelscribe.datasets import checks, splitting, tables
from reelscribe.datasets.clip import PARTS, Clip, Finding, Part, Source, Split

SPLITS = ("1", "official", "source")
"""``1`` is official where the mapping is there, else source."""

LAST: Mapping[Part, int] = {"train": 1_200, "val": 1_300, "test": 1_970}
"""The last vidN of each part."""

SHARES: Mapping[Part, float] = {"train": 0.64, "val": 0.12, "test": 0.24}
"""Of split ``source``. Of a subset, the official 61 / 5 / 34 % would leave too little to train on
and nearly nothing to validate with."""

CORPUS = "MSR Video Description Corpus.csv"
MAPPING = "youtube_mapping.txt"
COLUMNS = ("videoid", "start", "end", "language", "description")

CAPTION_FILES = (CORPUS, "captions.tsv", "captions.txt")
"""What is looked for in a folder of annotations, the first that is there. Then ``sents_*.txt``."""

ROOT_HOLDS = "videos named <VideoID>_<Start>_<End>, as -4wsuPCjDBc_5_15.avi"
NOTES_HOLD = f"captions.tsv (name<TAB>caption), sents_*.txt (vidN<TAB>caption) or {CORPUS}"

NAME = re.compile(r"(?P<source>[\w-]{11})_\d+_\d+", re.ASCII)
ALIAS = re.compile(r"vid(?:eo)?(?P<number>\d+)")


@dataclass(frozen=True, kw_only=True)
class _Notes:
    """Captions and the mapping, read."""

    captions: Mapping[str, tuple[str, ...]]
    """Of each clip, in published order, the empty ones left out."""
    numbers: Mapping[str, int]
    """Clip -> N of vidN, from 1; empty where there is no mapping."""
    empty: tuple[str, ...]
    """Names of clips with an empty caption, once for each."""
    damaged: int
    """Rows of the corpus without a VideoID, as spreadsheets leave of ids that begin with ``-``."""


def load(source: Source) -> Split:
    """Read the official split, or the one by YouTube video.

    The latter is dealt over all captioned clips by ``source.seed``: a clip that gets lost moves no
    other. ``Split.name`` says which one it is.

    Raises:
        ValueError: a folder or file is not there or not in the format, the split has another name
            or lacks its mapping, or no captioned clip is on disk.
    """
    _check(source)
    notes = _read(source.annotations or source.root)
    on_disk = tables.clips_below(source)
    name, parts = _split(source, notes)
    missing = tuple(stem for stem in notes.captions if stem not in on_disk)
    if len(missing) == len(notes.captions):
        raise tables.nothing_found(source.root, len(missing), ROOT_HOLDS)
    there = {
        part: tuple(replace(clip, path=on_disk[clip.id]) for clip in clips if clip.id in on_disk)
        for part, clips in parts.items()
    }
    return Split(
        dataset="msvd",
        name=name,
        train=there["train"],
        val=there["val"],
        test=there["test"],
        missing=missing,
    )


def examine(source: Source) -> Iterator[Finding]:
    """Compare a copy with the published one: counts, captions, videos, shared sources."""
    try:
        _check(source)
        notes = _read(source.annotations or source.root)
        on_disk = tables.clips_below(source)
        name, parts = _split(source, notes)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    yield from _about_captions(notes)
    yield from _about_disk(notes, on_disk)
    yield from tables.about_files(on_disk.values())
    sizes = " / ".join(f"{len(parts[part]):,}" for part in PARTS)
    text = f"split {name}: {sizes} clips (train / val / test); official: 1,200 / 100 / 670"
    whole = name == "official" and sizes == "1,200 / 100 / 670"
    yield Finding(level="note" if whole else "warning", text=text)
    yield from checks.about_captions(parts)
    times = {name: [float(second) for second in name.split("_")[-2:]] for name in notes.captions}
    yield from checks.about_overlaps(parts, times)
    shared = [f"{group}: {a.id}, {b.id}" for group, a, b in splitting.shared_groups(parts)]
    if shared:
        text = f"{len(shared):,} YouTube videos have clips in two parts"
        yield Finding(level="warning", text=text, examples=tuple(shared[:5]))
    else:
        yield Finding(level="note", text="no YouTube video has clips in two parts")


def _check(source: Source) -> None:
    tables.check_split("msvd", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)


def _split(source: Source, notes: _Notes) -> tuple[str, dict[Part, tuple[Clip, ...]]]:
    """Return the split's own name, and all captioned clips in parts, on disk or not."""
    clips = [
        Clip(id=name, path=source.root / name, group=name[:11], captions=captions)
        for name, captions in notes.captions.items()
    ]
    if source.split == "source" or (source.split == "1" and not notes.numbers):
        return "source", splitting.split_by_group(clips, seed=source.seed, shares=SHARES)
    if not notes.numbers:
        raise ValueError(
            f"msvd split 'official' needs {MAPPING} beside the captions, which numbers the clips; "
            "put it there or take split 'source'"
        )
    unknown = [name for name in notes.captions if name not in notes.numbers]
    if unknown:
        raise ValueError(
            f"{len(unknown):,} captioned clips are not in {MAPPING}, first {unknown[0]!r}; "
            "take a mapping of the same release or split 'source'"
        )
    parts: dict[Part, list[Clip]] = {part: [] for part in PARTS}
    for clip in clips:
        number = notes.numbers[clip.id]
        parts[next(part for part in PARTS if number <= LAST[part])].append(clip)
    return "official", {part: tuple(found) for part, found in parts.items()}


def _read(place: Path) -> _Notes:
    files = _caption_files(place)
    mapping = files[0].parent / MAPPING
    names, numbers = _read_mapping(mapping) if mapping.is_file() else ({}, {})
    damaged = 0
    rows: Iterable[tuple[str, str]]
    captions: defaultdict[str, list[str]] = defaultdict(list)
    empty: list[str] = []
    for path in files:
        if path.suffix.lower() == ".csv":
            rows, damaged = _read_corpus(path)
        else:
            rows = _read_pairs(path, names)
        for name, caption in rows:
            found = captions[name]
            if words := tables.tidy(caption):
                found.append(words)
            else:
                empty.append(name)
    if not captions:
        raise ValueError(f"{files[0]} has no captions; there should be {NOTES_HOLD}")
    return _Notes(
        captions={name: tuple(found) for name, found in captions.items()},
        numbers=numbers,
        empty=tuple(empty),
        damaged=damaged,
    )


def _caption_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    for name in CAPTION_FILES:
        if (place / name).is_file():
            return [place / name]
    found = sorted(place.glob("sents_*.txt"))
    if found:
        return found
    raise ValueError(
        f"data.annotations {str(place)!r} has no captions; it should hold {NOTES_HOLD}; "
        "or give the file itself"
    )


def _read_mapping(path: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Return alias -> clip and clip -> N of vidN from 1."""
    names: dict[str, str] = {}
    found: dict[str, int] = {}
    for i, line in tables.read_lines(path):
        name, _, alias = line.strip().rpartition(" ")
        match = ALIAS.fullmatch(alias)
        if match is None or not NAME.fullmatch(name):
            raise ValueError(f"{path} line {i}: {line[:60]!r} is not like '-4wsuPCjDBc_5_15 vid1'")
        if name in found or alias in names:
            raise ValueError(
                f"{path} line {i}: {line.strip()!r} repeats an earlier line; list each clip once"
            )
        names[alias], found[name] = name, int(match["number"])
    # One copy that goes round writes video0 for vid1.
    lowest = min(found.values(), default=1)
    numbers = {name: number + (lowest == 0) for name, number in found.items()}
    if max(numbers.values(), default=0) > LAST["test"]:
        raise ValueError(f"{path}: numbers go beyond {LAST['test']}; take the mapping of MSVD")
    return names, numbers


def _read_pairs(path: Path, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield clip and caption of each line ``name<TAB>caption``; a ``vidN`` becomes its clip."""
    for i, line in tables.read_lines(path):
        name, tab, caption = line.partition("\t")
        name = tables.inside(name.strip(), f"{path} line {i}")
        if not tab:
            raise ValueError(f"{path} line {i}: {line[:60]!r} has no tab; write name<TAB>caption")
        if ALIAS.fullmatch(name):
            if name not in names:
                raise ValueError(
                    f"{path} line {i}: {name!r} needs {MAPPING} beside it, with a line that ends "
                    f"in {name}"
                )
            name = names[name]
        # The suffix too is cut: lists name x, x.avi and x.mp4.
        name = name.rsplit(".", 1)[0] if tables.is_video(name) else name
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{path} line {i}: {name!r} is not <11 characters of YouTube id>_<start>_<end>"
            )
        yield name, caption


def _read_corpus(path: Path) -> tuple[list[tuple[str, str]], int]:
    """Return clip and caption of each English row, and how many had no usable VideoID."""
    rows: list[tuple[str, str]] = []
    damaged = 0
    for number, row in tables.read_rows(path, strict=False):
        lacking = [name for name in COLUMNS if name not in row]
        if lacking and not rows and not damaged:
            raise ValueError(
                f"{path} line {number}: no {', '.join(lacking)}; the columns should be "
                "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description"
            )
        caption = row.get("description") or ""
        if (row.get("language") or "").strip() != "English" or caption.strip() in ("", "NULL"):
            continue
        name = "_".join(str(row[key]).strip() for key in ("videoid", "start", "end"))
        if NAME.fullmatch(name):
            rows.append((name, caption))
        else:
            damaged += 1
    return rows, damaged


def _about_captions(notes: _Notes) -> Iterator[Finding]:
    sizes = [len(found) for found in notes.captions.values()]
    found = (len(sizes), sum(sizes))
    yield Finding(
        level="note" if found == (1_970, 80_827) else "warning",
        text=f"{found[0]:,} clips with {found[1]:,} captions, {min(sizes)}-{max(sizes)} each; "
        "official: 1,970 with 80,827, 18-81 each",
    )
    if len(sizes) in (1_967, 1_968):
        text = f"copies with {len(sizes):,} clips go round: scores are not quite comparable"
        yield Finding(level="warning", text=text)
    if notes.empty:
        text = f"{len(notes.empty):,} captions are empty and left out"
        yield Finding(level="warning", text=text, examples=notes.empty[:5])
    if notes.damaged:
        text = (
            f"{notes.damaged:,} rows have no usable VideoID and are left out; spreadsheets write "
            "#NAME? for ids that begin with '-'"
        )
        yield Finding(level="warning", text=text)
    silent = [name for name in notes.numbers if name not in notes.captions]
    if silent:
        text = f"{len(silent):,} clips of {MAPPING} have no captions"
        yield Finding(level="warning", text=text, examples=tuple(silent[:5]))


def _about_disk(notes: _Notes, on_disk: Mapping[str, Path]) -> Iterator[Finding]:
    missing = [name for name in notes.captions if name not in on_disk]
    yield tables.about_missing(missing, len(notes.captions))
    stray = [str(path) for name, path in on_disk.items() if name not in notes.captions]
    if stray:
        text = f"{len(stray):,} videos on disk have no captions and will not be used"
        yield Finding(level="warning", text=text, examples=tuple(stray[:5]))
