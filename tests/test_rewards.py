"""CIDEr-D as a reward: the idf of the whole set, whatever the batch."""

from __future__ import annotations

import pytest

from reelscribe.pipeline.metrics import Rewards

REFERENCES = {"v1": ["a cat sat"], "v2": ["a dog ran"], 3: ["a man sang"]}


def test_a_batch_of_one_video_is_rewarded() -> None:
    """Complaint 21 (pycocoevalcap#18, coco-caption#9): with a batch's own idf it stays 0."""
    rewards = Rewards(REFERENCES)
    alone = rewards(["v1"], ["a cat sat"])
    # One word of three is in every video and weighs nothing. 1 to 3 words: cosine 1; 4 words: none.
    assert alone == pytest.approx([10 * 3 / 4])
    batch = rewards([3, "v1", "v1"], ["a man sang", "a cat sat", "a dog ran"])
    assert batch == pytest.approx([7.5, 7.5, 0.0])


def test_ids_without_references() -> None:
    with pytest.raises(ValueError, match="1 of 2 ids have no references, first 'v9'; known are 3"):
        Rewards(REFERENCES)(["v1", "v9"], ["a", "b"])
    with pytest.raises(ValueError, match="1 captions for 2 videos"):
        Rewards(REFERENCES)(["v1", "v2"], ["a"])
