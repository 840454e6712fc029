"""Features in memory as far as they fit: the same training whether they do or not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reelscribe.pipeline import holding
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.holding import OnDisk, Room, free_memory
from reelscribe.pipeline.inputs import Material, Place, gather, load_split
from reelscribe.pipeline.loading import GIB
from reelscribe.pipeline.runs import train_run

CLIP = 6 * 4 * 4
"""Bytes of a clip of 6 frames of 4 float32."""


def place(cache: Path) -> Place:
    return Place(cache=cache, runner=Runner(workers=1, local=True))


def written(tmp_path: Path, *settings: str, clips: int = 12) -> tuple[Path, list[str]]:
    """Write sequences of two classes; return the config and its settings."""
    rng = np.random.default_rng(0)
    for n in range(clips):
        folder = tmp_path / "in" / "ab"[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{n}.npy", rng.normal(size=(6, 4)).astype(np.float32))
    (tmp_path / "a.yaml").write_text(
        "data: {dataset: folder}\nhead: {task: action, hidden: 4}\ntraining: {epochs: 2}\n"
    )
    shared = [f"encoder.precomputed={tmp_path / 'in'}", *settings]
    return tmp_path / "a.yaml", shared


def gathered(tmp_path: Path, own_cache: Path, *settings: str) -> Material:
    config = load_config(*written(tmp_path, *settings))
    return gather(config, load_split(config), place(own_cache))


@pytest.mark.parametrize("reverse", ["false", "true"])
def test_a_clip_reads_the_same_from_disk(tmp_path: Path, own_cache: Path, reverse: str) -> None:
    material = gathered(tmp_path, own_cache, f"data.reversed={reverse}")
    clips = material.clips("train")
    held = material.examples(clips, Room(1))
    room = Room(2.5 * CLIP / GIB)
    read = material.examples(clips, room)
    # Two fit, and what comes after the first that does not stays on disk as well.
    assert [isinstance(one, OnDisk) for one in read] == [False] * 2 + [True] * (len(clips) - 2)
    assert (room.held, room.on_disk) == (2, len(clips) - 2)
    for a, b in zip(held, read, strict=True):
        assert torch.equal(a.feats_TD, b.feats_TD)
        assert (a.name, a.label, a.captions, a.group) == (b.name, b.label, b.captions, b.group)
    again = replace(read[-1], label=7)
    assert (again.label, again.name) == (7, read[-1].name)
    assert torch.equal(again.feats_TD, held[-1].feats_TD)
    assert not {"feats_TD"} & (vars(read[-1]).keys() | vars(again).keys())


@pytest.mark.parametrize("norm", ["standard", "motion"])
def test_a_training_from_disk_is_the_same_to_the_bit(
    tmp_path: Path, own_cache: Path, norm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, shared = written(tmp_path, f"head.norm={norm}", "training.refit=true")
    numbers = {}
    for memory in ("1.0", "0"):
        run = tmp_path / memory
        settings = [*shared, f"training.memory={memory}", f"output={run}"]
        train_run(load_config(config, settings), place(own_cache))
        rows = read_jsonl(run / "metrics.jsonl") + read_jsonl(run / "predictions.jsonl")
        timeless = [{k: v for k, v in row.items() if "second" not in k} for row in rows]
        numbers[memory] = (run / "model.safetensors").read_bytes(), timeless
    assert numbers["1.0"] == numbers["0"]
    assert "0 clips stay in memory, 10 are read from the store" in capsys.readouterr().err
    # Speed alone differs, so nothing is stale.
    train_run(load_config(config, [*shared, f"output={tmp_path / '0'}"]), place(own_cache))
    assert "up to date" in capsys.readouterr().err


def test_an_entry_that_vanishes_is_named(tmp_path: Path, own_cache: Path) -> None:
    material = gathered(tmp_path, own_cache)
    example = material.examples(material.clips("train")[:1], Room(0))[0]
    assert isinstance(example, OnDisk)
    example.path.unlink()
    with pytest.raises(ValueError, match=r"^the features of a/\S+ cannot be read again .*--resume"):
        _ = example.feats_TD


def test_free_memory_is_the_least_of_machine_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < free_memory() < 2**50
    monkeypatch.setattr(holding, "GROUP", tmp_path)
    machine = free_memory()
    for name, text in (
        ("memory.max", "5000\n"),
        ("memory.current", "4000\n"),
        ("memory.stat", "anon 1000\ninactive_file 3000\n"),
    ):
        (tmp_path / name).write_text(text)
    assert free_memory() == 4000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > machine / 2


@pytest.mark.slow
def test_what_is_read_from_disk_is_not_held(tmp_path: Path) -> None:
    """The benchmark at a small size: 393 MB of features, of which 21 MB or all may be held."""
    script = Path(__file__).parent / "benchmarks" / "bench_train.py"
    own = {}
    for memory in ("0.02", "1"):
        size = ["--part", "size", "--clips", "1200", "--memory", memory]
        subprocess.run([sys.executable, script, *size], cwd=tmp_path, check=True)
        found = read_json(tmp_path / "build" / "bench" / "train.json")["size"]["size"]
        assert found["clips_per_second"] > 0
        own[memory] = found["own_mb"]
    # Batches and what torch keeps for itself are in both, up to some tens of MB that differ.
    assert own["1"] - own["0.02"] > 250
