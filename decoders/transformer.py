"""A transformer that writes: words look at the words before them, then at the clip's frames.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, norms first, as torch's TransformerDecoder
has it. Frames are read by the cell that ``cell`` names: ``transformer`` for attention alone. While
a caption is written, all of it is read again for each word: sentences are short, and so writing
is by the very path that was trained.

Shapes: B clips, T frames, D features a frame, L words, V words of the vocabulary, E values of a
word's embedding, H values of a reader's state, W of a word's.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn

from reelscribe.decoders.attention import layer_settings, sinusoids
from reelscribe.decoders.cells import create_cell, frame_mask
from reelscribe.decoders.teller import Given, Teller, refuse_words
from reelscribe.decoders.vocabulary import PAD


class Page(NamedTuple):
    """What was read and what is written so far; one row a sentence."""

    states_BTW: Tensor
    """What the reader made of the frames, as wide as a word."""
    mask_BT: Tensor
    """True on a clip's own frames."""
    words_BL: Tensor
    """The words so far, START first; none before the first step."""

    def select(self, rows_N: Tensor) -> Page:
        """Return the state of the sentences ``rows_N``, in that order; one may come twice."""
        return Page(*(part[rows_N] for part in self))


class TransformerTeller(Teller):
    """Features (B, T, D) in, sentences out: ``forward`` trains, ``begin`` and ``step`` write."""

    def __init__(
        self,
        *,
        dim: int,
        words: int,
        cell: str = "transformer",
        hidden: int = 512,
        embed: int = 300,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.5,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(dim=dim, words=words, embed=embed, dropout=dropout, **given)
        self.project = nn.Linear(self.norm.out_dim, hidden)
        self.reader = create_cell(
            cell,
            dim=hidden,
            hidden=hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.show = nn.Linear(self.reader.out_dim, hidden)
        self.embed = nn.Embedding(words, embed, padding_idx=PAD)
        self.lift = nn.Linear(embed, hidden)
        layer = nn.TransformerDecoderLayer(**layer_settings(hidden, dropout))
        self.net = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(hidden))
        self.say = nn.Linear(hidden, words)

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> Tensor:
        """Return logits_BLV: those at l are for word l + 1, given the true words up to l."""
        refuse_words(words_BL, len(feats_BTD))
        written_BLW, _ = self._write(words_BL, self.begin(feats_BTD, lengths_B))
        logits_BLV: Tensor = self.say(self.dropout(written_BLW))
        return logits_BLV

    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> Page:
        """Read the clips; return the state before the first word."""
        mask_BT = frame_mask(feats_BTD, lengths_B, dim=self.dim)
        projected_BTW = self.project(self.dropout(self.norm(feats_BTD, mask_BT)))
        states_BTW = self.show(self.reader(projected_BTW, lengths_B))
        none_B0 = lengths_B.new_zeros(len(lengths_B), 0)
        return Page(states_BTW, mask_BT, none_B0.to(feats_BTD.device))

    def step(self, words_B: Tensor, state: Page) -> tuple[Tensor, Page, Tensor]:
        """Take one more word; return logprobs_BV of the next, the new state, attention_BT."""
        words_BL = torch.cat((state.words_BL, words_B[:, None]), dim=1)
        written_BLW, before_BLW = self._write(words_BL, state)
        logits_BV: Tensor = self.say(written_BLW[:, -1])
        attention_BT = self._look(before_BLW, state)
        return logits_BV.float().log_softmax(dim=1), state._replace(words_BL=words_BL), attention_BT

    def _write(self, words_BL: Tensor, state: Page) -> tuple[Tensor, Tensor]:
        """Return what is written at each word, and what the last layer was given."""
        places_LW = sinusoids(words_BL.shape[1], self.say.in_features)
        words_BLW = self.lift(self.dropout(self.embed(words_BL)))
        found_BLW = given_BLW = words_BLW + places_LW.to(words_BLW)
        for layer in self.net.layers:
            given_BLW = found_BLW
            found_BLW = layer(
                given_BLW,
                state.states_BTW,
                tgt_mask=_later(words_BL),
                memory_key_padding_mask=~state.mask_BT,
            )
        assert self.net.norm is not None
        return self.net.norm(found_BLW), given_BLW

    def _look(self, given_BLW: Tensor, state: Page) -> Tensor:
        """Return attention_BT of the last word in the last layer, the mean of its heads.

        The layer keeps its weights to itself, so its first half is gone through once more.
        """
        layer = self.net.layers[-1]
        assert isinstance(layer, nn.TransformerDecoderLayer)
        normed_BLW = layer.norm1(given_BLW)
        said_B1W, _ = layer.self_attn(normed_BLW[:, -1:], normed_BLW, normed_BLW)
        query_B1W = layer.norm2(given_BLW[:, -1:] + said_B1W)
        _, attention_B1T = layer.multihead_attn(
            query_B1W, state.states_BTW, state.states_BTW, key_padding_mask=~state.mask_BT
        )
        attention_BT: Tensor = attention_B1T[:, 0]
        return attention_BT


def _later(words_BL: Tensor) -> Tensor:
    """Return mask_LL, True where a word comes later than the one that looks."""
    places = words_BL.shape[1]
    return torch.ones(places, places, dtype=torch.bool, device=words_BL.device).triu(1)
