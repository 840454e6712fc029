"""Scores for actions and captions: the field's numbers, with floors and intervals beside them.

As a library, on plain dicts (docs/metrics.md has examples)::

    from reelscribe.pipeline.metrics import caption_card, score_captions

    scores = score_captions({"v1": "a dog runs"}, {"v1": ["a dog is running", "a dog runs"]})
    scores.corpus, scores.per_video, caption_card(scores)
"""

from reelscribe.pipeline.metrics.actions import ActionScores, score_actions
from reelscribe.pipeline.metrics.captions import METRICS, CaptionScores, score_captions
from reelscribe.pipeline.metrics.card import caption_card, versus
from reelscribe.pipeline.metrics.files import read_predictions, read_references
from reelscribe.pipeline.metrics.java import close
from reelscribe.pipeline.metrics.rewards import Rewards
from reelscribe.pipeline.metrics.running import CaptionMetric

__all__ = [
    "METRICS",
    "ActionScores",
    "CaptionMetric",
    "CaptionScores",
    "Rewards",
    "caption_card",
    "close",
    "read_predictions",
    "read_references",
    "score_actions",
    "score_captions",
    "versus",
]
