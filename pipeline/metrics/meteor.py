"""METEOR 1.5 in one Java process that is kept, and its score from its own counts.

Reads the jar that pycocoevalcap ships; writes nothing. Denkowski and Lavie 2014,
https://aclanthology.org/W14-3348. The scores of the corpus and of each video are the program's
own; the formula below only scores resamples of the videos, and equals the program's to 1e-12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reelscribe.pipeline.metrics.java import (
    TIME_LIMIT,
    JavaError,
    Program,
    Talk,
    jar,
    java,
    one_line,
)
from reelscribe.pipeline.metrics.summands import Floats, Statistics

# METEOR asks the machine how letters are encoded and lowered (in Turkish, I loses its dot); the
# tokenizer does not.
_SAME_EVERYWHERE = ("-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8")

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
"""Weight of recall, exponent and weight of the penalty, weight of content words: for English."""
STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stem, synonym and paraphrase matches."""


def meteor_statistics(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, limit: float = TIME_LIMIT
) -> Statistics:
    """Score tokenised captions, one a video, against the references of each video.

    Raises:
        JavaError: METEOR could not be started, stopped, or took more than ``limit`` seconds.
    """
    assert len(hypotheses) == len(references)
    assert hypotheses
    with PROGRAM.call(limit) as talk:
        talk.send(
            [
                " ||| ".join(["SCORE", *map(_segment, refs), _segment(hypothesis)])
                for hypothesis, refs in zip(hypotheses, references, strict=True)
            ]
        )
        counts = list(_answers(talk, len(hypotheses)))
        talk.send([" ||| ".join(["EVAL", *counts])])
        scores = [float(line) for line in _answers(talk, len(hypotheses) + 1)]
    return Statistics(
        corpus={"METEOR": scores[-1]},
        per_video={"METEOR": np.array(scores[:-1])},
        summands_VS=summands(np.array([line.split() for line in counts], dtype=np.float64)),
        of_sums=lambda sums, _: {"METEOR": score_of_counts(sums)},
    )


def summands(counts_VS: Floats) -> Floats:
    """Return the program's counts as it adds them up: a caption that is its reference has 0 chunks.

    The counts: words of the caption and of the reference; function words of each; for each of four
    kinds of match, content words of each and function words of each; chunks; matched words of each.
    """
    whole_V = (counts_VS[:, 21:23] == counts_VS[:, 0:2]).all(axis=1) & (counts_VS[:, 20] == 1)
    summands_VS = counts_VS.copy()
    summands_VS[whole_V, 20] = 0
    return summands_VS


def score_of_counts(counts: Floats) -> Floats:
    """Return METEOR of what :func:`summands` gave for a video, or of sums of it."""
    words_2, function_2 = counts[..., 0:2], counts[..., 2:4]
    matched_42 = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 2, 2)
    content_2 = (matched_42[..., 0, :] * STAGE_WEIGHTS[:, None]).sum(axis=-2)
    other_2 = (matched_42[..., 1, :] * STAGE_WEIGHTS[:, None]).sum(axis=-2)
    whole_2 = DELTA * (words_2 - function_2) + (1 - DELTA) * function_2
    share_2 = _ratio(DELTA * content_2 + (1 - DELTA) * other_2, whole_2)
    precision, recall = share_2[..., 0], share_2[..., 1]
    mean = _ratio(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
    pieces = _ratio(counts[..., 20], counts[..., 21:23].mean(axis=-1))
    score: Floats = mean * (1 - GAMMA * pieces**BETA)
    return score


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _answers(talk: Talk, count: int) -> Iterator[str]:
    for _ in range(count):
        line = talk.line()
        if line is None:
            raise JavaError(f"METEOR stopped {talk.complaint()}")
        yield line.strip()


def _segment(caption: str) -> str:
    # "|||" parts the fields of METEOR's protocol, a line end its commands.
    return one_line(caption.replace("|||", "")).replace("\t", " ").replace("  ", " ")


def _command() -> list[str]:
    program = jar("pycocoevalcap.meteor.meteor", "meteor-1.5.jar")
    # Its own default, named: by itself it does not find the file in a folder with a space.
    paraphrases = Path(program).parent / "data" / "paraphrase-en.gz"
    options = ["-", "-", "-stdio", "-l", "en", "-norm", "-a", str(paraphrases)]
    return [java(), *_SAME_EVERYWHERE, "-Xmx2G", "-jar", program, *options]


PROGRAM = Program("METEOR", _command)
