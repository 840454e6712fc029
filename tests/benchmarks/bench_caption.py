"""The text side of MSR-VTT at size: real annotations over made features, trained and scored.

Reads the annotations in $REELSCRIBE_TEST_DATA/msrvtt; prints a table and writes
build/bench/caption.json.
No video is read. Each video's features are made: a step shows one of the words that most of its
captions share, as a random direction of its own, with noise. So there is something to learn, and
THE SCORES SAY NOTHING ABOUT VIDEOS. They are read beside the best constant caption, one human, and
what is retrieved from the nearest training video (its commonest caption, and the one that its
others agree on most), all over the same features and test videos.

Speed is that of training, in words a second, beside a bare loop over the same model and batches.

    make bench-caption                                    # a part: minutes on two cores
    python tests/benchmarks/bench_caption.py --full       # all 10,000 videos
    python tests/benchmarks/bench_caption.py --full --captions 5  # as many of each training video
    python tests/benchmarks/bench_caption.py --full --resume      # goes on where it was cut off
    python tests/benchmarks/bench_caption.py --full --cpu         # 50 minutes on one thread
    python tests/benchmarks/bench_caption.py --full --cpu training.scst_epochs=1  # and ten more
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy

from reelscribe.datasets.clip import PARTS, Clip
from reelscribe.datasets.msrvtt import PART_OF, _read
from reelscribe.decoders.vocabulary import PAD, tokenise
from reelscribe.pipeline.checkpoint import read_manifest
from reelscribe.pipeline.config import Config, TrainingConfig, load_config
from reelscribe.pipeline.files import read_jsonl, write_json
from reelscribe.pipeline.fresh import fresh_task
from reelscribe.pipeline.inputs import gather, load_split
from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.options import place
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.stages.evaluate import evaluate
from reelscribe.pipeline.tasks import CaptionTask
from reelscribe.pipeline.training import fit

WIDTH, STEPS, NOISE = 256, 8, 1.0
"""Values a step, steps a video, and the noise beside a word's direction of length 1."""

PART = {"train": 800, "val": 100, "test": 300}
"""Videos of the part."""

SMALL = ("head.hidden=128", "head.embed=128", "training.epochs=6", "training.lr=2.0e-3")
"""What the part changes of the recipe msrvtt."""

CPU = (
    "head.hidden=256",
    "head.embed=128",
    "head.min_count=5",
    "head.max_words=16",
    "head.dropout=0.3",
    "training.epochs=6",
    "training.batch=64",
    "training.lr=1.0e-3",
    "training.by_length=true",
)
"""What ``--cpu`` changes of the recipe msrvtt."""

STEPS_TIMED, ROUNDS = 20, 3
"""Batches that are timed at once, and how often."""

COMMON = 60
"""The most frequent words of all captions show nothing: a, is, man."""


