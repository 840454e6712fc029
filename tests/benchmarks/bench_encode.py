"""How fast videos become features: a plain loop, the machine's limit, and ours, in one run.

Reads videos from REELSCRIBE_TEST_DATA where it is set, else made clips; prints a table and writes
build/bench/encode.json. The ways take turns, and absolute times say what this machine did just
now: the ratios are the result.

    make bench-encode
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from reelscribe.datasets.clip import Source
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.theatre import load
from reelscribe.datasets.video import read_frames
from reelscribe.encoders.engine import OnnxEngine
from reelscribe.encoders.transform import prepare as transform
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, cores, stop
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare

CLIPS = 120
ROUNDS = 3


def videos(scratch: Path) -> list[Path]:
    """Return some real clips where there are any, else made ones."""
    real = os.environ.get("REELSCRIBE_TEST_DATA")
    if real:
        found = sorted(Path(real, "ucf101", "UCF-101").rglob("*.avi"))
        return found[:: max(1, len(found) // CLIPS)][:CLIPS]
    split = load(Source(root=scratch / "clips", clips=CLIPS))
    return [clip.path for clip in split.clips()]


def plain_loop(paths: Sequence[Path], encoding: Encoding) -> float:
    """(a) What people write first: decord, then the model in torch, all cores, one by one.

    Returns:
        Clips a second.
    """
    # Here, for the processes of (b) read this file too, and need none of it.
    import decord
    import torch

    from reelscribe.encoders.backbone import load_model

    model = load_model("tf_efficientnet_lite0", "bundled", "avg").eval()
    began = perf_counter()
    for path in paths:
        reader = decord.VideoReader(str(path))
        wanted = np.linspace(0, len(reader) - 1, 16).astype(int)
        frames_THWC = reader.get_batch(wanted).asnumpy()
        images_TCHW = torch.from_numpy(transform(frames_THWC, encoding.backbone))
        with torch.inference_mode():
            model(images_TCHW)
    return len(paths) / (perf_counter() - began)


def alone(paths: Sequence[Path], encoding: Encoding, pipe: Connection) -> None:
    """Decode and encode on one thread, for nobody: no hash, no store, no framework."""
    engine = OnnxEngine(encoding.graph, encoding.backbone, threads=1)
    sampling = Sampling(count=16)
    engine.encode(read_frames(paths[0], sampling).frames_THWC)
    pipe.send("ready")
    pipe.recv()
    began = perf_counter()
    for path in paths:
        engine.encode(read_frames(path, sampling).frames_THWC)
    took = perf_counter() - began
    pipe.send((took, peak(0)))


def limit(paths: Sequence[Path], encoding: Encoding) -> tuple[float, float]:
    """(b) As many such processes as cores.

    Returns:
        The sum of their rates in clips a second, so that no one's early end counts against them;
        and the largest memory of one, in MiB.
    """
    context = multiprocessing.get_context("spawn")
    shares = [paths[n :: cores()] for n in range(cores())]
    pipes, processes = [], []
    for share in shares:
        ours, theirs = context.Pipe()
        process = context.Process(target=alone, args=(share, encoding, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    ended = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    rate = sum(len(share) / took for share, (took, _) in zip(shares, ended, strict=True))
    return rate, max(memory for _, memory in ended)


def empty(encoding: Encoding) -> None:
    """Make the store cold again; the graph stays."""
    shutil.rmtree(encoding.store / "features", ignore_errors=True)
    for path in encoding.store.glob("index.sqlite*"):
        path.unlink()


def ours(paths: Sequence[Path], encoding: Encoding, runner: Runner) -> float:
    """(c) Our encode stage over an empty store, its workers warm: clips a second."""
    if not runner.local:
        encode(paths[:4], encoding, runner)  # Starts the workers; their graphs are loaded.
    empty(encoding)
    began = perf_counter()
    report = encode(paths, encoding, runner)
    assert report.encoded == len(set(report.contents.values())), report.failed
    return len(paths) / (perf_counter() - began)


def command(paths: Sequence[Path], encoding: Encoding) -> tuple[float, float]:
    """(c) as a user runs it: a whole process over a cold store.

    Returns:
        Clips a second, all start-up included; and seconds until the first entry lay in the store.
    """
    empty(encoding)
    program = str(Path(sys.executable).parent / "reelscribe")
    began, first = perf_counter(), 0.0
    with subprocess.Popen(
        [program, "encode", *map(str, paths), "--cache", str(encoding.store)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        while run.poll() is None:
            if not first and any((encoding.store / "features").glob("*/??/*.safetensors")):
                first = perf_counter() - began
            sleep(0.02)
    assert run.returncode == 0
    return len(paths) / (perf_counter() - began), first


def memory(runner: Runner) -> float:
    """Return the largest memory of our workers so far, in MiB."""
    peaks = [outcome.result for outcome in runner.run(peak, range(64))]  # type: ignore[union-attr]
    return max(peaks)


def peak(_: int) -> float:
    """Return this process's largest memory, in MiB."""
    # Not getrusage: its figure is inherited from the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(paths: Sequence[Path], encoding: Encoding) -> dict[str, Any]:
    """Let the ways take turns, and return the median rate of each."""
    rates: dict[str, list[float]] = {"plain": [], "limit": [], "ray": [], "local": [], "whole": []}
    firsts, alone_mib = [], 0.0
    for turn in range(ROUNDS):
        rates["plain"].append(plain_loop(paths[turn::ROUNDS], encoding))
        rate, alone_mib = limit(paths, encoding)
        rates["limit"].append(rate)
        rates["ray"].append(ours(paths, encoding, Runner()))
        rates["local"].append(ours(paths, encoding, Runner(local=True)))
        rates["whole"].append((ended := command(paths, encoding))[0])
        firsts.append(ended[1])
    ray_mib = memory(Runner())
    stop()
    return {
        "clips": len(paths),
        "rounds": rates,
        "clips_per_second": {name: median(values) for name, values in rates.items()},
        "first_feature_seconds": median(firsts),
        "worker_mib": {"limit": alone_mib, "ray": ray_mib},
    }


def main() -> None:
    """Measure, print the table, keep the figures."""
    Image.init()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        paths = videos(scratch)
        encoding = prepare(FramesConfig(count=16), EncoderConfig(), scratch / "cache")
        found = measure(paths, encoding)
    names = {
        "plain": "(a) decord, then timm on torch, one by one",
        "limit": f"(b) {cores()} bare processes, one thread each",
        "ray": f"(c) reelscribe, {cores()} Ray workers, steady",
        "whole": "(c) reelscribe encode, start-up included",
        "local": f"(c) reelscribe --local, {cores()} processes, their start included",
    }
    table = Table(title=f"{len(paths)} clips, 16 frames, median of {ROUNDS} turns")
    table.add_column("way")
    for name in ("clips/s", "of (a)", "of (b)"):
        table.add_column(name, justify="right")
    rates = found["clips_per_second"]
    for key, name in names.items():
        rate = rates[key]
        ratios = (f"{rate / rates['plain']:.2f}", f"{rate / rates['limit']:.2f}")
        table.add_row(name, f"{rate:.2f}", *ratios)
    console = Console()
    console.print(table)
    console.print(
        f"first feature in the store after {found['first_feature_seconds']:.1f} s of the command; "
        f"memory of a worker {found['worker_mib']['ray']:.0f} MiB at most "
        f"(bare process {found['worker_mib']['limit']:.0f})"
    )
    write_json(Path("build/bench/encode.json"), found)


if __name__ == "__main__":
    main()
