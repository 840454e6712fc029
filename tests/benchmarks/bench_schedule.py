"""What encoding costs around the encoding: videos that the store has, and videos that do nothing.

Writes 10,000 entries into a store of its own and runs `reelscribe encode` over them; then sends
100,000 videos through the same path with a worker that does nothing, and watches the driver's
memory. Prints tables and writes build/bench/schedule.json.

    make bench-schedule
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.index import HashIndex, hash_file
from reelscribe.pipeline.jobs import Encoded, Job, Result, Source, path_of
from reelscribe.pipeline.stages.encode import Encoding, Fate, encode_each, prepare

STORED = 10_000
NOTHING = 100_000


def fill(folder: Path, encoding: Encoding) -> None:
    """Make videos (by name: nobody opens them) whose features the store has."""
    store, index = FeatureStore(encoding.store), HashIndex(encoding.store / "index.sqlite")
    feats_TD = np.ones((16, encoding.backbone.dim), np.float32)
    features = Features(feats_TD=feats_TD, pts_T=np.arange(16.0), about={"duration": 16.0})
    for number in range(STORED):
        path = folder / f"{number % 100:02}" / f"{number:05}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}")
        now, sha256 = path.stat(), hash_file(path)
        store.write(sha256, encoding.recipe, features)
        index.remember(path, size=now.st_size, mtime_ns=now.st_mtime_ns, sha256=sha256)
    index.close()


def command(folder: Path, cache: Path) -> float:
    """Time `reelscribe encode` over a folder, as a whole process."""
    program = str(Path(sys.executable).parent / "reelscribe")
    began = perf_counter()
    subprocess.run(
        [program, "encode", str(folder), "--cache", str(cache)], check=True, capture_output=True
    )
    return perf_counter() - began


def nothing(encoding: Encoding, job: Job) -> Result:
    """Do nothing, and say that it went well."""
    source = Source(path=path_of(job), sha256="0" * 64, size=1, mtime_ns=1)
    return Encoded(source=source, fresh=True)


def resident() -> float:
    """Return this process's memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def schedule(encoding: Encoding, runner: Runner) -> tuple[float, list[float]]:
    """Send videos that do nothing through the encode stage; return seconds and memory."""
    done, memory = 0, []

    def paths() -> Iterator[Path]:
        for number in range(NOTHING):
            yield Path(f"/nowhere/{number:06}.mp4")

    def told(path: Path, fate: Fate) -> None:
        nonlocal done
        done += 1
        if done % (NOTHING // 10) == 0:
            memory.append(resident())

    encode_each([Path("/nowhere/first.mp4")], encoding, runner, told=lambda *_: None, work=nothing)
    began = perf_counter()
    encode_each(paths(), encoding, runner, told=told, work=nothing)
    took = perf_counter() - began
    assert done == NOTHING
    return took, memory


def main() -> None:
    """Run both, print the tables, keep the figures."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        encoding = prepare(FramesConfig(count=16), EncoderConfig(), scratch / "cache")
        fill(scratch / "videos", encoding)
        one = scratch / "one"
        (one).mkdir()
        (scratch / "videos" / "00" / "00000.mp4").rename(one / "00000.mp4")
        command(one, encoding.store)  # Renamed: hashed again, and remembered.
        start = min(command(one, encoding.store) for _ in range(3))
        warm = min(command(scratch / "videos", encoding.store) for _ in range(3))
        each = (warm - start) / (STORED - 2)
        curves = {}
        for name, runner in {"Ray": Runner(), "processes (--local)": Runner(local=True)}.items():
            fresh = replace(encoding, store=scratch / name)
            curves[name] = schedule(fresh, runner)
        stop()
    console = Console()
    console.print(
        f"{STORED:,} videos in the store: {each * 1e6:.0f} us each "
        f"({warm:.2f} s the whole command, {start:.2f} s of it for one video)"
    )
    table = Table(title=f"{NOTHING:,} videos that do nothing; MiB of the driver after each tenth")
    table.add_column("way")
    table.add_column("ms each", justify="right")
    table.add_column("memory, MiB")
    for name, (took, memory) in curves.items():
        curve = " ".join(f"{value:.0f}" for value in memory)
        table.add_row(name, f"{1000 * took / NOTHING:.3f}", curve)
    console.print(table)
    figures = {name: {"seconds": took, "mib": memory} for name, (took, memory) in curves.items()}
    values = {"stored": STORED, "us_each": each * 1e6, "nothing": NOTHING, "ways": figures}
    write_json(Path("build/bench/schedule.json"), values)


if __name__ == "__main__":
    main()
