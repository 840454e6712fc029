"""Describe everything: four sets of real clips, 20 broken and 20 oddly named files, then an hour.

Reads $REELSCRIBE_TEST_DATA; prints a table and writes build/bench/describe.json and
describe_hour.json. The command runs as a user runs it, without a run of one's own, once with an
empty store and once more; every video must be accounted for, exactly the broken ones fail, and the
exit code is 3. Memory is the largest that any process reached (VmHWM): the command itself, and the
largest of its workers.

    make bench-describe
    python tests/benchmarks/bench_describe.py everything
    MINUTES=6 make bench-describe
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.bench_long import SECONDS, half_a_minute, repeat

from reelscribe.datasets.theatre import make_clip
from reelscribe.pipeline.files import write_json

SETS = ("ucf101/UCF-101", "msvd/video", "msrvtt/video", "hard")
DAMAGED = {"decord_corrupted.mp4"}
"""Of the real ones; it ends in the middle of a frame."""

ODD = (
    b"a b.mp4",
    b" leading.mp4",
    b"trailing .mp4",
    b"'single'.mp4",
    b'"double".mp4',
    b"line\nend.mp4",
    b"carriage\rreturn.mp4",
    b"tab\there.mp4",
    b"\xff\xfe.mp4",
    b"\xe9t\xe9.mp4",
    b"x" * 251 + b".mp4",
    "\u00fc\u4e2d\u6587\U0001f3ac.mp4".encode(),
    b"-dash.mp4",
    b"--out.mp4",
    b"<img src=x onerror=alert(1)>.mp4",
    b"$(touch here).mp4",
    b"a;b&c|d.mp4",
    b"back\\slash.mp4",
    b"100%25 [*]?.mp4",
    b"UPPER.MP4",
)


def broken(folder: Path) -> Iterator[str]:
    """Make 20 files that are called videos and are none; yield their names."""
    folder.mkdir()
    whole = folder.parent / "whole.mp4"
    make_clip(whole, seed=7, index=0)
    rng, raw = np.random.default_rng(0), whole.read_bytes()
    whole.unlink()
    contents = {"empty.mp4": b"", "text.mp4": b"this is no video\n" * 99}
    contents |= {f"cut {share}.mp4": raw[: len(raw) * share // 100] for share in range(5, 90, 15)}
    for suffix in ("mp4", "avi", "mkv", "mov", "webm"):
        contents[f"noise.{suffix}"] = rng.bytes(40_000)
        contents[f"zeros.{suffix}"] = bytes(40_000)
    contents["header.avi"] = b"RIFF\xff\xff\0\0AVI LIST"
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    with av.open(str(folder / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        sound.rate = 16_000
        file.mux([*stream.encode(sound), *stream.encode()])
    yield from [*contents, "sound.mp4"]


def fill(folder: Path, data: Path) -> set[str]:
    """Fill the folder; return the names of the files that must fail."""
    for name in SETS:
        (folder / name.partition("/")[0]).symlink_to((data / name).resolve())
    odd = folder / "odd names"
    odd.mkdir()
    for number, raw in enumerate(ODD):
        made = odd / "made.mp4"
        make_clip(made, seed=7, index=1 + number)
        made.rename(odd / os.fsdecode(raw))
    return DAMAGED | set(broken(folder / "broken"))


def run(*arguments: str | Path) -> tuple[int, float, str, Mapping[str, float]]:
    """Run the command; return its exit code, seconds, last lines and MiB of memory."""
    code = "from reelscribe.pipeline.cli import main; main()"
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        peaks: dict[int, float] = {}
        while process.poll() is None:
            for pid in (process.pid, *below(process.pid)):
                peaks[pid] = max(peaks.get(pid, 0.0), mib(pid))
            time.sleep(0.3)
        took = time.perf_counter() - began
        said.seek(0)
        last = said.read()[-2000:]
    workers = [peak for pid, peak in peaks.items() if pid != process.pid]
    memory = {"driver": peaks[process.pid], "worker": max(workers, default=0.0)}
    return process.returncode, took, last, memory


def below(pid: int) -> Iterator[int]:
    """Yield all processes below one."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from below(int(child))


