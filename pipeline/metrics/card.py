"""What a caption score has to be read beside: intervals, a floor, a human, another system.

Reads and writes no file. Everything is made of what ``score_captions`` returned; the values are
plain, ready for scores.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reelscribe.pipeline.metrics.captions import METRICS, CaptionScores, Metric, compute
from reelscribe.pipeline.metrics.cider import best_constant
from reelscribe.pipeline.metrics.intervals import compare, intervals, resample
from reelscribe.pipeline.metrics.java import JavaError
from reelscribe.pipeline.metrics.references import References
from reelscribe.pipeline.metrics.splits import part_of_a_known_split
from reelscribe.pipeline.metrics.tokenizer import tokenize
from reelscribe.pipeline.names import resolve

TRIED = 20
"""How many of the most frequent captions are tried as the floor."""

EXAMPLES = 10
"""How many of the best, of the worst and of the most different captions are shown."""

_CONTEXT = (
    *("intervals", "ci95", "floor", "floor_caption", "floor_from", "floor_scores"),
    *("human", "human_scores", "human_references", "same_references"),
)


def caption_card(
    scores: CaptionScores, *, seed: int = 0, train_captions: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return all that one set of captions has to be read beside, as plain values.

    Args:
        scores: of ``score_captions``.
        seed: for the resamples and for the human's captions.
        train_captions: raw captions of the training part, for the floor and for what is novel.
            Without them the floor is made of the references' own most frequent captions.

    Returns:
        ``intervals``: score -> 95 % interval; ``ci95``: that of CIDEr. ``floor``: CIDEr of the
        best constant caption, ``floor_scores`` its other scores, ``floor_caption`` it,
        ``floor_from`` where it was found. ``human``: CIDEr of one reference of each video, drawn
        at random, against the others; ``human_scores`` its other scores; ``same_references`` the
        predictions' scores against these same others, which ``human_references`` counts. Each is
        None where it cannot be had. ``words``, ``words_references``, ``vocabulary``,
        ``distinct`` and ``novel`` of :func:`shares`; ``best`` and
        ``worst``: captions with their scores; ``warnings``.
    """
    train = None if train_captions is None else Counter(train_captions)
    card: dict[str, Any] = dict.fromkeys(_CONTEXT)
    card["warnings"] = [*scores.warnings, *_splits(scores)]
    if scores.references is not None and scores.statistics:
        spans = intervals(resample(scores.statistics, seed=seed))
        card["intervals"] = {name: list(span) for name, span in spans.items()}
        card["ci95"] = card["intervals"].get("CIDEr")
        card |= _floor(scores, scores.references, train)
        card |= _human(scores, scores.references, seed)
        card["warnings"] += _lacking(scores, card)
    card |= shares(scores, train)
    card["best"], card["worst"] = extremes(scores)
    return card


def versus(one: CaptionScores, other: CaptionScores, *, seed: int = 0) -> dict[str, Any]:
    """Compare two sets of captions of the same videos by a paired bootstrap test.

    Returns:
        ``scores``: score -> ``other``, ``difference``, its ``ci95`` and ``p``; ``better``,
        ``worse``, ``equal``: videos by their CIDEr; ``different``: where the captions differ most.

    Raises:
        ValueError: they are not of the same videos.
    """
    if one.ids != other.ids:
        gone = sorted({*one.ids} ^ {*other.ids})
        raise ValueError(
            f"the two files predict different videos: {len(gone)} are in one alone "
            f"({', '.join(map(repr, gone[:3]))}{', ...' if len(gone) > 3 else ''}); "
            f"a paired test needs the same ones in both"
        )
    theirs = other.corpus
    found: dict[str, Any] = {
        name: {"other": theirs[name], **vars(result), "ci95": list(result.ci95)}
        for name, result in compare(one.statistics, other.statistics, seed=seed).items()
    }
    key = ranking(one)
    if key is None or key not in other.per_video:
        return {"scores": found, "better": 0, "worse": 0, "equal": 0, "different": []}
    gaps_V = one.per_video[key] - other.per_video[key]
    order = np.argsort(-np.abs(gaps_V), kind="stable")[:EXAMPLES]
    return {
        "scores": found,
        "better": int((gaps_V > 0).sum()),
        "worse": int((gaps_V < 0).sum()),
        "equal": int((gaps_V == 0).sum()),
        "different": [
            {
                **_example(one, i, key),
                "other_caption": other.captions[i],
                "difference": float(gaps_V[i]),
            }
            for i in order.tolist()
            if gaps_V[i]
        ],
    }


