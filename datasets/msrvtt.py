"""MSR-VTT: 10,000 clips with 20 captions each.

Reads the annotations of 2016 (``train_val_videodatainfo.json`` and ``test_videodatainfo.json``, the
zips that hold them, or one JSON file with all) and the names of ``<video_id>.mp4``, in the root or
in folders such as ``TrainValVideo/`` right below it. Writes nothing, unpacks nothing.

Each video names its own part: ``train``, ``validate`` or ``test``. Captions come in another order
than videos (the first belong to video2960): they are joined by ``video_id``.

Paper: J. Xu, T. Mei, T. Yao, Y. Rui, "MSR-VTT: A Large Video Description Dataset for Bridging Video
and Language", CVPR 2016, https://openaccess.thecvf.com/content_cvpr_2016/html/Xu_MSR-VTT_A_Large_CVPR_2016_paper.html
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.datasets import checks, splitting, tables
from reelscribe.datasets.clip import PARTS, Clip, Finding, Part, Source, Split

SPLITS = ("1", "official")
"""Two names of the one split that captioning has."""

RETRIEVAL = ("1k-a", "1ka", "jsfusion", "1k-b", "1kb", "miech", "full")
"""Splits of text-to-video retrieval, told apart from misspelt names."""

PART_OF: Mapping[str, Part] = {"train": "train", "validate": "val", "test": "test"}

OFFICIAL: Mapping[Part, int] = {"train": 6_513, "val": 497, "test": 2_990}
"""Videos a part."""

CAPTIONS_EACH = 20

ROOT_HOLDS = "video0.mp4, video1.mp4 ... or folders of them"
NOTES_HOLD = (
    "train_val_videodatainfo.json and test_videodatainfo.json, or train_val_annotation.zip and "
    "test_videodatainfo.json.zip"
)

NAMES: tuple[tuple[str, ...], ...] = (
    ("train_val_videodatainfo.json", "train_val_annotation.zip", "train_val_videodatainfo.zip"),
    ("test_videodatainfo.json", "test_videodatainfo.json.zip", "test_videodatainfo.zip"),
)
"""The two halves: of each, the first name that is there is read."""

MOST_BYTES = 1 << 30
"""Of one JSON file in a zip. The larger official one has 16 MB; a zip bomb would have more."""


@dataclass(frozen=True, kw_only=True)
class _Notes:
    """The annotations, joined."""

    videos: Mapping[str, Mapping[str, Any]]
    captions: Mapping[str, tuple[str, ...]]
    """Of each video in published order, the empty ones left out."""
    sentences: int
    strangers: tuple[str, ...]
    """Video ids that captions name and the list of videos lacks."""
    empty: tuple[str, ...]
    """Ids of videos with an empty caption, once for each."""


def load(source: Source) -> Split:
    """Read the official split.

    Raises:
        ValueError: a folder or file is not there or not in the format, another split is asked for,
            or no listed video is on disk.
    """
    _check(source)
    notes = _read(source.annotations or source.root)
    on_disk = tables.clips_below(source)
    parts: dict[Part, list[Clip]] = {part: [] for part in PARTS}
    missing: list[str] = []
    for name, video in notes.videos.items():
        path = on_disk.get(name)
        if path is None:
            missing.append(name)
            continue
        clip = _clip(name, path, video, notes)
        parts[PART_OF[video["split"]]].append(clip)
    if not any(parts.values()):
        raise tables.nothing_found(source.root, len(missing), ROOT_HOLDS)
    return Split(
        dataset="msrvtt",
        name="official",
        train=tuple(parts["train"]),
        val=tuple(parts["val"]),
        test=tuple(parts["test"]),
        missing=tuple(missing),
    )


def examine(source: Source) -> Iterator[Finding]:
    """Compare a copy with the published one: counts, captions, videos, shared sources."""
    try:
        _check(source)
        notes = _read(source.annotations or source.root)
        on_disk = tables.clips_below(source)
    except ValueError as error:
        yield Finding(level="error", text=str(error))
        return
    yield from _about_notes(notes)
    missing = [name for name in notes.videos if name not in on_disk]
    yield tables.about_missing(missing, len(notes.videos))
    yield from _about_disk(notes, on_disk)
    yield from tables.about_files(on_disk.values())
    # Every listed video, on disk or not: the leak would be in the lists.
    listed: dict[Part, list[Clip]] = {part: [] for part in PARTS}
    for name, video in notes.videos.items():
        listed[PART_OF[video["split"]]].append(_clip(name, source.root / name, video, notes))
    yield from checks.about_captions(listed)
    times = {id: (one.get("start time"), one.get("end time")) for id, one in notes.videos.items()}
    yield from checks.about_overlaps(listed, times)
    shared = [f"{a.id}, {b.id}: {url}" for url, a, b in splitting.shared_groups(listed)]
    if shared:
        text = f"{len(shared):,} source videos have clips in two parts"
        yield Finding(level="error", text=text, examples=tuple(shared[:5]))
    else:
        yield Finding(level="note", text="no source video has clips in two parts")


def _check(source: Source) -> None:
    if source.split.casefold() in RETRIEVAL:
        raise ValueError(
            f"msrvtt split {source.split!r} is for text-to-video retrieval, with 1,000 test videos "
            "or other rules; captions are scored on the 2,990 of split official"
        )
    tables.check_split("msrvtt", source.split, SPLITS)
    tables.check_root(source, ROOT_HOLDS)


def _read(place: Path) -> _Notes:
    """Read all annotation files and join captions to videos."""
    videos: dict[str, Mapping[str, Any]] = {}
    where: dict[str, str] = {}
    sentences: list[Mapping[str, Any]] = []
    for name, text in _texts(place):
        data = _parse(text, name)
        for video in data["videos"]:
            video_id = _check_video(video, name)
            if video_id in videos:
                raise ValueError(
                    f"{video_id} is listed twice, in {where[video_id]} and {name}; keep one"
                )
            videos[video_id], where[video_id] = video, name
        sentences += data["sentences"]
    return _join(videos, sentences)


def _join(videos: dict[str, Mapping[str, Any]], sentences: list[Mapping[str, Any]]) -> _Notes:
    numbered = all(isinstance(sentence.get("sen_id"), int) for sentence in sentences)
    if numbered:
        sentences = sorted(sentences, key=lambda sentence: sentence["sen_id"])
    captions: defaultdict[str, list[str]] = defaultdict(list)
    strangers: list[str] = []
    empty: list[str] = []
    for sentence in sentences:
        name, caption = sentence.get("video_id"), sentence.get("caption")
        if not isinstance(name, str) or not isinstance(caption, str):
            raise ValueError(
                f"a sentence is {str(sentence)[:80]!r}; it should have video_id and caption"
            )
        if name not in videos:
            strangers.append(name)
        elif words := tables.tidy(caption):
            captions[name].append(words)
        else:
            empty.append(name)
    return _Notes(
        videos=videos,
        captions={name: tuple(found) for name, found in captions.items()},
        sentences=len(sentences),
        strangers=tuple(strangers),
        empty=tuple(empty),
    )


def _texts(place: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each annotation file."""
    files = [place]
    if place.is_dir():
        there = [[place / name for name in half if (place / name).is_file()] for half in NAMES]
        files = [found[0] for found in there if found]
        if not files:
            files = _only_json(place)
    for path in files:
        if path.suffix.lower() == ".zip":
            yield from _unzipped(path)
        else:
            yield str(path), tables.read_text(path)