def mib(pid: int) -> float:
    """Return the most memory that a process had, in MiB; 0 where it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def everything(scratch: Path, data: Path) -> dict[str, Any]:
    """Describe the folder of everything twice; check that nothing is lost."""
    folder, out = scratch / "everything", scratch / "found"
    folder.mkdir()
    bad = fill(folder, data)
    command = ("describe", folder, "--out", out, "--cache", scratch / "cache")
    code, first, last, memory = run(*command)
    assert code == 3, last
    rows = [json.loads(line) for line in (out / "results.jsonl").read_bytes().splitlines()]
    suffixes = {".mp4", ".avi", ".mkv", ".mov", ".webm"}
    there = [
        path
        for place, _, names in os.walk(folder, followlinks=True)
        for path in (Path(place, name) for name in names)
        if path.suffix.lower() in suffixes
    ]
    assert sorted(row["path"] for row in rows) == sorted(map(str, there)), "one is missing"
    failed = {Path(row["path"]).name for row in rows if row["status"] == "failed"}
    assert failed == bad, failed ^ bad
    assert all(row["reason"] for row in rows if row["status"] == "failed")
    code, second, last, _ = run(*command)
    assert code == 3, last
    assert " 0 encoded now" in last, last
    hours = sum(row["duration"] or 0.0 for row in rows) / 3600
    answered = [row for row in rows if row["actions"]]
    return {
        "videos": len(rows),
        "failed": len(failed),
        "hours": hours,
        "seconds": first,
        "again": second,
        "mib": memory,
        "actions_in": {
            name: [sum(_within(row, folder / name) for row in some) for some in (answered, rows)]
            for name in ("ucf101", "msvd", "msrvtt", "hard", "odd names")
        },
    }


def _within(row: Mapping[str, Any], folder: Path) -> bool:
    return Path(row["path"]).is_relative_to(folder)


def hour(scratch: Path, minutes: int) -> dict[str, Any]:
    """Describe a long video in parts of ten seconds."""
    part, long = scratch / "part.mp4", scratch / "long" / "hour.mp4"
    long.parent.mkdir()
    half_a_minute(part)
    repeat(part, long, minutes * 60 // SECONDS)
    out = scratch / "hour"
    command = ("describe", long, "--out", out, "--cache", scratch / "cache")
    code, took, last, memory = run(*command, "--segments", "fixed:10s")
    assert code == 0, last
    (row,) = [json.loads(line) for line in (out / "results.jsonl").read_bytes().splitlines()]
    assert len(row["segments"]) == minutes * 6, len(row["segments"])
    return {"hours": minutes / 60, "seconds": took, "mib": memory, "segments": minutes * 6}


def main() -> None:
    """Measure, check and print."""
    data = os.environ.get("REELSCRIBE_TEST_DATA")
    if not data:
        print("bench-describe: REELSCRIBE_TEST_DATA is not set to a folder of real clips; skipped")
        return
    asked = sys.argv[1:] or ["everything", "hour"]
    table = Table("what", "videos", "seconds", "footage / time", "MiB driver", "MiB a worker")
    with tempfile.TemporaryDirectory() as folder:
        if "everything" in asked:
            many = everything(Path(folder), Path(data))
            write_json(Path("build/bench/describe.json"), many)
            table.add_row("everything", str(many["videos"]), *_cells(many))
            print(f"again: {many['again']:.1f} s; {many['failed']} failed")
            print(f"actions named, of how many: {many['actions_in']}")
        if "hour" in asked:
            long = hour(Path(folder), int(os.environ.get("MINUTES", "60")))
            write_json(Path("build/bench/describe_hour.json"), long)
            table.add_row("an hour of 720p", "1", *_cells(long))
    Console().print(table)


def _cells(row: Mapping[str, Any]) -> list[str]:
    speed = row["hours"] * 3600 / row["seconds"]
    memory = row["mib"]
    cells = [f"{row['seconds']:.0f}", f"{speed:.1f}"]
    return [*cells, f"{memory['driver']:.0f}", f"{memory['worker']:.0f}"]


if __name__ == "__main__":
    main()