def make(clips: Sequence[Clip], folder: Path) -> None:
    """Write the features of clips, one .npy each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    said = {clip.id: [set(tokenise(text)) for text in clip.captions] for clip in clips}
    counts = Counter(word for texts in said.values() for words in texts for word in words)
    dull = {word for word, _ in counts.most_common(COMMON)}
    directions: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for clip in clips:
        own = Counter(word for words in said[clip.id] for word in words if word not in dull)
        shown = [word for word, _ in sorted(own.items(), key=lambda i: (-i[1], i[0]))[:STEPS]]
        feats_TD = NOISE / np.sqrt(WIDTH) * rng.standard_normal((STEPS, WIDTH))
        for step, word in enumerate(shown):
            if word not in directions:
                one = rng.standard_normal(WIDTH)
                directions[word] = one / np.linalg.norm(one)
            feats_TD[step] += directions[word]
        np.save(folder / f"{clip.id}.npy", feats_TD.astype(np.float32))


def nearest(
    config: Config, rows: Sequence[dict[str, Any]], train: Sequence[Clip]
) -> dict[str, float]:
    """Return CIDEr of two captions of each test video's nearest training video.

    Nearest by the cosine of mean frames, the training mean taken off. ``nearest_commonest`` is the
    caption said most often of it; ``nearest_agreed`` the one most like all of its own.
    """
    assert config.encoder.precomputed is not None
    folder = config.encoder.precomputed

    def means(names: Sequence[str]) -> Any:
        return np.stack([np.load(folder / f"{name}.npy").mean(0) for name in names])

    train_ND, test_MD = means([clip.id for clip in train]), means([row["id"] for row in rows])
    centre_D = train_ND.mean(0)
    train_ND, test_MD = (each - centre_D for each in (train_ND, test_MD))
    train_ND /= np.linalg.norm(train_ND, axis=1, keepdims=True)
    near = (test_MD @ train_ND.T).argmax(1)
    texts = [[tokenise(text) for text in clip.captions] for clip in train]
    own = CiderD(texts)
    agreed = {
        i: texts[i][int(own.score(texts[i], [i] * len(texts[i])).argmax())] for i in set(near)
    }
    cider = CiderD([[tokenise(text) for text in row["references"]] for row in rows])
    commonest = [Counter(texts[i]).most_common(1)[0][0] for i in near]
    return {
        "nearest_commonest": float(cider.score(commonest).mean()),
        "nearest_agreed": float(cider.score([agreed[i] for i in near]).mean()),
    }


def bare(task: CaptionTask, settings: TrainingConfig) -> None:
    """Go through an epoch in a plain loop over the batches of the task."""
    optimizer = torch.optim.AdamW(task.head.parameters(), lr=settings.lr)
    task.head.train()
    for batch in task.batches(torch.Generator().manual_seed(0)):
        feats_BTD = torch.stack([clip.feats_TD for clip, _ in batch]).to(task.device)
        words = [words_L for _, words_L in batch]
        words_BL = torch.nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=PAD)
        words_BL = words_BL.to(task.device)
        lengths_B = torch.full((len(batch),), feats_BTD.shape[1], device=task.device)
        logits_BLV = task.head(feats_BTD, lengths_B, words_BL[:, :-1])
        loss = cross_entropy(logits_BLV.flatten(0, 1), words_BL[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(task.head.parameters(), 5.0)
        optimizer.step()
        loss.item()


def speeds(task: CaptionTask, settings: TrainingConfig, folder: Path) -> tuple[float, float]:
    """Return words a second of our training and of a plain loop, in turns, the best of ROUNDS.

    Both go through the same few captions; what else the machine does meets both alike.
    """
    task.pairs = task.pairs[: STEPS_TIMED * task.batch]
    task.steps = -(-len(task.pairs) // task.batch)
    words = sum(len(words_L) - 1 for _, words_L in task.pairs)
    once = settings.model_copy(update={"epochs": 1})

    def ours() -> None:
        fit(task, once, folder, made_of="", validate=False)

    spent: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        for name, run in (("ours", ours), ("bare", lambda: bare(task, once))):
            began = perf_counter()
            run()
            spent[name].append(perf_counter() - began)
    return words / min(spent["ours"]), words / min(spent["bare"])


def chosen(data: Path, full: bool) -> dict[str, list[Clip]]:
    """Return videos with their captions by part: all, or the first of each part."""
    notes = _read(data)
    left = dict(PART) if not full else dict.fromkeys(PART, 10_000)
    clips: dict[str, list[Clip]] = {part: [] for part in PART}
    for name, video in notes.videos.items():
        part = PART_OF[video["split"]]
        if len(clips[part]) < left[part]:
            found = Clip(id=name, path=data / name, captions=notes.captions[name])
            clips[part].append(found)
    return clips


def write_notes(clips: Mapping[str, Sequence[Clip]], captions: int, path: Path) -> None:
    """Write annotations with the first ``captions`` of each training video, and all of others."""
    names = {part: name for name, part in PART_OF.items()}
    said = {
        (part, clip.id): clip.captions[: captions if part == "train" else None]
        for part, found in clips.items()
        for clip in found
    }
    videos = [{"video_id": name, "split": names[part]} for part, name in said]  # type: ignore[index]
    sentences = [
        {"video_id": name, "caption": text} for (_, name), texts in said.items() for text in texts
    ]
    write_json(path, {"videos": videos, "sentences": sentences})


def measure(
    data: Path, *, full: bool, captions: int, resume: bool, overrides: Sequence[str]
) -> dict[str, Any]:
    """Make features, train, score; return all figures."""
    out = Path("build/bench/caption")
    clips = chosen(data, full)
    if not resume:
        shutil.rmtree(out, ignore_errors=True)
        make([clip for found in clips.values() for clip in found], out / "features")
    write_notes(clips, captions, out / "notes.json")
    settings = [
        f"data.annotations={out / 'notes.json'}",
        f"encoder.precomputed={out / 'features'}",
        "data.missing=skip",
        f"output={out / 'run'}",
        *(() if full else SMALL),
        *overrides,
    ]
    config = load_config(Path("msrvtt"), settings)
    here = place(out / "store", None, None, True)
    began = perf_counter()
    result = train_run(config, here, resume=resume)
    seconds = perf_counter() - began
    material = gather(config, load_split(config), here)
    train, val = (material.examples(material.clips(part)) for part in ("train", "val"))
    task, _ = fresh_task(config, material, train, val)
    assert isinstance(task, CaptionTask)
    captions_learnt = len(task.pairs)
    ours, plain = speeds(task, config.training, out / "timed")
    began = perf_counter()
    evaluate(config, material, config.output)
    scored = perf_counter() - began
    scores = result.scores
    rows = read_jsonl(config.output / "predictions.jsonl")
    return {
        "videos": {part: len(material.clips(part)) for part in PARTS},
        "captions": captions_learnt,
        "CIDEr": scores["CIDEr"],
        "greedy": scores["greedy_CIDEr"],
        "ci95": scores["ci95"],
        "METEOR": scores.get("METEOR"),
        "constant": scores["floor"],
        "human": scores["human"],
        **nearest(config, rows, clips["train"]),
        "scst": read_manifest(config.output).trained.get("scst"),
        "words_per_second": ours,
        "bare_words_per_second": plain,
        "evaluation_seconds": scored,
        "run_seconds": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "alarms": scores["alarms"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all 10,000 videos")
    parser.add_argument("--captions", type=int, default=20, help="to learn from, a training video")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--cpu", action="store_true", help="a head that trains without a GPU")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE of the config")
    given = parser.parse_args()
    data = os.environ.get("REELSCRIBE_TEST_DATA")
    if not data:
        print("bench-caption: REELSCRIBE_TEST_DATA is not set to real annotations; skipped")
        return
    found = measure(
        Path(data) / "msrvtt",
        full=given.full,
        captions=given.captions,
        resume=given.resume,
        overrides=[*(CPU if given.cpu else ()), *given.overrides],
    )
    found["ratio"] = found["words_per_second"] / found["bare_words_per_second"]
    table = Table("text side of MSR-VTT, made features", "")
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)
    write_json(Path("build/bench/caption.json"), found)


if __name__ == "__main__":
    main()