def _only_json(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.json"))
    if len(found) == 1:
        return found
    names = ", ".join(path.name for path in found[:4]) or "no JSON file"
    raise ValueError(
        f"data.annotations {str(folder)!r} has {names}; it should hold {NOTES_HOLD}; "
        "or give the one JSON file with all videos itself"
    )


def _unzipped(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            inner = [
                info
                for info in archive.infolist()
                if info.filename.endswith(".json") and not info.filename.startswith("__MACOSX")
            ]
            if not inner:
                raise ValueError(f"{path} has no JSON file; take the published zip of annotations")
            for info in inner:
                if info.file_size > MOST_BYTES:
                    raise ValueError(f"{path}: {info.filename} unpacks to {info.file_size:,} bytes")
                name = f"{path}/{info.filename}"
                yield name, tables.decode(archive.read(info), name)
    except (zipfile.BadZipFile, RuntimeError, OSError) as error:
        raise ValueError(f"{path} is not a whole zip ({error}); download it again") from None


def _parse(text: str, name: str) -> dict[str, list[Mapping[str, Any]]]:
    data = tables.parse_json(text, name)
    if not isinstance(data, dict) or not all(
        isinstance(data.get(key), list) and all(isinstance(row, dict) for row in data[key])
        for key in ("videos", "sentences")
    ):
        keys = ", ".join(map(str, data))[:60] if isinstance(data, dict) else type(data).__name__
        raise ValueError(
            f"{name} has {keys}; it should have lists of videos and sentences, as {NOTES_HOLD}"
        )
    info = data.get("info")
    if "videodatainfo_2017" in name or (isinstance(info, dict) and "2017" in str(info.get("year"))):
        raise ValueError(
            f"{name} is of the 2017 challenge: all its 10,000 videos are for training, and its "
            f"test captions were never published; the official split needs {NOTES_HOLD}"
        )
    return data


def _check_video(video: Mapping[str, Any], name: str) -> str:
    video_id, part = video.get("video_id"), video.get("split")
    if not isinstance(video_id, str):
        raise ValueError(f"{name}: a video is {str(video)[:80]!r}; it should have a video_id")
    tables.inside(video_id, name)
    if not isinstance(part, str) or part not in PART_OF:
        raise ValueError(
            f"{name}: {video_id} has split {part!r}; it should be one of {', '.join(PART_OF)}"
        )
    if video.get("category") not in (None, *range(20)):
        raise ValueError(f"{name}: {video_id} has category {video['category']!r}, not 0 to 19")
    return video_id


def _clip(name: str, path: Path, video: Mapping[str, Any], notes: _Notes) -> Clip:
    source = str(video.get("url") or name)
    told, captions = video.get("category"), notes.captions.get(name, ())
    return Clip(id=name, path=path, group=source, captions=captions, category=told)


def _about_notes(notes: _Notes) -> Iterator[Finding]:
    parts = Counter(PART_OF[video["split"]] for video in notes.videos.values())
    whole = parts == OFFICIAL and notes.sentences == 200_000
    found = " / ".join(f"{parts[part]:,}" for part in PARTS)
    yield Finding(
        level="note" if whole else "warning",
        text=f"{len(notes.videos):,} videos ({found}) and {notes.sentences:,} captions; official: "
        "10,000 (6,513 / 497 / 2,990) and 200,000",
    )
    odd = [n for n in notes.videos if len(notes.captions.get(n, ())) != CAPTIONS_EACH]
    if odd:
        text = f"{len(odd):,} videos have other than {CAPTIONS_EACH} captions"
        yield Finding(level="warning", text=text, examples=tuple(odd[:5]))
    if notes.strangers:
        text = f"{len(notes.strangers):,} captions are of videos that are not listed"
        yield Finding(level="warning", text=text, examples=notes.strangers[:5])
    if notes.empty:
        text = f"{len(notes.empty):,} captions are empty and left out"
        yield Finding(level="warning", text=text, examples=notes.empty[:5])


def _about_disk(notes: _Notes, on_disk: Mapping[str, Path]) -> Iterator[Finding]:
    stray = [str(path) for name, path in on_disk.items() if name not in notes.videos]
    if stray:
        text = f"{len(stray):,} videos on disk are not listed and will not be used"
        yield Finding(level="warning", text=text, examples=tuple(stray[:5]))
    matches = (re.fullmatch(r"video(\d+)", name) for name in on_disk)
    numbers = {int(match[1]) for match in matches if match}
    if len(numbers) > 1 and numbers == set(range(1, len(numbers) + 1)):
        text = f"files run from video1 to video{len(numbers)} with no video0: off by one?"
        yield Finding(level="warning", text=text, examples=("the published ids begin at video0",))
