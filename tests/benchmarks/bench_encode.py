"""How fast videos become features: a plain loop against ours, side by side in one run.

Reads videos from REELSCRIBE_TEST_DATA where it is set, else made clips; prints a table and writes
build/bench/encode.json. Absolute times say what this machine did just now; the ratio is the result.

    make bench-encode
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from reelscribe.datasets.clip import Source
from reelscribe.datasets.theatre import load
from reelscribe.encoders.backbone import load_model
from reelscribe.encoders.transform import prepare as transform
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, cores, stop
from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare

CLIPS = 100


def videos(scratch: Path) -> list[Path]:
    """Return some real clips where there are any, else made ones."""
    real = os.environ.get("REELSCRIBE_TEST_DATA")
    if real:
        return sorted(Path(real, "ucf101", "UCF-101").rglob("*.avi"))[:CLIPS]
    split = load(Source(root=scratch / "clips", clips=CLIPS))
    return [clip.path for clip in split.clips()]


def plain_loop(paths: Sequence[Path], encoding: Encoding) -> float:
    """Time what people write first: decord, then the model in torch, all cores, one by one."""
    import decord

    model = load_model("tf_efficientnet_lite0", "bundled", "avg").eval()
    began = perf_counter()
    for path in paths:
        reader = decord.VideoReader(str(path))
        wanted = np.linspace(0, len(reader) - 1, 16).astype(int)
        frames_THWC = reader.get_batch(wanted).asnumpy()
        images_TCHW = torch.from_numpy(transform(frames_THWC, encoding.backbone))
        with torch.inference_mode():
            model(images_TCHW)
    return perf_counter() - began


def ours(paths: Sequence[Path], encoding: Encoding, runner: Runner) -> float:
    """Time our encode stage over an empty store, its workers warm."""
    encode(paths[:4], encoding, runner)  # Starts the workers; their graphs are loaded.
    shutil.rmtree(encoding.store / "features")
    (encoding.store / "index.sqlite").unlink()
    began = perf_counter()
    report = encode(paths, encoding, runner)
    assert len(report.contents) == len(paths)
    return perf_counter() - began


def main() -> None:
    """Run both, print the table, keep the figures."""
    Image.init()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        paths = videos(scratch)
        encoding = prepare(FramesConfig(count=16), EncoderConfig(), scratch / "cache")
        seconds = {"decord, then timm on torch, one by one": plain_loop(paths, encoding)}
        for name, runner in {
            f"reelscribe, {cores()} Ray workers": Runner(),
            f"reelscribe, {cores()} processes (--local)": Runner(local=True),
        }.items():
            seconds[name] = ours(paths, encoding, runner)
        stop()
    slowest = next(iter(seconds.values()))
    table = Table(title=f"{len(paths)} clips, 16 frames, workers started")
    table.add_column("way")
    for name in ("clips/s", "ratio"):
        table.add_column(name, justify="right")
    for name, took in seconds.items():
        table.add_row(name, f"{len(paths) / took:.2f}", f"{slowest / took:.2f}")
    Console().print(table)
    write_json(Path("build/bench/encode.json"), {"clips": len(paths), "seconds": seconds})


if __name__ == "__main__":
    main()
