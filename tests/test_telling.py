"""What a caption head says of clips, and how it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reelscribe.decoders.teller import create_teller
from reelscribe.decoders.vocabulary import Vocabulary, tokenise
from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.metrics.files import read_predictions
from reelscribe.pipeline.tasks import CaptionTask, Example
from reelscribe.pipeline.telling import BEAMS, PENALTIES, choose_search, tell

TEXTS = ("a cat sits", "a dog runs off", "two birds fly", "a man sings a song")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def task() -> CaptionTask:
    """A head that has seen its four clips for a moment: what it says is not sure yet."""
    clips = [
        Example(name=text, feats_TD=torch.eye(4)[i : i + 1], captions=(text, f"{text} there"))
        for i, text in enumerate(TEXTS)
    ]
    vocabulary = Vocabulary.build([text for one in clips for text in one.captions], min_count=1)
    torch.manual_seed(0)
    head = create_teller(dim=4, words=len(vocabulary), hidden=16, embed=8, dropout=0.0)
    made = CaptionTask(head, clips, clips, vocabulary, batch=8, max_words=6)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for step in range(12):
        [batch] = made.batches(torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        torch.autograd.backward(made.loss(batch))
        optimizer.step()
    head.eval()
    return made


def test_n_best_are_the_heads_hypotheses_by_score(task: CaptionTask, tmp_path: Path) -> None:
    feats = [clip.feats_TD for clip in task.train]
    told = tell(task.head, task.vocabulary, feats, beam=4, max_words=6, length_penalty=0.7)
    for one in told:
        assert len({caption for caption, _ in one.n_best}) == 4
        assert one.n_best[0] == (one.caption, one.logprob)
        scores = [logprob / (len(said.split()) + 1) ** 0.7 for said, logprob in one.n_best]
        assert scores == sorted(scores, reverse=True)
        assert sum(2.718281828459045**logprob for _, logprob in one.n_best) <= 1.0
    rows = [{"id": str(i), **one.to_json()} for i, one in enumerate(told)]
    assert rows[0]["n_best"][0] == {"caption": told[0].caption, "logprob": rows[0]["logprob"]}
    # `score` reads the caption and leaves all else alone.
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert read_predictions(path) == {str(i): one.caption for i, one in enumerate(told)}


def test_the_search_that_is_chosen_is_the_best_of_all_that_are_tried(task: CaptionTask) -> None:
    fixed = {"max_words": 6, "no_repeat": 0}
    chosen = choose_search(task.head, task.vocabulary, task.val, **fixed)
    cider = CiderD([[tokenise(text) for text in clip.captions] for clip in task.val])
    feats = [clip.feats_TD for clip in task.val]

    def score(beam: int, penalty: float) -> float:
        asked = {**fixed, "beam": beam, "length_penalty": penalty}
        told = tell(task.head, task.vocabulary, feats, **asked)
        return float(cider.score([tokenise(one.caption) for one in told]).mean())

    every = {(beam, penalty): score(beam, penalty) for beam in BEAMS for penalty in PENALTIES}
    assert len(set(every.values())) > 1, "where all are alike there is nothing to choose"
    best = max(every.values())
    assert chosen["val_CIDEr"] == best == every[chosen["beam"], chosen["length_penalty"]]
    assert chosen["beam"] == min(beam for (beam, _), found in every.items() if found == best)
    assert chosen["val_CIDEr_greedy"] == every[1, 1.0] <= best
