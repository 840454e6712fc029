"""Captions as people write them, through vocabulary, training task, search and consensus."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.teller import create_teller
from reelscribe.decoders.vocabulary import Vocabulary, tokenise
from reelscribe.pipeline.tasks import CaptionTask, Example
from reelscribe.pipeline.telling import measure, tell

ODD = (
    "a man ||| a woman",
    "a\ttab and a\nline end\r\n",
    "\u0631\u062c\u0644 \u064a\u063a\u0646\u064a",  # right to left
    "a dog \U0001f415 barks",
    "...",
)
LONG = " ".join(f"word{i}" for i in range(10_000))


def task(*captions: str, max_words: int = 6) -> CaptionTask:
    clips = [
        Example(name="odd", feats_TD=torch.eye(4)[:2], captions=captions),
        Example(name="plain", feats_TD=torch.eye(4)[2:], captions=("a cat sits",)),
    ]
    vocabulary = Vocabulary.build([text for one in clips for text in one.captions], min_count=1)
    torch.manual_seed(0)
    head = create_teller(dim=4, words=len(vocabulary), hidden=8, embed=4, consensus=True)
    measure(head, clips)
    return CaptionTask(head, clips, clips, vocabulary, batch=8, max_words=max_words)


def test_odd_captions_are_learnt_and_scored() -> None:
    made = task(*ODD)
    assert torch.isfinite(made.loss(next(made.batches(torch.Generator().manual_seed(0)))))
    made.head.eval()
    with torch.no_grad():
        score, loss = made.validate()
    assert 0 <= score <= 10
    assert 0 < loss < 10
    feats = [clip.feats_TD for clip in made.train]
    told = tell(made.head, made.vocabulary, feats, beam=2, max_words=6, length_penalty=0.7)
    assert all(tokenise(one.caption) and tokenise(one.greedy) for one in told)
    assert not any(mark in one.caption for one in told for mark in "\t\r\n")


def test_a_caption_of_10000_words_is_cut_for_training_and_whole_for_scoring() -> None:
    made = task(LONG)
    lengths = {clip.name: len(words_L) for clip, words_L in made.pairs}
    assert lengths == {"odd": 1 + 6 + 1, "plain": 1 + 3 + 1}
    [whole, plain] = made.cider.score([LONG.split(), ("a", "cat", "sits")])
    # Three words have no run of four, so a quarter of the 10 is not to be had.
    assert (whole, plain) == (pytest.approx(10.0), pytest.approx(7.5))


def test_one_caption_only_is_enough() -> None:
    made = task("a dog barks")
    assert len(made.pairs) == 2
    assert made.head.recall is not None
    assert made.head.recall.captions() == [["a dog barks"], ["a cat sits"]]
