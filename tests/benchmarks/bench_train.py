"""The training loop beside a bare loop, and features that do not fit into memory.

Makes features of noise in a store of its own under build/bench; prints tables and writes
build/bench/train.json. Four questions, each answered in one run, what is compared by turns:

- loop: clips a second of our loop (metrics, watch, checkpoint) and of a bare loop over the same
  head and features in memory; the median of the ratios should be 0.9 or more;
- disk: the same with our loop alone, features in memory and read from the store for each batch;
  both are given by the clock and by the processor's time, which other programs disturb less;
- size: 10,000 clips of 64 frames of 1,280 values, 3.3 GB, trained in a process of its own that may
  hold 0.5 GiB of them: the most memory that it takes should be below 2 GB;
- precision: our loop on a GPU in float32, in bf16 and compiled; asked for, on a CPU too.

    make bench-train
    python tests/benchmarks/bench_train.py --part loop
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import re
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.functional import cross_entropy

from reelscribe.datasets.clip import Clip, Split
from reelscribe.datasets.features import FeatureFolder
from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.config import Config, TrainingConfig, load_config
from reelscribe.pipeline.files import read_jsonl, write_json
from reelscribe.pipeline.holding import Room
from reelscribe.pipeline.inputs import Material
from reelscribe.pipeline.stages.adopt import Adoption
from reelscribe.pipeline.stages.train import train_head
from reelscribe.pipeline.tasks import ActionTask, Example
from reelscribe.pipeline.training import fit

OUT = Path("build/bench/train")

DIM, CLASSES = 1280, 10

HEADS: dict[str, dict[str, Any]] = {
    "recipe ucf101": {"hidden": 128, "pool": "mean", "dropout": 0.3, "norm": "motion"},
    "defaults": {},
    "mean pooling": {"cell": "none"},
}
"""A small head, the default one, and the smallest, where what surrounds it counts most."""

LARGE: dict[str, dict[str, Any]] = {
    "defaults": {},
    "lstm 2 x 1,024, both ways": {"hidden": 1024, "layers": 2, "bidirectional": True},
    "transformer 2 x 1,024": {"cell": "transformer", "hidden": 1024, "layers": 2},
}
"""Heads for a GPU: a small one waits for the processor that starts its kernels."""

MODES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bf16": {"precision": "bf16"},
    "compiled": {"compile": True},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}


def make(clips: int, frames: int) -> Material:
    """Write features of noise with a trace of the class; return them as a split of train and val.

    Each clip's features are a window into one block of noise, so that making them takes seconds.
    """
    shutil.rmtree(OUT, ignore_errors=True)
    folder = FeatureFolder(root=Path("made"), files={})
    adoption = Adoption(folder=folder, dim=DIM, store=OUT / "store")
    store, rng = FeatureStore(adoption.store), np.random.default_rng(0)
    noise = rng.standard_normal(4 * frames * DIM, dtype=np.float32)
    signs_KD = rng.standard_normal((CLASSES, DIM), dtype=np.float32)
    contents, made = {}, []
    for n in range(clips):
        start = int(rng.integers(3 * frames * DIM))
        feats_TD = noise[start : start + frames * DIM].reshape(frames, DIM)
        feats_TD = feats_TD + 0.1 * signs_KD[n % CLASSES]
        sha256 = hashlib.sha256(str(n).encode()).hexdigest()
        pts_T = np.arange(frames, dtype=np.float64)
        features = Features(feats_TD=feats_TD, pts_T=pts_T, about={"duration": float(frames)})
        store.write(sha256, adoption.recipe, features)
        clip = Clip(id=f"clip{n}", path=Path(f"clip{n}"), label=f"class{n % CLASSES}")
        contents[clip.path] = sha256
        made.append(clip)
    val = max(CLASSES, clips // 20)
    split = Split(
        dataset="made",
        name="1",
        labels=tuple(f"class{k}" for k in range(CLASSES)),
        train=tuple(made[val:]),
        val=tuple(made[:val]),
        test=(),
    )
    return Material(split=split, encoding=adoption, store=store, contents=contents, failed={})


def head_of(settings: dict[str, Any], train: list[Example]) -> ActionHead:
    """Return a fresh head that has seen its training clips."""
    torch.manual_seed(0)
    head = ActionHead(dim=DIM, classes=CLASSES, **settings)
    head.measure([example.feats_TD for example in train])
    return head


Times = NDArray[np.float64]
"""Seconds by the clock, and of the processor."""


def now() -> Times:
    """Return both as they stand."""
    return np.array((perf_counter(), process_time()))


def ours(head: ActionHead, train: list[Example], settings: TrainingConfig) -> Times:
    """Return what the epochs of :func:`fit` take, but not the one save behind the last of them."""
    task = ActionTask(head, train, train[:1], batch=settings.batch)
    began, ends = now(), list[Times]()
    fit(
        task,
        settings,
        OUT / "run",
        made_of="bench",
        validate=False,
        told=lambda row: ends.append(now()),
    )
    return ends[-1] - began


def bare(head: ActionHead, train: list[Example], settings: TrainingConfig) -> Times:
    """Return what the least takes that trains: nothing is watched, kept or written."""
    began = now()
    device = next(head.parameters()).device
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.lr)
    labels_N = torch.tensor([example.label for example in train])
    head.train()
    for _ in range(settings.epochs):
        order = torch.randperm(len(train))
        for first in range(0, len(train), settings.batch):
            numbers = order[first : first + settings.batch]
            feats_BTD = torch.stack([train[i].feats_TD for i in numbers.tolist()]).to(device)
            lengths_B = torch.full((len(numbers),), feats_BTD.shape[1], device=device)
            loss = cross_entropy(head(feats_BTD, lengths_B), labels_N[numbers].to(device))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(head.parameters(), settings.clip_norm)
            optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return now() - began


def by_turns(
    first: Callable[[], Times], second: Callable[[], Times], clips: int, rounds: int
) -> dict[str, float]:
    """Return clips a second of both, and the median of each round's ratio; first goes either."""
    pairs = []
    for n in range(rounds):
        if n % 2:
            other = second()
            pairs.append((first(), other))
        else:
            pairs.append((first(), second()))
    return {
        "first": median(clips / float(one[0]) for one, _ in pairs),
        "second": median(clips / float(other[0]) for _, other in pairs),
        "ratio": median(float(other[0] / one[0]) for one, other in pairs),
        "processor_ratio": median(float(other[1] / one[1]) for one, other in pairs),
    }


