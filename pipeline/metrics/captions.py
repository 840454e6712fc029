"""The standard caption protocol: PTB tokens of both sides, all references, pycocoevalcap's scorers.

Reads and writes no file. BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040), METEOR
(Denkowski and Lavie 2014, https://aclanthology.org/W14-3348), ROUGE-L (Lin 2004,
https://aclanthology.org/W04-1013) and CIDEr (Vedantam et al. 2015,
https://arxiv.org/abs/1411.5726) are computed by pycocoevalcap's own code, so the numbers are the
published ones to rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelscribe.pipeline.metrics import java
from reelscribe.pipeline.metrics.cider import CiderD, best_constant, one_against_rest
from reelscribe.pipeline.metrics.intervals import bootstrap_interval
from reelscribe.pipeline.names import resolve

Scores = NDArray[np.float64]
Metric = Callable[[Sequence[str], Sequence[Sequence[str]]], dict[str, tuple[float, Scores]]]
"""Tokenised captions and references, one entry a video -> name -> of the corpus, of each video."""

METRICS = {
    "Bleu": "reelscribe.pipeline.metrics.captions:bleu",
    "METEOR": "reelscribe.pipeline.metrics.captions:meteor",
    "ROUGE_L": "reelscribe.pipeline.metrics.captions:rouge_l",
    "CIDEr": "reelscribe.pipeline.metrics.captions:cider",
}
"""Name -> the function that computes it. tests/test_metrics_captions.py runs over the table."""

NOTE = "CIDEr is coco-caption's CIDEr-D; its idf comes from the references scored here"
_TRIED = 20
"""How many of the most frequent captions are tried as the floor."""


@dataclass(frozen=True, kw_only=True)
class CaptionScores:
    """What one set of captions reached. Fractions, not percent."""

    ids: tuple[str, ...]
    """The videos scored, in the order of the predictions."""
    corpus: dict[str, float]
    """``Bleu_1`` to ``Bleu_4``, ``METEOR``, ``ROUGE_L``, ``CIDEr``: those computed."""
    per_video: dict[str, Scores]
    """The same names -> one score a video, in the order of ``ids``."""
    left_out: dict[str, str]
    """Metric -> the reason why it could not be computed."""
    warnings: tuple[str, ...]
    """What a reader must know before using the figures, one line each."""
    hypotheses: tuple[str, ...]
    """The predictions as tokens, parted by spaces; empty where the tokenizer could not run."""
    references: tuple[tuple[str, ...], ...]
    """The references of each video as tokens; empty where the tokenizer could not run."""


def score_captions(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    metrics: Sequence[str] = tuple(METRICS),
    allow_missing: bool = False,
) -> CaptionScores:
    """Score one caption a video against all its references.

    Ids are compared as strings, so 7 and "7" are one video.

    Args:
        predictions: id -> caption.
        references: id -> its references.
        metrics: names out of ``METRICS``.
        allow_missing: score the predicted videos alone where others have references. Such scores
            are not comparable with those of the whole set.

    Raises:
        ValueError: the ids of the two sides differ, a caption is no text, a video has no
            reference, or a metric has no such name.
    """
    chosen: dict[str, Metric] = {name: resolve(METRICS, name, "metric") for name in metrics}
    said, against = _matched(predictions, references, allow_missing=allow_missing)
    left_out: dict[str, str] = {}
    corpus: dict[str, float] = {}
    per_video: dict[str, Scores] = {}
    hypotheses: list[str] = []
    tokens: list[list[str]] = []
    try:
        # Each side by itself, as pycocoevalcap does: the tokenizer looks past the end of a line.
        hypotheses = java.tokenize(list(said.values()))
        tokens = _regroup(
            java.tokenize([text for refs in against.values() for text in refs]),
            [len(refs) for refs in against.values()],
        )
    except java.JavaError as error:
        hypotheses, left_out = [], dict.fromkeys(chosen, f"no tokens: {error}")
    for name, compute in chosen.items():
        if name in left_out:
            continue
        try:
            found = compute(hypotheses, tokens)
        except java.JavaError as error:
            left_out[name] = str(error)
            continue
        corpus |= {key: score for key, (score, _) in found.items()}
        per_video |= {key: scores for key, (_, scores) in found.items()}
    return CaptionScores(
        ids=tuple(said),
        corpus=corpus,
        per_video=per_video,
        left_out=left_out,
        warnings=tuple(_warnings(hypotheses, tokens, said, missing=len(references) - len(said))),
        hypotheses=tuple(hypotheses),
        references=tuple(map(tuple, tokens)),
    )


def caption_context(
    scores: CaptionScores, *, seed: int = 0, train_captions: Iterable[str] | None = None
) -> dict[str, object]:
    """Return what a CIDEr has to be read beside: its interval, the floor, and a human.

    Args:
        scores: of :func:`score_captions`.
        seed: for the interval and for the human's captions.
        train_captions: raw captions of the training part, for the floor. Without them the floor
            is made of the references' own most frequent captions.

    Returns:
        ``ci95``, ``floor``, ``floor_caption``, ``floor_from``, ``human``; each None where CIDEr or
        the tokens are not there.
    """
    names = ("ci95", "floor", "floor_caption", "floor_from", "human")
    if "CIDEr" not in scores.corpus:
        return dict.fromkeys(names)
    candidates = None
    if train_captions is not None:
        frequent = Counter(train_captions).most_common(_TRIED)
        candidates = java.tokenize([caption for caption, _ in frequent]) or None
    cider_d = CiderD([[text.split() for text in refs] for refs in scores.references])
    caption, floor = best_constant(candidates, scores.references, cider_d, top=_TRIED)
    context: tuple[object, ...] = (
        list(bootstrap_interval(scores.per_video["CIDEr"], seed=seed)),
        floor,
        caption,
        "references" if candidates is None else "training captions",
        one_against_rest(scores.references, seed),
    )
    return dict(zip(names, context, strict=True))


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, tuple[float, Scores]]:
    """Compute ``Bleu_1`` to ``Bleu_4``."""
    from pycocoevalcap.bleu.bleu import Bleu

    scores, per_video = Bleu(4).compute_score(*_as_coco(hypotheses, references), verbose=0)
    return {
        f"Bleu_{n}": (float(scores[n - 1]), np.array(per_video[n - 1], dtype=np.float64))
        for n in (1, 2, 3, 4)
    }


def meteor(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, tuple[float, Scores]]:
    """Compute METEOR, in a Java process that is gone when this returns."""
    with java.Meteor() as process:
        score, per_video = process.score(hypotheses, references)
    return {"METEOR": (score, np.array(per_video, dtype=np.float64))}


def rouge_l(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, tuple[float, Scores]]:
    """Compute ROUGE-L."""
    from pycocoevalcap.rouge.rouge import Rouge

    score, per_video = Rouge().compute_score(*_as_coco(hypotheses, references))
    return {"ROUGE_L": (float(score), np.asarray(per_video, dtype=np.float64))}


def cider(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, tuple[float, Scores]]:
    """Compute CIDEr-D with the reference code; :class:`CiderD` is the quick one."""
    from pycocoevalcap.cider.cider import Cider

    if not any(text for refs in references for text in refs):
        # The reference code has no answer here: it takes the maximum of no numbers.
        return {"CIDEr": (0.0, np.zeros(len(hypotheses)))}
    score, per_video = Cider().compute_score(*_as_coco(hypotheses, references))
    return {"CIDEr": (float(score), np.asarray(per_video, dtype=np.float64))}


def _as_coco(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return references and hypotheses as pycocoevalcap wants them: number -> list of strings."""
    return dict(enumerate(map(list, references))), {i: [text] for i, text in enumerate(hypotheses)}


