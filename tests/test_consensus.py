"""Consensus: what is kept of the training clips, and the caption that their neighbours agree on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.recall import Recall
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.checkpoint import Manifest, load_head, save_head
from reelscribe.pipeline.consensus import Consensus, tune
from reelscribe.pipeline.tasks import Example
from reelscribe.pipeline.telling import measure, tell

CAT = ["a cat sits there", "a cat sits there", "a cat sleeps"]
DOG = ["a dog runs off", "the dog runs off"]


def clip(x: float, y: float, frames: int = 2) -> Tensor:
    return torch.tensor([[10.0 + x, 10.0 + y]]).repeat(frames, 1)


def animals() -> Recall:
    """Cats to the right, dogs to the left, far from the origin as CNN features are."""
    recall = Recall(2)
    feats = [clip(1, 0), clip(1, 0.1), clip(-1, 0), clip(-1, -0.1)]
    recall.learn(feats, [CAT, CAT[:1], DOG, DOG[:1]])
    return recall


def test_keys_are_directions_from_the_mean_of_the_training_clips() -> None:
    recall = animals()
    torch.testing.assert_close(recall.mean, torch.tensor([10.0, 10.0]))
    torch.testing.assert_close(recall.keys_ND[0], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(recall.keys([clip(0, 3, frames=5)]), torch.tensor([[0.0, 1.0]]))
    assert recall.captions()[2] == DOG


def test_weights_are_a_softmax_over_the_nearest() -> None:
    cosines_QN = torch.tensor([[0.9, 0.8, -1.0]])
    [row] = Recall(2).weights(cosines_QN, few=2, width=0.1).tolist()
    # exp(0.9 / 0.1) is e times exp(0.8 / 0.1).
    assert row == pytest.approx([0.731059, 0.268941, 0.0], abs=1e-6)


def test_the_caption_that_the_neighbours_agree_on() -> None:
    recall = animals()
    [(cat, agreed), (dog, _)] = Consensus(recall).choose([clip(2, 0), clip(-2, 0.1)], [[], []])
    assert (cat, dog) == ("a cat sits there", "a dog runs off")
    assert agreed > 2


def test_a_hypothesis_of_the_head_wins_where_people_agree_with_it_more() -> None:
    recall = Recall(2)
    recall.learn([clip(1, 0), clip(-1, 0)], [["a red cat sits", "a cat sits down"], DOG])
    [(without, less)] = Consensus(recall).choose([clip(1, 0)], [[]])
    [(found, more)] = Consensus(recall).choose([clip(1, 0)], [["a red cat sits down", "a dog"]])
    assert without != found == "a red cat sits down"
    assert more > less


def test_tuning_leaves_the_clips_own_source_out() -> None:
    """Two clips of one source are the nearest to each other and must not vouch for each other."""
    recall = animals()
    apart = tune(recall, ["a", "b", "c", "d"])
    assert apart > 1
    assert tune(recall, ["a", "a", "b", "b"]) < apart
    assert tune(recall, ["a"] * 4) == 0.0


def test_a_head_travels_with_what_it_recalls(tmp_path: Path) -> None:
    clips = [
        Example(name=str(i), feats_TD=feats_TD, captions=tuple(texts))
        for i, (feats_TD, texts) in enumerate(
            [(clip(1, 0), CAT), (clip(1, 0.1), CAT[:1]), (clip(-1, 0), DOG), (clip(-1, 0.2), DOG)]
        )
    ]
    vocabulary = Vocabulary.build([text for one in clips for text in one.captions], min_count=1)
    settings = {"cell": "gru", "hidden": 8, "embed": 4, "norm": "standard", "consensus": True}
    manifest = Manifest(
        task="caption",
        dim=2,
        head=settings,
        words=vocabulary.words,
        recipe={},
        frames={},
        encoder={},
        search={},
        trained={},
    )
    head = manifest.build()
    assert isinstance(head, CaptionHead)
    measure(head, clips)
    head.eval()
    save_head(tmp_path, head, manifest)
    again, _ = load_head(tmp_path)
    assert isinstance(again, CaptionHead)
    assert again.recall is not None
    assert again.recall.captions()[0] == CAT
    search = {"beam": 3, "max_words": 5, "length_penalty": 0.7}
    feats = [clip(3, 0), clip(-2, 0.1)]
    told = tell(again, vocabulary, feats, **search)
    assert told == tell(head, vocabulary, feats, **search)
    assert [one.caption for one in told] == ["a cat sits there", "a dog runs off"]


def test_captions_without_a_word_are_not_kept() -> None:
    head = CaptionHead(dim=2, words=6, hidden=4, embed=4, consensus=True)
    bare = Example(name="x", feats_TD=clip(1, 0), captions=("...", " "))
    with pytest.raises(ValueError, match=r"^head.consensus needs training captions with words"):
        measure(head, [bare])
    measure(head, [bare, Example(name="y", feats_TD=clip(0, 1), captions=("a cat", "!"))])
    assert head.recall is not None
    assert head.recall.captions() == [["a cat"]]
