"""Videos damaged at random bytes, through the whole encode stage: no crash, no hang, no lie.

Makes a dozen whole videos in as many formats and damages copies of them, always the same ones for
the same seed; encodes them with real workers; checks what a user relies on. Writes into a temporary
folder.

    make fuzz-encode
    VIDEOS=200 SEED=7 make fuzz-encode
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from numbered import CLOSED, OPEN, make, uneven
from numpy.typing import NDArray

from reelscribe.datasets.packets import VideoError
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.pipeline.cache import FeatureStore, read_entry
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.guard import Limits
from reelscribe.pipeline.stages.encode import Report, encode, prepare

WHOLE = {
    "closed.mp4": ("libx264", CLOSED),
    "open.mp4": ("libx264", OPEN),
    "closed.mkv": ("libx264", CLOSED),
    "stream.ts": ("libx264", CLOSED),
    "mpeg4.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg4.mov": ("mpeg4", {"g": "12"}),
    "vp8.webm": ("libvpx", {"g": "30"}),
    "vp9.webm": ("libvpx-vp9", {"g": "30", "cpu-used": "8"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=30:log-level=none"}),
    "mjpeg.mov": ("mjpeg", {}),
    "mpeg2.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
    "flv.flv": ("flv", {"g": "12"}),
}
FRAMES = 4
"""Frames a video."""


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 4, 16, 64, 256])):
        data[rng.randrange(len(data))] = rng.randrange(256)


def flip_head(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 4, 16])):
        data[rng.randrange(min(len(data), 600))] = rng.randrange(256)


def flip_tail(data: bytearray, rng: random.Random) -> None:
    # Where MP4 has its index: sizes, offsets and times.
    for _ in range(rng.choice([1, 4, 16])):
        data[-1 - rng.randrange(min(len(data), 3000))] = rng.randrange(256)


def blank(data: bytearray, rng: random.Random) -> None:
    first = rng.randrange(len(data))
    count = min(rng.choice([10, 300, 5000]), len(data) - first)
    data[first : first + count] = bytes(count)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def lose(data: bytearray, rng: random.Random) -> None:
    first = rng.randrange(len(data))
    del data[first : first + rng.choice([1, 188, 2000])]


def repeat(data: bytearray, rng: random.Random) -> None:
    first = rng.randrange(len(data))
    data[first:first] = data[first : first + rng.choice([1, 188, 2000])]


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [
    *(flip, flip_head, flip_tail, blank, cut, lose, repeat),
]


def damaged(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Write ``count`` damaged videos; the same ones for the same seed."""
    whole = {}
    for name, (codec, options) in WHOLE.items():
        path = folder / f"whole-{name}"
        # These formats know one rate and times that begin at 0.
        steady = path.suffix in (".avi", ".mpg", ".flv")
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        pts = {"pts": (lambda i: 3 * i)} if steady else {"pts": uneven}
        whole[name] = make(path, codec, options, pixels=pixels, frames=60, **pts).read_bytes()
        path.unlink()
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        name = rng.choice(sorted(whole))
        data = bytearray(whole[name])
        rng.choice(DAMAGES)(data, rng)
        path = folder / f"{number:05}-{name}"
        path.write_bytes(data)
        yield path


def check(videos: list[Path], cache: Path, report: Report) -> None:
    """Hold the store against the report, and features against a strict decode of their own."""
    accounted = Counter([*report.contents, *report.failed])
    assert accounted == Counter(videos), "each video has one fate"
    reasons = report.failed.values()
    assert all(reason and "\n" not in reason for reason in reasons)
    store, recipe = FeatureStore(cache), report.recipe
    entries = {entry.sha256 for entry in store.entries()}
    assert entries == set(report.contents.values()), "no entry of a video that failed"
    for entry in store.entries():
        features = read_entry(entry.path)
        assert features.feats_TD.shape == (FRAMES, 1280)
        assert np.all(np.diff(features.pts_T) >= 0)
    assert not list(store.half_written())
    assert not list(store.pieces())
    assert recipe.settings["frames"] == {"count": FRAMES}
    for video in videos[::10]:
        pts_T, reason = alone(video)
        if pts_T is not None:
            found = store.read(report.contents[video], recipe)
            assert found is not None
            np.testing.assert_array_equal(found.pts_T, pts_T)
        elif video not in report.failed:
            # Where only the table of times is damaged, and stays possible, every bit decodes: PyAV
            # sees frames come in another order, decord counts on.
            assert "no frame came at" in reason, f"{video.name} has features; PyAV: {reason}"
            assert video.suffix == ".mp4", video.name


def alone(video: Path) -> tuple[NDArray[np.float64] | None, str]:
    """Read one video by itself with PyAV: the times of its frames, or the reason."""
    try:
        return read_frames(video, Sampling(count=FRAMES), decoder="pyav").pts_T, ""
    except VideoError as error:
        return None, str(error)


def fuzz(folder: Path, cache: Path, *, count: int, seed: int, local: bool = False) -> Report:
    """Damage, encode, check."""
    (folder / "in").mkdir(parents=True)
    videos = list(damaged(folder / "in", count, seed))
    encoding = prepare(FramesConfig(count=FRAMES), EncoderConfig(), cache)
    runner = Runner(workers=2, local=local, limits=Limits(seconds=60))
    report = encode(videos, encoding, runner)
    check(videos, cache, report)
    # Once more: what has features is not done again, and what failed fails for the same reason.
    again = encode(videos, encoding, runner)
    assert (again.encoded, again.contents) == (0, report.contents)
    assert again.failed.keys() == report.failed.keys()
    return report


def main() -> None:
    """Fuzz as many videos as VIDEOS says, and tell what became of them."""
    count, seed = int(os.environ.get("VIDEOS", "1000")), int(os.environ.get("SEED", "0"))
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        report = fuzz(Path(folder), Path(folder) / "cache", count=count, seed=seed)
        stop()
        took = perf_counter() - began
    kinds = Counter(reason.split(":")[0][:60] for reason in report.failed.values())
    print(
        f"{count} damaged videos, seed {seed}: {len(report.contents)} still decode strictly, "
        f"{len(report.failed)} failed with a reason, in {took:.0f} s; none crashed the run"
    )
    for kind, times in kinds.most_common(12):
        print(f"{times:6}  {kind}")


if __name__ == "__main__":
    main()
