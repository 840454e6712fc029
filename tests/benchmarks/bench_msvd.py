"""Captions with hardly any data: 62 clips of MSVD, held out in five folds by YouTube video.

Reads $REELSCRIBE_TEST_DATA/msvd; prints a table and writes build/bench/msvd.json. Every clip is
captioned by a head that saw neither it nor another clip of its YouTube video, and all 62 captions
are scored together, so that one idf holds for all. Beside the heads: the best constant caption, the
commonest caption of the nearest clip, and one human against the others. With training.refit, as in
the recipe, a head learns from all that is not held out, for the whole schedule; without it a fold
validates with the next one, which chooses the epoch.

    make bench-msvd                # an hour: twelve heads, three seeds
    python tests/benchmarks/bench_msvd.py --seeds 3 head.consensus=true head.cell=gru
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from reelscribe.datasets.clip import Clip, Split
from reelscribe.decoders.vocabulary import tokenise
from reelscribe.pipeline.checkpoint import Manifest, save_head
from reelscribe.pipeline.config import CaptionConfig, Config, load_config
from reelscribe.pipeline.files import read_jsonl, write_json
from reelscribe.pipeline.fresh import fresh_task
from reelscribe.pipeline.inputs import Material, gather, load_split
from reelscribe.pipeline.metrics.cider import CiderD, best_constant
from reelscribe.pipeline.options import place
from reelscribe.pipeline.repeats import with_seed
from reelscribe.pipeline.stages.predict import predict
from reelscribe.pipeline.stages.train import train_head
from reelscribe.pipeline.training import fit

FOLDS = 5
ALONE = "head.consensus=false"
CELLS = {
    "attention": ("lstm", "gru", "rnn"),
    "mean": ("lstm", "gru", "rnn"),
    "s2vt": ("lstm", "gru", "rnn"),
    "transformer": ("transformer", "lstm"),
}
VARIANTS: Mapping[str, Sequence[str]] = {
    "consensus, attention lstm": (),
    **{
        f"{family} {cell}": (ALONE, f"head.family={family}", f"head.cell={cell}")
        for family, cells in CELLS.items()
        for cell in cells
    },
}
"""Changes to the recipe msvd_few."""


def folds(split: Split) -> list[Split]:
    """Return five splits: each holds one fifth of the YouTube videos out, the next validates."""
    clips = list(split.clips())
    names = sorted({clip.group for clip in clips}, key=lambda name: _digest(name))
    number = {name: i % FOLDS for i, name in enumerate(names)}

    def of(*wanted: int) -> tuple[Clip, ...]:
        return tuple(clip for clip in clips if number[clip.group] in wanted)

    return [
        replace(
            split,
            name=f"fold {k}",
            train=of(*({*range(FOLDS)} - {k, (k + 1) % FOLDS})),
            val=of((k + 1) % FOLDS),
            test=of(k),
        )
        for k in range(FOLDS)
    ]


def _digest(name: str) -> str:
    return sha256(f"0/{name}".encode()).hexdigest()


def floors(material: Material, cider: CiderD, parts: Sequence[Split]) -> dict[str, float]:
    """Return what needs no head: a constant, the nearest clip's commonest caption, one human."""
    clips = list(material.split.clips())
    texts = [[" ".join(tokenise(text)) for text in clip.captions] for clip in clips]
    mean_ND = np.stack([one.feats_TD.numpy().mean(0) for one in material.examples(clips)])
    mean_ND /= np.linalg.norm(mean_ND, axis=1, keepdims=True)
    place_of = {clip.id: i for i, clip in enumerate(clips)}
    said = [""] * len(clips)
    for part in parts:
        others = [place_of[clip.id] for clip in (*part.train, *part.val)]
        for clip in part.test:
            i = place_of[clip.id]
            near = others[int((mean_ND[others] @ mean_ND[i]).argmax())]
            said[i] = Counter(texts[near]).most_common(1)[0][0]
    rng = np.random.default_rng(0)
    drawn = [int(rng.integers(len(refs))) for refs in texts]
    rest = CiderD(
        [
            [text.split() for n, text in enumerate(refs) if n != one]
            for refs, one in zip(texts, drawn, strict=True)
        ]
    )
    human = [refs[one].split() for refs, one in zip(texts, drawn, strict=True)]
    return {
        "best constant caption": best_constant(None, texts, cider, top=60)[1],
        "nearest clip's commonest": float(cider.score([text.split() for text in said]).mean()),
        "one human": float(rest.score(human).mean()),
    }


