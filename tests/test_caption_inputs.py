"""Captions as people write them, through vocabulary, training task, search and consensus."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from reelscribe.decoders.teller import create_teller
from reelscribe.decoders.vocabulary import Vocabulary, tokenise
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.inputs import load_split
from reelscribe.pipeline.metrics.captions import score_captions
from reelscribe.pipeline.metrics.files import read_predictions
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


@pytest.mark.slow
def test_odd_captions_are_scored_by_every_metric_from_any_file(tmp_path: Path) -> None:
    """Each said of its own video: as good as can be, but for those without a word in them."""
    said = dict(enumerate([*ODD, "", LONG]))
    path = tmp_path / "said.jsonl"
    path.write_text("".join(f"{json.dumps({'id': i, 'caption': t})}\n" for i, t in said.items()))
    read = read_predictions(path)
    assert read == {str(i): text for i, text in said.items()}
    scores = score_captions(read, {name: [text, "a cat sits"] for name, text in read.items()})
    assert not scores.left_out
    silent = [ODD.index("..."), len(ODD)]
    for metric in ("Bleu_1", "METEOR", "CIDEr"):
        values = scores.per_video[metric].tolist()
        assert [i for i, value in enumerate(values) if value < 0.05] == silent
    assert scores.per_video["METEOR"][-1] == pytest.approx(1.0)
    assert scores.warnings[0] == "2 of 7 predictions have no word in them"


def test_a_video_without_captions_is_named(tmp_path: Path) -> None:
    videos = [
        {"video_id": f"video{i}", "split": part, "url": f"u{i}"}
        for i, part in enumerate(["train", "train", "validate", "test"])
    ]
    sentences = [{"video_id": f"video{i}", "caption": "a cat", "sen_id": i} for i in (0, 2, 3)]
    notes = tmp_path / "all.json"
    notes.write_text(json.dumps({"videos": videos, "sentences": sentences}))
    for i in range(4):
        np.save(tmp_path / f"video{i}.npy", np.full((1, 2), i, np.float32))
    settings = [f"data.annotations={notes}", f"encoder.precomputed={tmp_path}"]
    said = r"head\.task is caption, but 1 train clips have no caption \(first 'video1'\); give them"
    with pytest.raises(ValueError, match=said):
        load_split(load_config(Path("msrvtt"), settings))
