"""Self-critical training: a caption head learns from the score of what it writes itself.

Rennie et al. 2017, https://arxiv.org/abs/1612.00563: captions are drawn from the head; those with a
higher CIDEr-D than a baseline are made likelier, the others less likely. The baseline is the head's
greedy caption of the same clip, or the mean of the other captions drawn of it (Luo 2020,
https://arxiv.org/abs/2003.09971). Captions drawn at temperature 1 can be so much worse
than greedy's that learning from them lifts the draws and lowers what the head will say; below 1
they are nearer to it. Cross-entropy comes first: an untrained head draws nothing that any reference
would reward.
Reads and writes nothing.

Shapes: C clips, S captions drawn of each, B of all, L words, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from reelscribe.decoders.search import greedy, sample
from reelscribe.decoders.vocabulary import END, PAD, START, UNKNOWN, tokenise
from reelscribe.pipeline.metrics.rewards import Rewards
from reelscribe.pipeline.tasks import CaptionTask, Example

SAMPLES = 5
"""Captions that are drawn of each clip in a step."""


class SelfCritical:
    """The task of a caption head as the training loop sees it, with CIDEr-D in the loss's place."""

    measure = "CIDEr"

    def __init__(
        self, task: CaptionTask, *, baseline: str = "samples", temperature: float = 0.5
    ) -> None:
        self.task, self.head, self.baseline = task, task.head, baseline
        self.temperature = temperature
        self.rewards = Rewards(
            {
                i: [" ".join(tokenise(text)) for text in clip.captions]
                for i, clip in enumerate(task.train)
            }
        )
        self.number = {id(clip): i for i, clip in enumerate(task.train)}
        # As many captions a step as before, of fewer clips.
        self.clips = max(1, task.batch // SAMPLES)
        self.steps = -(-len(task.train) // self.clips)

    def batches(self, generator: torch.Generator) -> Iterator[list[Example]]:
        """Yield every training clip once."""
        order = torch.randperm(len(self.task.train), generator=generator).tolist()
        for first in range(0, len(order), self.clips):
            yield [self.task.train[i] for i in order[first : first + self.clips]]

    def names(self, batch: list[Example]) -> list[str]:
        """Return the ids of the clips."""
        return [clip.name for clip in batch]

    def loss(self, batch: list[Example]) -> Tensor:
        """Return minus the advantage over the baseline, times the log-probability a word."""
        self.head.eval()  # What is drawn and what it is measured by are of the whole network.
        feats_CTD, lengths_C = self.task.shelf.batch(batch)
        drawn, advantage_B = self._draw(batch, feats_CTD, lengths_C)
        self.head.train()
        feats_BTD = feats_CTD.repeat_interleave(SAMPLES, 0)
        lengths_B = lengths_C.repeat_interleave(SAMPLES, 0)
        logprobs_BL, counts_BL = self._logprobs(feats_BTD, lengths_B, drawn)
        return -(advantage_B[:, None] * logprobs_BL).sum() / counts_BL.sum()

    def validate(self) -> tuple[float, float]:
        """Return CIDEr-D of the greedy captions, and the cross-entropy a word."""
        return self.task.validate()

    def _draw(
        self, batch: list[Example], feats_CTD: Tensor, lengths_C: Tensor
    ) -> tuple[list[list[int]], Tensor]:
        """Return SAMPLES captions a clip, and by how much each is better than its baseline."""
        limit = self.task.max_words
        drawn = sample(
            self.head,
            feats_CTD.repeat_interleave(SAMPLES, 0),
            lengths_C.repeat_interleave(SAMPLES, 0),
            max_words=limit,
            temperature=self.temperature,
        )
        rewards_CS = self._rewards(batch, drawn).view(len(batch), SAMPLES)
        if self.baseline == "samples":
            base_CS = (rewards_CS.sum(1, keepdim=True) - rewards_CS) / (SAMPLES - 1)
        else:
            first = greedy(self.head, feats_CTD, lengths_C, max_words=limit)
            base_CS = self._rewards(batch, [one.words for one in first])[:, None]
        return drawn, (rewards_CS - base_CS).flatten().to(self.task.device)

    def _rewards(self, batch: list[Example], said: Sequence[Sequence[int]]) -> Tensor:
        """Return CIDEr-D of as many captions of each clip as there are, clip after clip."""
        each, words = len(said) // len(batch), self.task.vocabulary.words
        numbers = [self.number[id(clip)] for clip in batch for _ in range(each)]
        texts = [" ".join(words[i] for i in one) for one in said]
        return torch.from_numpy(self.rewards(numbers, texts)).float()

    def _logprobs(
        self, feats_BTD: Tensor, lengths_B: Tensor, drawn: list[list[int]]
    ) -> tuple[Tensor, Tensor]:
        """Return the log-probability of each word that was drawn, and True where there is one."""
        # An END behind the last word allowed was no choice, so it is not learnt from.
        limit = self.task.max_words
        rows = [torch.tensor([START, *words, END][: limit + 1]) for words in drawn]
        words_BL = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.task.device)
        targets_BL = words_BL[:, 1:]
        logits_BLV = self.head(feats_BTD, lengths_B, words_BL[:, :-1]) / self.temperature
        never = torch.zeros_like(logits_BLV, dtype=torch.bool)
        never[..., [PAD, START, UNKNOWN]] = True
        never[:, 0, END] = True
        chosen_BL1 = logits_BLV.masked_fill(never, -torch.inf).log_softmax(2)
        there_BL = targets_BL != PAD
        picked_BL = chosen_BL1.gather(2, targets_BL.masked_fill(~there_BL, END)[..., None])[..., 0]
        return picked_BL.masked_fill(~there_BL, 0.0), there_BL