def loop(rounds: int) -> dict[str, dict[str, float]]:
    """Our loop against the bare one, for each head."""
    material = make(600, 16)
    train = material.examples(material.clips("train"))
    found = {}
    for name, values in HEADS.items():
        head = head_of(values, train)
        epochs = {"recipe ucf101": 3, "defaults": 1, "mean pooling": 10}[name]
        if torch.cuda.is_available():
            epochs *= 10  # The first copies features to the GPU; a training has many.
        settings = TrainingConfig(epochs=epochs, patience=epochs)
        bare(head, train, settings)
        both = partial(ours, head, train, settings), partial(bare, head, train, settings)
        found[name] = by_turns(*both, len(train) * epochs, rounds)
    return found


def disk(rounds: int) -> dict[str, dict[str, float]]:
    """Our loop from the store against our loop from memory, for each head."""
    material = make(300, 64)
    clips = material.clips("train")
    held, read = material.examples(clips, Room(4)), material.examples(clips, Room(0))
    found = {}
    for name, values in HEADS.items():
        head = head_of(values, held)
        epochs = 3 if name == "mean pooling" else 1
        settings = TrainingConfig(epochs=epochs)
        ours(head, held, settings)
        both = partial(ours, head, read, settings), partial(ours, head, held, settings)
        found[name] = by_turns(*both, len(held) * epochs, rounds)
    return found


