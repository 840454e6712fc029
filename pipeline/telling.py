"""Captions of clips by a trained head, as predictions, descriptions and pages hold them.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from reelscribe.decoders.recall import Recall
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vocabulary import Vocabulary, tokenise, written
from reelscribe.pipeline.consensus import Consensus, tune
from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.tasks import Example, hypotheses
from reelscribe.pipeline.views import Views

BEAMS = (1, 2, 3, 5, 8)
PENALTIES = (0.0, 0.5, 0.7, 1.0)
"""What :func:`choose_search` tries."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a head says of one clip."""

    caption: str
    logprob: float
    """The natural logarithm of the probability of the head's own best hypothesis."""
    greedy: str
    """What taking the likeliest word at every place would have said."""
    n_best: tuple[tuple[str, float], ...]
    """The head's own hypotheses with their log-probabilities, the best score first."""
    agreement: float | None = None
    """With consensus: the caption's weighted mean CIDEr-D against the clips that look alike."""

    def to_json(self) -> dict[str, Any]:
        """Return a prediction's part of ``predictions.jsonl``."""
        found: dict[str, Any] = {"caption": self.caption, "logprob": round(self.logprob, 6)}
        if self.agreement is not None:
            found["agreement"] = round(self.agreement, 6)
        n_best = [
            {"caption": caption, "logprob": round(logprob, 6)} for caption, logprob in self.n_best
        ]
        return found | {"greedy": self.greedy, "n_best": n_best}


def measure(head: Teller, clips: Sequence[Example]) -> None:
    """Show a fresh head its training clips: for the norm, and for the consensus where it has one.

    Raises:
        ValueError: consensus is asked for, and no training caption has a word.
    """
    texts = [[" ".join(tokenise(text)) for text in clip.captions] for clip in clips]
    kept = [i for i, said in enumerate(texts) if any(said)]
    if head.recall is not None and not kept:
        raise ValueError("head.consensus needs training captions with words, and none has any")
    _consensus.cache_clear()
    shown = Views([clips[i] for i in kept])
    head.measure(shown, [[text for text in texts[i] if text] for i in kept])
    if head.recall is not None:
        tune(head.recall, [clips[i].group or clips[i].name for i in kept])


@lru_cache(maxsize=2)
def _consensus(recall: Recall) -> Consensus:
    """Return a consensus made ready: describing asks again and again, and that takes a second."""
    return Consensus(recall)


def tell(
    head: Teller, vocabulary: Vocabulary, feats: Sequence[Tensor], **search: Any
) -> list[Told]:
    """Return the caption of each clip, (T, D) each.

    Args:
        head: in evaluation mode.
        vocabulary: the head's.
        feats: features of each clip.
        search: ``beam``, ``max_words``, ``length_penalty``, ``no_repeat``.
    """
    found = hypotheses(head, feats, **search, n_best=search["beam"])
    alone = found if search["beam"] == 1 else hypotheses(head, feats, **{**search, "beam": 1})
    said = [[vocabulary.decode(one.words) for one in few] for few in found]
    if head.recall is None:
        chosen: list[tuple[str, float | None]] = [(texts[0], None) for texts in said]
    else:
        own = [[" ".join(tokenise(text)) for text in texts] for texts in said]
        best = _consensus(head.recall).choose(feats, own)
        chosen = [(written(text.split()), agreement) for text, agreement in best]
    return [
        Told(
            caption=caption,
            logprob=few[0].logprob,
            greedy=vocabulary.decode(first[0].words),
            n_best=tuple(zip(texts, (one.logprob for one in few), strict=True)),
            agreement=agreement,
        )
        for (caption, agreement), few, first, texts in zip(chosen, found, alone, said, strict=True)
    ]


def choose_search(
    head: Teller, vocabulary: Vocabulary, clips: Sequence[Example], **search: Any
) -> dict[str, Any]:
    """Return the ``beam`` and ``length_penalty`` that validation clips are captioned best with.

    Greedy search is among what is tried, so the choice is never below it there. Of equal scores the
    narrower beam. ``val_CIDEr`` and ``val_CIDEr_greedy`` are CIDEr-D with it and of greedy search.

    Args:
        head: in evaluation mode.
        vocabulary: the head's.
        clips: validation clips, which the head was not trained on.
        search: ``max_words``, ``no_repeat``.
    """
    cider = CiderD([[tokenise(text) for text in clip.captions] for clip in clips])
    feats = Views(clips)
    found, plain = [], 0.0
    for beam in BEAMS:
        for penalty in PENALTIES if beam > 1 else (1.0,):
            asked = {**search, "beam": beam, "length_penalty": penalty}
            told = tell(head, vocabulary, feats, **asked)
            said = [tokenise(one.caption) for one in told]
            found.append((float(cider.score(said).mean()), -beam, penalty))
            if beam == 1:
                plain = float(cider.score([tokenise(one.greedy) for one in told]).mean())
    score, narrow, penalty = max(found)
    chosen = {**search, "beam": -narrow, "length_penalty": penalty}
    return {**chosen, "val_CIDEr": score, "val_CIDEr_greedy": plain}
