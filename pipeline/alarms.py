"""What a caption score does not tell by itself: alarms about what was said and how it was learnt.

Reads and writes nothing. Each alarm is one line: what was seen, the figures, what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reelscribe.decoders.vocabulary import tokenise

SAME = 0.3
"""Share of videos that one caption may be said of."""
COPIED = 0.95
"""Share of captions that may be a training caption, word by word."""
STUTTER = 0.05
"""Share of captions that may say three words twice."""
ENOUGH = 10
"""Videos below which a share says little."""
NOISE = 0.99
"""CIDEr of the search over greedy's, below which the search is called worse."""
FALL = 0.9
"""Validation CIDEr at the end, over its best, from which the training is said to have gone on too
long."""


def habits(captions: Sequence[str], train_captions: Iterable[str]) -> dict[str, Any]:
    """Return what the captions of different videos have in common.

    Returns:
        ``commonest``: the caption said most often, ``commonest_share``: of how many videos it is
        said; ``copied``: share of captions equal to a training caption, as metrics count words;
        ``repeats``: share of captions in which three words in a row come twice.
    """
    said = [tokenise(caption) for caption in captions]
    known = {tokenise(caption) for caption in train_captions}
    [(commonest, times)] = Counter(said).most_common(1)
    return {
        "commonest": " ".join(commonest),
        "commonest_share": times / len(said),
        "copied": sum(words in known for words in said) / len(said),
        "repeats": sum(_stutters(words) for words in said) / len(said),
    }


def alarms(scores: Mapping[str, Any], epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Return a line for each thing that is wrong with what a caption head says.

    Args:
        scores: what scores.json will hold: ``videos``, ``CIDEr``, ``floor``, ``greedy_CIDEr``,
            ``consensus`` and what :func:`habits` returns; what is not there raises no alarm.
        epochs: the rows of metrics.jsonl.
    """
    found = [*_collapse(scores)] if scores["videos"] >= ENOUGH else []
    score, floor, greedy = (scores.get(name) for name in ("CIDEr", "floor", "greedy_CIDEr"))
    if score is not None and floor is not None and score <= floor:
        found.append(
            f"CIDEr {score:.3f} is not above that of one constant caption ({floor:.3f}): nothing "
            "of the videos is in these captions; train longer, or on more clips"
        )
    if score is not None and greedy is not None and score < NOISE * greedy:
        found.append(
            f"the search is worse than greedy: CIDEr {score:.3f} against {greedy:.3f}; set "
            "head.beam to auto, or raise head.length_penalty where its captions are short"
        )
    return found + _too_long(epochs)


def _collapse(scores: Mapping[str, Any]) -> Iterable[str]:
    if scores["commonest_share"] > SAME:
        yield (
            f"collapse: {scores['commonest_share']:.0%} of the videos get one caption, "
            f"{scores['commonest']!r}; train longer, or with head.norm standard"
        )
    if scores["copied"] > COPIED and not scores.get("consensus"):
        yield (
            f"{scores['copied']:.0%} of the captions are training captions word by word: the head "
            "recites; raise head.dropout, or lower head.hidden"
        )
    if scores["repeats"] > STUTTER:
        yield (
            f"{scores['repeats']:.0%} of the captions say three words twice; set "
            "head.no_repeat to 3"
        )


def _too_long(epochs: Sequence[Mapping[str, float]]) -> list[str]:
    rows = [row for row in epochs if "val_CIDEr" in row]
    if len(rows) < 2:
        return []
    best, last = max(rows, key=lambda row: row["val_CIDEr"]), rows[-1]
    fell = last["val_CIDEr"] < FALL * best["val_CIDEr"]
    if not fell or last["val_loss"] >= best["val_loss"]:
        return []
    return [
        f"validation CIDEr fell from {best['val_CIDEr']:.3f} (epoch {best['epoch']}) to "
        f"{last['val_CIDEr']:.3f} (epoch {last['epoch']}) while the validation loss improved from "
        f"{best['val_loss']:.3f} to {last['val_loss']:.3f}: the loss is no guide here; the best "
        "epoch was kept"
    ]


def _stutters(words: Sequence[str]) -> bool:
    threes = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(threes)) < len(threes)
