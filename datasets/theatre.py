"""The made dataset: a small stage whose figures walk, sit down, juggle ..., for the demo and tests.

Reads and writes ``root/theatre.json`` (what each clip shows, and of which version and seed the
clips are) and ``root/<label>/<index>.mp4``. A clip depends on (seed, index) alone, so a lost one is
made again with equal bytes, and a larger set holds a smaller one. Each clip is drawn independently
and is its own group. The folders are those of the dataset ``folder``, which can read them too.

Letters: T frames, H rows, W columns, C red, green and blue.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.datasets.clip import PARTS, Clip, Finding, Part, Source, Split
from reelscribe.datasets.script import (
    HEIGHT,
    LABELS,
    RATE,
    TWINS,
    WIDTH,
    Scene,
    draw_scene,
    write_captions,
)

VERSION = 1
"""Raise it when the pixels, the captions or the parts of a (seed, index) change: all are remade."""

CLIPS = 600
"""How many, where the source does not say."""
LEAST = 3 * len(LABELS)
"""With this many, each part has a clip of every label."""
INDEX = "theatre.json"

_CYCLE: tuple[Part, ...] = (
    "train",
    "test",
    "val",
    "train",
    "train",
    "train",
    "test",
    "train",
    "train",
    "train",
)
"""Part of a label's n-th clip: 70, 10 and 20 %, and no clip changes its part in a larger set."""
_WORTH_A_POOL = 48
"""Fewer clips than this are made sooner in one process than new ones start."""

log = logging.getLogger(__name__)


def load(source: Source) -> Split:
    """Make the clips that ``source.root`` lacks, then return the split.

    ``source.clips`` says how many (600 where it does not), ``source.seed`` which. Clips of another
    seed or version under the root are made anew.

    Raises:
        ValueError: too few clips are asked for, a split is named that there is not, or the root
            holds files of these names that no ``theatre.json`` accounts for.
    """
    count = _check(source)
    kept = _read_index(source.root)
    current = kept is not None and (kept["version"], kept["seed"]) == (VERSION, source.seed)
    if not current:
        _clear(source.root, kept, count)
    if kept is None or not current or len(kept["clips"]) < count:
        _write_index(source.root, source.seed, count)
    missing = [index for index in range(count) if not _path(source.root, index).is_file()]
    if missing:
        _make_all(source.root, source.seed, missing)
    parts: dict[Part, list[Clip]] = {part: [] for part in PARTS}
    for index in range(count):
        parts[part_of(index)].append(_clip(source, index))
    train, val, test = (tuple(parts[part]) for part in PARTS)
    return Split(
        dataset="theatre",
        name=source.split,
        labels=LABELS,
        twins=TWINS,
        train=train,
        val=val,
        test=test,
    )


def examine(source: Source) -> Iterator[Finding]:
    """Say what is there, without making anything: version, counts, and files that do not open."""
    count = _check(source)
    kept = _read_index(source.root)
    if kept is None:
        yield Finding(level="note", text=f"no clips yet; training makes {count} of them")
        return
    made = (kept["version"], kept["seed"])
    if made != (VERSION, source.seed):
        text = f"the clips are of version {made[0]}, seed {made[1]}, wanted are version {VERSION}, "
        yield Finding(level="warning", text=f"{text}seed {source.seed}; training remakes them")
        return
    there = [index for index in range(count) if _path(source.root, index).is_file()]
    rest = "" if len(there) == count else "; training makes the rest"
    yield Finding(level="note", text=f"{len(there)} of {count} clips are there{rest}")
    for part in PARTS:
        labels = Counter(LABELS[index % len(LABELS)] for index in there if part_of(index) == part)
        few, many = min(labels.values(), default=0), max(labels.values(), default=0)
        text = f"{part}: {labels.total()} clips, {few} to {many} of each of {len(labels)} labels"
        yield Finding(level="note", text=text)
    broken = tuple(_id(index) for index in there if not _opens(_path(source.root, index)))
    if broken:
        text = f"{len(broken)} clips do not open; delete them and they are made again"
        yield Finding(level="error", text=text, examples=broken[:5])


