"""The standard caption protocol: PTB tokens of both sides, all references, the field's metrics.

Reads and writes no file. The tokenizer and METEOR are the programs that pycocoevalcap ships; BLEU,
ROUGE-L and CIDEr-D are computed here, equal to pycocoevalcap 1.2 and many times faster. The
references are made ready once for all that is scored against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.metrics.java import JavaError
from reelscribe.pipeline.metrics.meteor import meteor_statistics
from reelscribe.pipeline.metrics.references import References, prepare
from reelscribe.pipeline.metrics.rouge import rouge_statistics
from reelscribe.pipeline.metrics.spice import spice_statistics
from reelscribe.pipeline.metrics.summands import Floats, Statistics, of_mean
from reelscribe.pipeline.metrics.tokenizer import tokenize
from reelscribe.pipeline.names import resolve

Metric = Callable[[Sequence[str], References], Statistics]
"""Tokenised captions, one a video, and the references of the same videos -> what was found."""

METRICS = {
    "Bleu": "reelscribe.pipeline.metrics.captions:bleu",
    "METEOR": "reelscribe.pipeline.metrics.captions:meteor",
    "ROUGE_L": "reelscribe.pipeline.metrics.captions:rouge_l",
    "CIDEr": "reelscribe.pipeline.metrics.captions:cider",
}
"""Name -> the function that computes it. tests/test_metrics_captions.py runs over the table."""

NOTE = "CIDEr is coco-caption's CIDEr-D; its idf comes from the references scored here"


@dataclass(frozen=True, kw_only=True)
class CaptionScores:
    """What one set of captions reached. Fractions, not percent."""

    ids: tuple[str, ...]
    """The videos scored, in the order of the references."""
    statistics: dict[str, Statistics]
    """Metric -> what it found, with what resamples of the videos need."""
    left_out: dict[str, str]
    """Metric -> the reason why it could not be computed."""
    warnings: tuple[str, ...]
    """What a reader must know before using the figures, one line each."""
    captions: tuple[str, ...]
    """The predictions as they were given."""
    hypotheses: tuple[str, ...]
    """The predictions as tokens, parted by spaces; empty where the tokenizer could not run."""
    references: References | None
    """The references of the videos; None where the tokenizer could not run."""

    @property
    def corpus(self) -> dict[str, float]:
        """``Bleu_1`` to ``Bleu_4``, ``METEOR``, ``ROUGE_L``, ``CIDEr``: those computed."""
        return {name: x for found in self.statistics.values() for name, x in found.corpus.items()}

    @property
    def per_video(self) -> dict[str, Floats]:
        """The same names -> one score a video, in the order of ``ids``."""
        return {
            name: x for found in self.statistics.values() for name, x in found.per_video.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return ``id`` and the scores of each video, as plain values."""
        columns = {name: values.tolist() for name, values in self.per_video.items()}
        return [
            {"id": name, **{key: column[i] for key, column in columns.items()}}
            for i, name in enumerate(self.ids)
        ]


