"""How well a GPU is fed: ours against what decoding alone and the network alone can do.

Reads videos from REELSCRIBE_TEST_DATA where it is set, else made clips; prints tables and writes
build/bench/gpu.json. Without a CUDA device it says so and measures nothing, unless DEVICE names
another: DEVICE=torch:cpu tries it out.

    make bench-gpu
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from reelscribe.datasets.clip import Source
from reelscribe.datasets.theatre import load
from reelscribe.encoders.engine import TorchEngine
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, cores, stop
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.guard import Done
from reelscribe.pipeline.jobs import VideoJob
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare
from reelscribe.pipeline.worker import do

CLIPS = int(os.environ.get("CLIPS", "600"))
FRAMES = 16
DEVICE = os.environ.get("DEVICE", "cuda")
SECONDS = float(os.environ.get("SECONDS", "5"))
BATCHES = (64, 256)


def videos(scratch: Path) -> list[Path]:
    """Return some real clips where there are any, else made ones."""
    real = os.environ.get("REELSCRIBE_TEST_DATA")
    if real:
        found = sorted(Path(real, "ucf101", "UCF-101").rglob("*.avi"))
        return found[:CLIPS]
    split = load(Source(root=scratch / "clips", clips=CLIPS))
    return [clip.path for clip in split.clips()]


def shape(encoding: Encoding, job: VideoJob) -> int:
    """Decode and crop one clip, and keep the crops from going anywhere: their number alone."""
    return len(do(encoding, job).crops_TSSC)  # type: ignore[union-attr]


def decode_limit(paths: Sequence[Path], encoding: Encoding) -> float:
    """Return the frames a second that all cores decode and crop, for nobody."""
    # A store of its own: what is encoded already would not be decoded.
    empty = replace(encoding, crops=True, store=encoding.store / "decoded")
    work = functools.partial(shape, empty)
    began, frames = perf_counter(), 0
    for outcome in Runner().run(work, (VideoJob(path=path) for path in paths)):
        assert isinstance(outcome, Done), outcome
        frames += outcome.result
    return frames / (perf_counter() - began)


def model_limit(encoding: Encoding, *, bf16: bool, compiled: bool, batch: int) -> float:
    """Return the frames a second of the network alone, its crops already in memory."""
    engine = TorchEngine(
        encoding.backbone,
        device=DEVICE.removeprefix("torch:"),
        batch=batch,
        bf16=bf16,
        compiled=compiled,
    )
    size = encoding.backbone.size
    crops_BSSC = np.random.default_rng(0).integers(0, 255, (batch, size, size, 3), dtype=np.uint8)
    for _ in range(3):
        engine.start(crops_BSSC)()
    began, turns = perf_counter(), 0
    waiting = engine.start(crops_BSSC)
    while perf_counter() - began < SECONDS:
        following = engine.start(crops_BSSC)
        waiting()
        waiting, turns = following, turns + 1
    waiting()
    return batch * (turns + 1) / (perf_counter() - began)


def ours(paths: Sequence[Path], encoding: Encoding) -> float:
    """Return the frames a second of the whole stage over a cold store, workers warm."""
    shutil.rmtree(encoding.store / "features", ignore_errors=True)
    began = perf_counter()
    report = encode(paths, encoding, Runner(device=DEVICE))
    assert not report.failed, report.failed
    return FRAMES * report.encoded / (perf_counter() - began)


def measure(paths: Sequence[Path], cache: Path) -> dict[str, Any]:
    """Measure all of it in one run."""
    found: dict[str, Any] = {"device": DEVICE, "cores": cores(), "clips": len(paths), "model": {}}
    if DEVICE.startswith("cuda"):
        found["card"] = torch.cuda.get_device_name(0)
    for precision in ("float32", "bf16"):
        config = EncoderConfig(precision=precision)
        encoding = prepare(FramesConfig(count=FRAMES), config, cache)
        # Starts every worker, and makes the GPU ready.
        encode(paths[: 4 * cores()], encoding, Runner(device=DEVICE))
        if precision == "float32":
            found["decode"] = decode_limit(paths, encoding)
        for batch in BATCHES:
            for compiled in (False, True):
                name = f"{precision} batch {batch}{' compiled' if compiled else ''}"
                bf16 = precision == "bf16"
                rate = model_limit(encoding, bf16=bf16, compiled=compiled, batch=batch)
                found["model"][name] = rate
                print(f"network alone, {name}: {rate:.0f} frames/s", flush=True)
        found[f"ours {precision}"] = ours(paths, encoding)
        limit = min(found["decode"], found["model"][f"{precision} batch {BATCHES[0]}"])
        found[f"of limit {precision}"] = found[f"ours {precision}"] / limit
    stop()
    return found


def main() -> None:
    """Measure, print the table, keep the figures."""
    console = Console()
    if DEVICE.startswith("cuda") and not torch.cuda.is_available():
        console.print("no CUDA device: nothing measured (DEVICE=torch:cpu tries it out)")
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = measure(videos(scratch), scratch / "cache")
    table = Table(title=f"frames a second, {found.get('card', DEVICE)}, {found['cores']} cores")
    table.add_column("what")
    table.add_column("frames/s", justify="right")
    table.add_row("decode and crop, all cores", f"{found['decode']:.0f}")
    for name, rate in found["model"].items():
        table.add_row(f"network alone, {name}", f"{rate:.0f}")
    for precision in ("float32", "bf16"):
        share = f" ({found[f'of limit {precision}']:.2f} of the limit)"
        table.add_row(f"reelscribe, {precision}{share}", f"{found[f'ours {precision}']:.0f}")
    console.print(table)
    write_json(Path("build/bench/gpu.json"), found)


if __name__ == "__main__":
    main()
