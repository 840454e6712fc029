"""Batches of captions: every pair once, and little padding where like lengths go together."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.teller import create_teller
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.tasks import CaptionTask, Example, Pair


def make(by_length: bool) -> CaptionTask:
    """A thousand captions of 1 to 10 words."""
    clips = [
        Example(
            name=f"{i}",
            feats_TD=torch.zeros(1, 2),
            captions=tuple(" ".join(["go"] * (1 + (7 * i + n) % 10)) for n in range(10)),
        )
        for i in range(100)
    ]
    vocabulary = Vocabulary.build(["go"], min_count=1)
    head = create_teller(dim=2, words=len(vocabulary), hidden=4, embed=4)
    return CaptionTask(head, clips, clips, vocabulary, batch=16, max_words=20, by_length=by_length)


def epoch(task: CaptionTask, seed: int) -> list[list[Pair]]:
    return list(task.batches(torch.Generator().manual_seed(seed)))


def padding(batches: list[list[Pair]]) -> float:
    lengths = [[len(words_L) for _, words_L in batch] for batch in batches]
    widest = sum(max(found) * len(found) for found in lengths)
    return 1 - sum(map(sum, lengths)) / widest


@pytest.mark.parametrize("by_length", [False, True])
def test_every_pair_comes_once_and_each_epoch_in_another_order(by_length: bool) -> None:
    task = make(by_length)
    batches = epoch(task, 0)
    assert [len(batch) for batch in batches].count(16) == 62
    assert len(batches) == task.steps == 63
    seen = [id(words_L) for batch in batches for _, words_L in batch]
    assert sorted(seen) == sorted(id(words_L) for _, words_L in task.pairs)
    again, other = epoch(task, 0), epoch(task, 1)
    assert [task.names(batch) for batch in again] == [task.names(batch) for batch in batches]
    assert [task.names(batch) for batch in other] != [task.names(batch) for batch in batches]


def test_like_lengths_pad_less_and_come_in_no_order() -> None:
    # 1 to 10 words, START and END: 7.5 of 12 places are filled where lengths are mixed.
    assert 0.3 < padding(epoch(make(False), 0)) < 0.4
    batches = epoch(make(True), 0)
    assert padding(batches) < 0.03
    lengths = [len(batch[0][1]) for batch in batches]
    assert lengths != sorted(lengths)