def make_clip(path: Path, *, seed: int, index: int) -> Scene:
    """Draw and encode clip ``index`` of a seed to ``path`` (H.264 in MP4), whole or not at all."""
    from reelscribe.datasets.stage import render

    scene = draw_scene(seed, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _encode(part, render(scene))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return scene


def captions_of(seed: int, index: int) -> tuple[str, ...]:
    """Return the five captions of a clip."""
    return write_captions(draw_scene(seed, index), np.random.default_rng([seed, index, 1]))


def part_of(index: int) -> Part:
    """Return the part that clip ``index`` belongs to, in a set of any size."""
    return _CYCLE[index // len(LABELS) % len(_CYCLE)]


def _check(source: Source) -> int:
    """Return how many clips are wanted."""
    count = CLIPS if source.clips is None else source.clips
    if count < LEAST:
        raise ValueError(
            f"theatre: {count} clips are too few for {len(LABELS)} labels in three parts; "
            f"ask for {LEAST} or more"
        )
    if source.seed < 0:
        raise ValueError(f"theatre: seed {source.seed} is negative; use 0 or more")
    if source.split != Source.split:
        raise ValueError(f"theatre has no split {source.split!r}; there are: {Source.split}")
    return count


def _id(index: int) -> str:
    return f"{LABELS[index % len(LABELS)]}/{index:05d}"


def _path(root: Path, index: int) -> Path:
    return root / f"{_id(index)}.mp4"


def _clip(source: Source, index: int) -> Clip:
    """Return one clip as the stages know it."""
    return Clip(
        id=_id(index),
        path=_path(source.root, index),
        group=_id(index),
        label=LABELS[index % len(LABELS)],
        captions=captions_of(source.seed, index),
    )


def _read_index(root: Path) -> dict[str, Any] | None:
    """Return what ``theatre.json`` says, or None where there is none.

    Raises:
        ValueError: it is not one that this module wrote.
    """
    path = root / INDEX
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        known = all(re.fullmatch(r"[a-z_]+/\d{5}", name) for name in kept["clips"])
        if known and isinstance(kept["version"], int) and isinstance(kept["seed"], int):
            return dict(kept)
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} is not an index of theatre clips; delete it, or choose another root")


def _write_index(root: Path, seed: int, count: int) -> None:
    """Write what each clip shows, whole or not at all; before the clips, so that none is alone."""
    clips = {}
    for index in range(count):
        scene = draw_scene(seed, index)
        captions = list(captions_of(seed, index))
        clips[_id(index)] = {
            "part": part_of(index),
            "slots": scene.slots,
            "scene": asdict(scene),
            "captions": captions,
        }
    root.mkdir(parents=True, exist_ok=True)
    part = root / f".{INDEX}.{os.getpid()}.part"
    text = json.dumps({"version": VERSION, "seed": seed, "clips": clips}, indent=1)
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, root / INDEX)


def _clear(root: Path, kept: dict[str, Any] | None, count: int) -> None:
    """Delete the clips that the index names, and no other file.

    Raises:
        ValueError: there is no index, but there are files that would be overwritten.
    """
    if kept is None:
        foreign = next((i for i in range(count) if _path(root, i).exists()), None)
        if foreign is not None:
            raise ValueError(
                f"theatre: {_path(root, foreign)} is there, but no {INDEX} beside it says that it "
                "was made here; choose another root, or delete the file"
            )
        return
    for name in kept["clips"]:
        (root / f"{name}.mp4").unlink(missing_ok=True)


def _make_all(root: Path, seed: int, indices: list[int]) -> None:
    """Make clips, in as many processes as there are cores where that is safe and worth it."""
    log.info("making %d theatre clips under %s", len(indices), root)
    jobs = [(_path(root, index), seed, index) for index in indices]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    nested = multiprocessing.parent_process() is not None
    if nested or len(jobs) < _WORTH_A_POOL or (cores or 1) == 1:
        for job in jobs:
            _make_one(job)
        return
    # Spawned, not forked: the caller may hold threads (torch, Ray), whose locks a fork would copy.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=cores, mp_context=context) as pool:
        for done, _ in enumerate(pool.map(_make_one, jobs, chunksize=8), 1):
            if done % 100 == 0:
                log.info("%d of %d clips are made", done, len(jobs))


def _make_one(job: tuple[Path, int, int]) -> None:
    path, seed, index = job
    make_clip(path, seed=seed, index=index)


def _encode(path: Path, frames_THWC: NDArray[np.uint8]) -> None:
    """Encode frames as H.264, to the same bytes each time."""
    import av

    # Not crf: its macroblock tree gave other bytes now and then, even on one thread.
    options = {"qp": "22", "preset": "veryfast", "threads": "1"}
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame_HWC in frames_THWC:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            file.mux(stream.encode(image))
        file.mux(stream.encode())


def _opens(path: Path) -> bool:
    """Return whether a video's first frame can be read."""
    import av

    try:
        with av.open(str(path)) as file:
            return next(file.decode(video=0), None) is not None
    except av.FFmpegError:
        return False
