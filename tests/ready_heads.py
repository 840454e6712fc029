"""Train the heads that ship, from the recipes ready_actions and ready_captions.

Reads $REELSCRIBE_TEST_DATA (clips of UCF101 and MSVD); trains into build/ready and writes
configs/ready/{actions,captions}: ``model.safetensors`` with 16 bits a number, ``model.json``, and
``card.json`` with the scores of the rounded numbers on the test clips; and calibration.png.
Neither clip, nor feature of a clip, nor caption is in them: what is written is checked for it.

    make ready-heads
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from reelscribe.pipeline.checkpoint import read_manifest, save_numbers
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.files import read_json, write_json
from reelscribe.pipeline.options import place
from reelscribe.pipeline.ready import READY
from reelscribe.pipeline.runs import evaluate_run, train_run

KEPT = ("dataset", "split", "seed", "videos", "top1", "top5", "CIDEr", "ci95", "floor", "human")
"""Of scores.json; and ``calibration`` beside them."""


def build(task: str, overrides: list[str]) -> Path:
    """Train, round, score what was rounded, and put it where it ships."""
    config = load_config(Path(f"ready_{task}s"), [*overrides, f"output=build/ready/{task}s"])
    where = place(None, None, None, False)
    train_run(config, where)
    run, target = config.output, READY[task]
    numbers = load_file(run / "model.safetensors")
    assert not [name for name in numbers if name.startswith("recall.")], "holds captions"
    halves = {name: one.half() if one.is_floating_point() else one for name, one in numbers.items()}
    save_numbers(run, halves, read_manifest(run))
    scores = evaluate_run(config, where).scores
    target.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "model.json"):
        shutil.copyfile(run / name, target / name)
    card: dict[str, Any] = {"measure": "top1" if task == "action" else "CIDEr"}
    card |= {name: scores[name] for name in (*KEPT, "calibration") if name in scores}
    write_json(target / "card.json", card)
    return target


def draw(path: Path) -> None:
    """Draw how often the answers of each confidence were right, on validation and test clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="as sure as right")
    parts = {
        "validation": read_manifest(READY["action"]).calibration,
        "test": read_json(READY["action"] / "card.json")["calibration"],
    }
    for name, found in parts.items():
        bins = found["bins"]
        label = f"{name}, expected error {found['ece']:.3f}"
        axes.plot([b["confidence"] for b in bins], [b["right"] for b in bins], "o-", label=label)
    for b in bins:  # Of the test clips.
        at = (b["confidence"], b["right"])
        axes.annotate(str(b["clips"]), at, xytext=(4, -12), textcoords="offset points")
    axes.set(
        xlabel="confidence (number: test clips)",
        ylabel="share that is right",
        xlim=(0, 1.02),
        ylim=(-0.05, 1.05),
    )
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Build both."""
    data = os.environ.get("REELSCRIBE_TEST_DATA")
    if not data:
        sys.exit("ready-heads: REELSCRIBE_TEST_DATA is not set to a folder of real clips")
    ucf101, msvd = Path(data) / "ucf101", Path(data) / "msvd"
    given = {
        "action": (ucf101 / "UCF-101", ucf101 / "ucfTrainTestlist"),
        "caption": (msvd / "video", msvd / "captions.tsv"),
    }
    for task, (root, texts) in given.items():
        folder = build(task, [f"data.root={root}", f"data.annotations={texts}"])
        card = read_json(folder / "card.json")
        size = sum(path.stat().st_size for path in folder.iterdir())
        score = card[card["measure"]]
        print(f"{folder.name}: {size / 1e6:.1f} MB, {card['measure']} {score:.3f}")
    draw(Path("configs/ready/calibration.png"))


if __name__ == "__main__":
    main()