def _regroup(texts: list[str], counts: list[int]) -> list[list[str]]:
    ends = np.cumsum(counts).tolist()
    return [texts[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _matched(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], *, allow_missing: bool
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return both sides under the ids of the predictions, as strings and in their order."""
    said = _by_string(predictions, "predictions")
    against = _by_string(references, "references")
    if not said:
        raise ValueError("there are no predictions; give one caption for each video")
    for name, caption in said.items():
        if not isinstance(caption, str):
            raise ValueError(f"the prediction for {name!r} must be one text, got {caption!r}")
    for name, refs in against.items():
        if isinstance(refs, str) or not refs or not all(isinstance(text, str) for text in refs):
            raise ValueError(
                f"the references for {name!r} must be a list of one or more texts, got {refs!r}"
            )
    unknown = [name for name in said if name not in against]
    if unknown:
        raise ValueError(
            f"{_some(unknown, len(said), 'predicted ids')} have no references; the ids with "
            f"references look like {_examples(against)}; leave these predictions out, or give "
            f"the references they belong to"
        )
    missing = [name for name in against if name not in said]
    if missing and not allow_missing:
        raise ValueError(
            f"{_some(missing, len(against), 'ids with references')} have no prediction, which "
            f"would make the score another one; add them, or pass --allow-missing to score the "
            f"{len(said)} predicted ids alone"
        )
    return said, {name: list(against[name]) for name in said}


def _by_string(side: Mapping[Any, Any], what: str) -> dict[str, Any]:
    """Return a mapping with its ids as strings."""
    counts = Counter(map(str, side))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"{_some(twice, len(counts), 'ids')} of the {what} are there twice, as a number and "
            f"as a text; keep one of them"
        )
    return {str(name): value for name, value in side.items()}


def _some(names: list[str], total: int, what: str) -> str:
    return f"{len(names)} of {total} {what} ({_examples(names)})"


def _examples(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, list(names)[:3]))
    return f"{shown}, ..." if len(names) > 3 else shown


def _warnings(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    said: Mapping[str, str],
    *,
    missing: int,
) -> Iterable[str]:
    if missing:
        yield (
            f"{missing} ids with references have no prediction and were left out: these are the "
            f"scores of a subset, not comparable with those of the whole set"
        )
    if len(said) == 1:
        yield (
            "CIDEr of a single video is always 0: its idf is log(1/1) for every word; score more "
            "videos together"
        )
    elif len(set(said.values())) == 1:
        yield f"all {len(said)} predictions are the same sentence; compare CIDEr with the floor"
    if silent := sum(not text for text in hypotheses):
        yield f"{silent} of {len(said)} predictions have no word in them"
    if silent := sum(not text for refs in references for text in refs):
        yield (
            f"{silent} references have no word in them; remove them: the reference code's ROUGE-L "
            f"gives an empty prediction full marks there"
        )