def learn(config: Config, material: Material) -> None:
    """Train a head; of a refit only the second pass, since nothing is kept of the first.

    But for the search that it would choose, where that is asked for.
    """
    assert isinstance(config.head, CaptionConfig)
    if not config.training.refit or config.head.beam == "auto":
        train_head(config, material, config.output)
        return
    train, val = (material.examples(material.clips(part)) for part in ("train", "val"))
    task, manifest = fresh_task(config, material, train, val, learn=[*train, *val])
    fit(task, config.training, config.output, made_of="", validate=False)
    save_head(config.output, task.head, Manifest(**manifest))


def pooled(
    config: Config, material: Material, parts: Sequence[Split], cider: CiderD, seed: int
) -> dict[str, Any]:
    """Train one head a fold; return CIDEr of all captions, and of the heads' own greedy ones."""
    order = [clip.id for clip in material.split.clips()]
    said: dict[str, Any] = {}
    for k, part in enumerate(parts):
        one = with_seed(config, seed, config.output / f"seed-{seed}" / f"fold-{k}")
        here = replace(material, split=part)
        learn(one, here)
        predict(one, here, one.output)
        said |= {row["id"]: row for row in read_jsonl(one.output / "predictions.jsonl")}
    found: dict[str, Any] = {
        name: float(cider.score([tokenise(said[clip][key]) for clip in order]).mean())
        for name, key in (("CIDEr", "caption"), ("greedy", "greedy"))
    }
    found["distinct"] = len({said[clip]["caption"] for clip in order})
    return found


def measure(data: Path, variants: Mapping[str, Sequence[str]], seeds: int) -> dict[str, Any]:
    """Return the floors and a row for each variant."""
    where = place(None, None, None, True)
    base = [
        f"data.root={data / 'video'}",
        f"data.annotations={data / 'captions.tsv'}",
    ]
    first = load_config(Path("msvd_few"), base)
    material = gather(first, load_split(first), where)
    parts = folds(material.split)
    clips = list(material.split.clips())
    cider = CiderD([[tokenise(text) for text in clip.captions] for clip in clips])
    rows = []
    for name, overrides in variants.items():
        began = perf_counter()
        out = f"output=build/bench/msvd/{name.replace(' ', '-').replace(',', '')}"
        config = load_config(Path("msvd_few"), [*base, out, *overrides])
        found = [pooled(config, material, parts, cider, seed) for seed in range(seeds)]
        row = {
            "variant": name,
            "CIDEr": fmean(one["CIDEr"] for one in found),
            "by seed": [round(one["CIDEr"], 3) for one in found],
            "greedy alone": fmean(one["greedy"] for one in found),
            "distinct": fmean(one["distinct"] for one in found),
            "seconds": round(perf_counter() - began),
        }
        print(row, file=sys.stderr, flush=True)
        rows.append(row)
    return {"clips": len(clips), "floors": floors(material, cider, parts), "heads": rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--all", nargs="*", default=[], help="KEY=VALUE for every variant")
    parser.add_argument("overrides", nargs="*", help="one variant of one's own, as KEY=VALUE")
    given = parser.parse_args()
    data = os.environ.get("REELSCRIBE_TEST_DATA")
    if not data:
        print("bench-msvd: REELSCRIBE_TEST_DATA is not set to a folder of real clips; skipped")
        return
    variants = {" ".join(given.overrides): given.overrides} if given.overrides else VARIANTS
    variants = {name: [*given.all, *changes] for name, changes in variants.items()}
    found = measure(Path(data) / "msvd", variants, given.seeds)
    table = Table("what", "CIDEr", "by seed", "greedy alone", "distinct")
    for name, score in found["floors"].items():
        table.add_row(name, f"{score:.3f}")
    for row in found["heads"]:
        cells = (str(row["by seed"]), f"{row['greedy alone']:.3f}", f"{row['distinct']:.0f}")
        table.add_row(row["variant"], f"{row['CIDEr']:.3f}", *cells)
    Console().print(table)
    write_json(Path("build/bench/msvd.json"), found)


if __name__ == "__main__":
    main()
