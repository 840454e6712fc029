"""Sequence to sequence: two recurrent layers read the frames, and the same two then write.

Venugopalan et al. 2015, "Sequence to Sequence - Video to Text", https://arxiv.org/abs/1505.00487.
The first layer gets the frames, and behind them zeros; the second gets what the first says beside a
word, which while reading is zeros. There is no attention: all that is known of a clip is in the
states at its last frame.

Shapes: B clips, T frames, D features a frame, L words, V words, E values of a word's embedding,
H values of a state.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from reelscribe.decoders.cells import frame_mask, init_recurrent
from reelscribe.decoders.teller import Given, Teller, refuse_words
from reelscribe.decoders.vocabulary import PAD

NETWORKS: dict[str, type[nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Memory(NamedTuple):
    """What both layers know; one row a sentence."""

    first_BH: Tensor
    first_cell_BH: Tensor
    """What an LSTM keeps to itself; unused by the others."""
    second_BH: Tensor
    second_cell_BH: Tensor
    mask_BT: Tensor
    """True on a clip's own frames."""

    def select(self, rows_N: Tensor) -> Memory:
        """Return the state of the sentences ``rows_N``, in that order; one may come twice."""
        return Memory(*(part[rows_N] for part in self))


class S2VT(Teller):
    """Features (B, T, D) in, sentences out, through one stack of two layers.

    It reads forwards only, with one layer each for frames and words: ``bidirectional`` and
    ``layers`` are taken, so that a config changes its family in one word, and not used.
    """

    def __init__(
        self,
        *,
        dim: int,
        words: int,
        cell: str = "lstm",
        hidden: int = 512,
        embed: int = 300,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.5,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(dim=dim, words=words, embed=embed, dropout=dropout, **given)
        if cell not in NETWORKS:
            raise ValueError(
                f"family s2vt has the cells {', '.join(NETWORKS)}, not {cell!r}; "
                "take one of these or another family"
            )
        self.hidden = hidden
        self.project = nn.Linear(self.norm.out_dim, hidden)
        self.embed = nn.Embedding(words, embed, padding_idx=PAD)
        self.first = NETWORKS[cell](hidden, hidden, batch_first=True)  # type: ignore[call-arg, arg-type]
        self.second = NETWORKS[cell](hidden + embed, hidden, batch_first=True)  # type: ignore[call-arg, arg-type]
        for net in (self.first, self.second):
            init_recurrent(net, hidden)
        self.say = nn.Linear(hidden, words)

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> Tensor:
        """Return logits_BLV: those at l are for word l + 1, given the true words up to l."""
        refuse_words(words_BL, len(feats_BTD))
        logits_BLV, _ = self._write(words_BL, self.begin(feats_BTD, lengths_B))
        return logits_BLV

    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> Memory:
        """Read the clips; return the state before the first word."""
        mask_BT = frame_mask(feats_BTD, lengths_B, dim=self.dim)
        feats_BTD = feats_BTD.masked_fill(~mask_BT[:, :, None], 0.0)
        inputs_BTH = self.project(self.dropout(self.norm(feats_BTD, mask_BT)))
        first_BTH, first_BH, first_cell_BH = self._read(self.first, inputs_BTH, mask_BT)
        silent_BTE = first_BTH.new_zeros(*first_BTH.shape[:2], self.embed.embedding_dim)
        inputs_BTI = torch.cat((self.dropout(first_BTH), silent_BTE), dim=2)
        _, second_BH, second_cell_BH = self._read(self.second, inputs_BTI, mask_BT)
        return Memory(first_BH, first_cell_BH, second_BH, second_cell_BH, mask_BT)

    def step(self, words_B: Tensor, state: Memory) -> tuple[Tensor, Memory, Tensor]:
        """Take one more word; return logprobs_BV, the new state, and attention_BT: all alike."""
        logits_BLV, state = self._write(words_B[:, None], state)
        alike_BT = state.mask_BT / state.mask_BT.sum(dim=1, keepdim=True)
        return logits_BLV[:, 0].float().log_softmax(dim=1), state, alike_BT

    def _write(self, words_BL: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        """Return logits_BLV and the state behind the last word."""
        silent_BLH = state.first_BH.new_zeros(*words_BL.shape, self.hidden)
        first_BLH, first = self.first(silent_BLH, self._start(state.first_BH, state.first_cell_BH))
        words_BLE = self.dropout(self.embed(words_BL))
        inputs_BLI = torch.cat((self.dropout(first_BLH), words_BLE), dim=2)
        start = self._start(state.second_BH, state.second_cell_BH)
        second_BLH, second = self.second(inputs_BLI, start)
        memory = Memory(*_parts(first), *_parts(second), state.mask_BT)
        return self.say(self.dropout(second_BLH)), memory

    def _start(self, state_BH: Tensor, cell_BH: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        state_1BH = state_BH[None].contiguous()
        return (state_1BH, cell_BH[None].contiguous()) if self._is_lstm else state_1BH

    @property
    def _is_lstm(self) -> bool:
        return isinstance(self.first, nn.LSTM)

    def _read(
        self, net: nn.RNNBase, inputs_BTI: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the states, and state and cell at each clip's own last frame."""
        packed = pack_padded_sequence(
            inputs_BTI, mask_BT.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
        )
        found, last = net(packed)
        states_BTH, _ = pad_packed_sequence(
            found, batch_first=True, total_length=inputs_BTI.shape[1]
        )
        return states_BTH, *_parts(last)


def _parts(last: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return state_BH and cell_BH; where there is no cell, the state stands in for it."""
    state_1BH, cell_1BH = last if isinstance(last, tuple) else (last, last)
    return state_1BH[0], cell_1BH[0]