def shares(scores: CaptionScores, train: Mapping[str, int] | None) -> dict[str, Any]:
    """Return how long the captions are, and how many are distinct or novel.

    ``novel`` is the share of captions that no training caption equals, capitals and space apart;
    None without training captions.
    """
    said = scores.hypotheses or scores.captions
    texts = scores.references.texts if scores.references else ()
    refs = [len(text.split()) for group in texts for text in group]
    known = None if train is None else {_plain(text) for text in train}
    return {
        "words": float(np.mean([len(text.split()) for text in said])),
        "words_references": float(np.mean(refs)) if refs else None,
        "vocabulary": len({word for text in said for word in text.split()}),
        "distinct": len(set(scores.captions)) / len(scores.captions),
        "novel": None
        if known is None
        else sum(_plain(text) not in known for text in scores.captions) / len(scores.captions),
    }


def ranking(scores: CaptionScores) -> str | None:
    """Return the score that videos are ranked by: CIDEr, or the last that was computed."""
    names = list(scores.per_video)
    return "CIDEr" if "CIDEr" in names else (names[-1] if names else None)


def extremes(scores: CaptionScores) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the best and the worst captions; no caption is in both lists."""
    key = ranking(scores)
    if key is None:
        return [], []
    order = np.argsort(-scores.per_video[key], kind="stable").tolist()
    best = order[:EXAMPLES]
    worst = order[len(best) :][::-1][:EXAMPLES]
    return [_example(scores, i, key) for i in best], [_example(scores, i, key) for i in worst]


def _example(scores: CaptionScores, i: int, key: str) -> dict[str, Any]:
    texts = scores.references.texts[i] if scores.references else ()
    return {
        "id": scores.ids[i],
        "caption": scores.captions[i],
        key: float(scores.per_video[key][i]),
        "references": list(texts[:3]),
    }


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


def _splits(scores: CaptionScores) -> Iterable[str]:
    if scores.references is not None:
        yield from part_of_a_known_split(scores.ids, scores.references.counts)


def _lacking(scores: CaptionScores, card: Mapping[str, Any]) -> Iterable[str]:
    """Name what the floor or the human has not: SPICE, or a program that stopped in between."""
    for key, what in (("floor_scores", "floor"), ("human_scores", "human")):
        names = [name for name in scores.corpus if card[key] and name not in card[key]]
        if names:
            yield f"the {what} has no {', '.join(names)}: computed for the predictions alone"


def _metrics(scores: CaptionScores) -> dict[str, Metric]:
    """Return the metrics that could be computed; the others would fail again, SPICE takes long."""
    names = [name for name in scores.statistics if name in METRICS]
    return {name: resolve(METRICS, name, "metric") for name in names}


def _scores(
    scores: CaptionScores, hypotheses: Sequence[str], references: References
) -> dict[str, float]:
    found, _ = compute(_metrics(scores), hypotheses, references)
    return {name: score for one in found.values() for name, score in one.corpus.items()}


def _floor(
    scores: CaptionScores, references: References, train: Counter[str] | None
) -> dict[str, Any]:
    if "CIDEr" not in scores.statistics:
        return {}
    candidates = None
    if train is not None:
        try:
            candidates = tokenize([text for text, _ in train.most_common(TRIED)]) or None
        except JavaError:
            return {}
    caption, floor = best_constant(candidates, references.texts, references.cider, top=TRIED)
    return {
        "floor": floor,
        "floor_caption": caption,
        "floor_from": "references" if candidates is None else "training captions",
        "floor_scores": _scores(scores, [caption] * len(scores.ids), references),
    }


def _human(scores: CaptionScores, references: References, seed: int) -> dict[str, Any]:
    """Score one reference of each video against the others, and the predictions against those."""
    if min(references.counts) < 2:
        return {}
    generator = np.random.default_rng(seed)
    drawn = [int(generator.integers(count)) for count in references.counts]
    rest = References(
        [
            [text for i, text in enumerate(refs) if i != one]
            for refs, one in zip(references.texts, drawn, strict=True)
        ]
    )
    said = [refs[one] for refs, one in zip(references.texts, drawn, strict=True)]
    human = _scores(scores, said, rest)
    return {
        "human": human.get("CIDEr"),
        "human_scores": human,
        "human_references": sum(rest.counts),
        "same_references": _scores(scores, scores.hypotheses, rest),
    }
