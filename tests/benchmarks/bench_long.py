"""An hour of 720p: in pieces that workers share, and by its key frames alone.

Makes an hour of video in a temporary folder by repeating half a minute of packets; prints a table
and writes build/bench/long.json. One worker and all of them read the same hour in the same run, so
the ratio is the result; absolute times say what this machine did just now.

    make bench-long
    MINUTES=6 make bench-long
"""

from __future__ import annotations

import os
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import plan_reading, stream_frames
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, cores, stop
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.stages.encode import Encoding, encode, encode_each, prepare
from reelscribe.pipeline.worker import do

RATE = 25
SECONDS = 30
"""Of what is encoded once."""

SIZE = (1280, 720)


def half_a_minute(path: Path) -> None:
    """Encode moving shapes over noise: about 3 Mbit/s, a key frame every two seconds."""
    rng = np.random.default_rng(0)
    width, height = SIZE
    noise_HWC = rng.integers(0, 48, (height, width, 3), dtype=np.uint8)
    options = {"preset": "veryfast", "crf": "26", "x264-params": "keyint=50:open-gop=0:scenecut=0"}
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(RATE * SECONDS):
            image_HWC = np.roll(noise_HWC, (i % 40, 3 * i), axis=(0, 1)).copy()
            x, y = 9 * i % (width - 200), 5 * i % (height - 200)
            image_HWC[y : y + 200, x : x + 200] += 120
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image_HWC, format="rgb24")))
        file.mux(stream.encode())


def repeat(part: Path, path: Path, times: int) -> None:
    """Write the packets of ``part`` again and again, each time later; none is decoded."""
    with av.open(str(path), "w") as out, av.open(str(part)) as source:
        template = source.streams.video[0]
        stream = out.add_stream_from_template(template)
        assert template.time_base is not None
        shift = int(Fraction(SECONDS) / template.time_base)
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(template):
                if packet.pts is None or packet.dts is None:
                    continue
                packet.pts += turn * shift
                packet.dts += turn * shift
                packet.stream = stream
                out.mux(packet)


def peak(encoding: Encoding, job: Any) -> Any:
    """Do a job, and keep this process's largest memory, in MiB, beside the store."""
    result = do(encoding, job)
    lines = Path("/proc/self/status").read_text().splitlines()
    mib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    (encoding.store / f"memory-{os.getpid()}").write_text(str(mib))
    return result


def take(video: Path, encoding: Encoding, workers: int) -> tuple[float, float]:
    """Encode the video over a cold store.

    Returns:
        Seconds, and the largest memory of a worker in MiB.
    """
    shutil.rmtree(encoding.store / "features", ignore_errors=True)
    failed: list[str] = []
    began = perf_counter()
    encode_each(
        [video],
        encoding,
        Runner(workers=workers),
        told=lambda path, fate: failed.append(fate.reason) if fate.reason else None,
        work=peak,
    )
    took = perf_counter() - began
    assert not failed, failed
    notes = list(encoding.store.glob("memory-*"))
    memory = max(float(note.read_text()) for note in notes)
    for note in notes:
        note.unlink()
    return took, memory


def decode(video: Path, sampling: Sampling) -> float:
    """Return the seconds that one thread decodes for the frames chosen so."""
    reading = plan_reading(video, sampling)
    began = perf_counter()
    for _ in stream_frames(reading):
        pass
    return perf_counter() - began


def main() -> None:
    """Measure, print the tables, keep the figures."""
    minutes = int(os.environ.get("MINUTES", "60"))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        part, video = scratch / "part.mp4", scratch / "hour.mp4"
        half_a_minute(part)
        repeat(part, video, minutes * 60 // SECONDS)
        encoding = prepare(FramesConfig(fps=1.0), EncoderConfig(), scratch / "cache")
        warm = [scratch / f"warm{n}.mp4" for n in range(2 * cores())]
        for n, path in enumerate(warm):
            repeat(part, path, 1 + n % 4)
        encode(warm, encoding, Runner(workers=cores()))  # Ray is up, its workers' graphs read.
        many, many_mib = take(video, encoding, cores())
        stop()
        encode([part], encoding, Runner(workers=1))
        one, one_mib = take(video, encoding, 1)
        stop()
        short = scratch / "short.mp4"
        repeat(part, short, 4)
        every = decode(short, Sampling(fps=float(RATE)))
        seconds = decode(short, Sampling(fps=1.0))
        keys = decode(short, Sampling(keyframes=True))
        megabytes = video.stat().st_size / 1e6
    table = Table(title=f"{minutes} minutes of 720p ({megabytes:.0f} MB), a frame a second")
    for name in ("workers", "seconds", "times one", "MiB a worker"):
        table.add_column(name, justify="right")
    table.add_row("1", f"{one:.1f}", "1.00", f"{one_mib:.0f}")
    table.add_row(str(cores()), f"{many:.1f}", f"{one / many:.2f}", f"{many_mib:.0f}")
    console = Console()
    console.print(table)
    table = Table(title="two minutes of it decoded by one thread")
    for name in ("frames", "seconds", "times all"):
        table.add_column(name, justify="right")
    for name, took in (("all", every), ("one a second", seconds), ("key frames", keys)):
        table.add_row(name, f"{took:.2f}", f"{every / took:.1f}")
    console.print(table)
    found = {
        "minutes": minutes,
        "seconds": {"1": one, str(cores()): many},
        "speedup": one / many,
        "worker_mib": {"1": one_mib, str(cores()): many_mib},
        "decode_seconds": {"all": every, "fps1": seconds, "keyframes": keys},
    }
    write_json(Path("build/bench/long.json"), found)


if __name__ == "__main__":
    main()