def precision(rounds: int) -> dict[str, dict[str, float]]:
    """Return our loop's clips a second for each head, in each mode, batches of 64."""
    material = make(1200, 32)
    train = material.examples(material.clips("train"))
    found: dict[str, dict[str, float]] = {}
    for name, values in LARGE.items():
        found[name] = {}
        for mode, about in MODES.items():
            settings = TrainingConfig.model_validate({"epochs": 10, "batch": 64, **about})
            head = head_of(values, train)
            ours(head, train, settings)  # Makes the kernels.
            seconds = median(float(ours(head, train, settings)[0]) for _ in range(rounds))
            found[name][mode] = settings.epochs * len(train) / seconds
            print(f"{name}, {mode}: {found[name][mode]:,.0f} clips/s", flush=True)
    return found


def memory_now() -> dict[str, float]:
    """Return this process's resident memory in MB: all, and what is its own and of files."""
    text = Path("/proc/self/status").read_text()
    pairs = re.findall(r"^(VmHWM|RssAnon|RssFile):\s+(\d+) kB", text, re.MULTILINE)
    return {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in pairs}


def train_large(material: Material, config: Config, told: Any) -> None:
    """Train, and send the most memory of each kind."""
    most: dict[str, float] = memory_now()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            now = memory_now()
            most.update({name: max(most[name], now[name]) for name in now})

    watcher = threading.Thread(target=look)
    watcher.start()
    began = perf_counter()
    train_head(config, material, OUT / "run")
    done.set()
    watcher.join()
    row = read_jsonl(OUT / "run" / "metrics.jsonl")[-1]
    told.send({**most, **row, "run_seconds": perf_counter() - began})


def size(clips: int, memory: float) -> dict[str, float]:
    """Train on more than may be held; return memory and speed."""
    material = make(clips, 64)
    (OUT / "a.yaml").write_text(
        "data: {dataset: folder, root: .}\n"
        "head: {task: action, hidden: 64, norm: standard, pool: mean}\n"
        f"training: {{epochs: 1, memory: {memory}}}\noutput: {OUT / 'run'}\n"
    )
    config = load_config(OUT / "a.yaml")
    # A process of its own: what this one took to make the features is not counted.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=train_large, args=(material, config, theirs))
    process.start()
    while process.is_alive() and not ours.poll():
        sleep(0.2)
    if not ours.poll():
        raise RuntimeError("the training ended without a word; its reason stands above")
    found: dict[str, float] = ours.recv()
    process.join()
    names = {
        "VmHWM": "most_mb",
        "RssAnon": "own_mb",
        "RssFile": "of_files_mb",
        "clips_per_second": "clips_per_second",
        "run_seconds": "run_seconds",
    }
    shown = {name: found[key] for key, name in names.items()}
    return {"features_gb": clips * 64 * DIM * 4 / 1e9, **shown}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", choices=("loop", "disk", "size", "precision"), help="one of the questions"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clips", type=int, default=10_000, help="of size")
    parser.add_argument("--memory", type=float, default=0.5, help="GiB that size may hold")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "loop": lambda: loop(given.rounds),
        "disk": lambda: disk(given.rounds),
        "size": lambda: {"size": size(given.clips, given.memory)},
    }
    found = {}
    if torch.cuda.is_available() or given.part == "precision":
        parts["precision"] = lambda: precision(given.rounds)
    for name in [given.part] if given.part else list(parts):
        found[name] = parts[name]()
        columns = list(next(iter(found[name].values())))
        table = Table(name, *columns)
        for row, values in found[name].items():
            table.add_row(row, *(f"{values[column]:.3f}" for column in columns))
        Console(width=160).print(table)
    shutil.rmtree(OUT)
    write_json(Path("build/bench/train.json"), found)


if __name__ == "__main__":
    main()