def score_captions(
    predictions: Mapping[Any, str],
    references: Mapping[Any, Sequence[str]],
    *,
    metrics: Sequence[str] = tuple(METRICS),
    allow_missing: bool = False,
    spice: Path | None = None,
) -> CaptionScores:
    """Score one caption a video against all its references.

    Ids are compared as strings, so 7 and "7" are one video. Scoring again against the same
    references takes a fraction of the time: they are kept, and so are the Java processes, which
    ``java.close()`` ends.

    >>> score_captions({"v1": "a dog runs"}, {"v1": ["a dog is running", "a dog runs"]})

    Args:
        predictions: id -> caption.
        references: id -> its references.
        metrics: names out of ``METRICS``.
        allow_missing: score the predicted videos alone where others have references. Such scores
            are not comparable with those of the whole set.
        spice: a folder with the jars of Stanford CoreNLP 3.6.0, to compute SPICE as well.

    Raises:
        ValueError: the ids of the two sides differ, a caption is no text, a video has no
            reference, or a metric has no such name.
    """
    if not metrics and spice is None:
        raise ValueError(f"no metric is asked for; there are: {', '.join(METRICS)}")
    chosen: dict[str, Metric] = {name: resolve(METRICS, name, "metric") for name in metrics}
    if spice is not None:
        chosen["SPICE"] = lambda said, refs: spice_statistics(said, refs.texts, spice)
    said, against = _matched(predictions, references, allow_missing=allow_missing)
    ready, hypotheses, left_out = None, [], dict[str, str]()
    statistics: dict[str, Statistics] = {}
    try:
        # Each side by itself, as pycocoevalcap does: the tokenizer looks past the end of a line.
        ready, hypotheses = prepare(list(against.values())), tokenize(list(said.values()))
        statistics, left_out = compute(chosen, hypotheses, ready)
    except JavaError as error:
        ready, left_out = None, dict.fromkeys(chosen, f"no tokens: {error}")
    texts = ready.texts if ready is not None else ()
    return CaptionScores(
        ids=tuple(said),
        statistics=statistics,
        left_out=left_out,
        warnings=tuple(_warnings(hypotheses, texts, said, missing=len(references) - len(said))),
        captions=tuple(said.values()),
        hypotheses=tuple(hypotheses),
        references=ready,
    )


def compute(
    chosen: Mapping[str, Metric], hypotheses: Sequence[str], references: References
) -> tuple[dict[str, Statistics], dict[str, str]]:
    """Run metrics over tokens; return what they found, and why some could not."""
    found: dict[str, Statistics] = {}
    left_out: dict[str, str] = {}
    for name, metric in chosen.items():
        try:
            found[name] = metric(hypotheses, references)
        except JavaError as error:
            left_out[name] = str(error)
    return found, left_out


def bleu(hypotheses: Sequence[str], references: References) -> Statistics:
    """Compute ``Bleu_1`` to ``Bleu_4``."""
    return references.bleu.score([text.split() for text in hypotheses])


def meteor(hypotheses: Sequence[str], references: References) -> Statistics:
    """Compute METEOR."""
    return meteor_statistics(hypotheses, references.texts)


def rouge_l(hypotheses: Sequence[str], references: References) -> Statistics:
    """Compute ROUGE-L."""
    return rouge_statistics(hypotheses, references.texts)


def cider(hypotheses: Sequence[str], references: References) -> Statistics:
    """Compute CIDEr-D, with the idf of these references."""
    return of_mean("CIDEr", references.cider.score([text.split() for text in hypotheses]))


def _matched(
    predictions: Mapping[Any, str], references: Mapping[Any, Sequence[str]], *, allow_missing: bool
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return both sides under the predicted ids, as strings, in the order of the references."""
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
    missing = [name for name in against if name not in said]
    lacking = f"{_some(missing, len(against), 'ids with references')} have no prediction"
    if unknown:
        raise ValueError(
            f"{_some(unknown, len(said), 'predicted ids')} have no references"
            f"{f', and {lacking}' if missing else ''}; the ids with references look like "
            f"{_examples(against)}{_ending(unknown, against)}; leave these predictions out, or "
            f"give the references they belong to"
        )
    if missing and not allow_missing:
        raise ValueError(
            f"{lacking}, which would make the score another one; add them, or pass "
            f"--allow-missing to score the {len(said)} predicted ids alone"
        )
    # The order of the references, whatever that of the predictions: it is how they are kept.
    both = [name for name in against if name in said]
    return {name: said[name] for name in both}, {name: against[name] for name in both}


def _ending(unknown: Collection[str], known: Collection[str]) -> str:
    """Say where ids would fit but for the ending of a file's name."""
    fits = [name for name in unknown if name.rpartition(".")[0] in known]
    if not fits:
        return ""
    return f", and {len(fits)} would fit without the ending {fits[0][fits[0].rindex('.') :]!r}"


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
