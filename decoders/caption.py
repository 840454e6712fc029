"""The caption head: reads a clip's features, then writes a sentence about them word by word.

Reading is a cell over the frames. Writing is a recurrent cell that at every word looks at the
states through soft attention (SA-LSTM, Yao et al. 2015, https://arxiv.org/abs/1502.08029). With the
cell ``none``, or in the family ``mean``, it is given the mean of the frames instead (MP-LSTM,
Venugopalan et al. 2015, https://arxiv.org/abs/1412.4729).

Shapes: B clips, T frames, D features a frame, L words, V words of the vocabulary, E values of a
word's embedding, H values of a reader's state, W of a writer's, A of an attention key.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from reelscribe.decoders.cells import create_cell, frame_mask, init_recurrent
from reelscribe.decoders.teller import Given, Teller, refuse_words
from reelscribe.decoders.vocabulary import PAD

WRITERS: dict[str, type[nn.RNNCellBase]] = {"rnn": nn.RNNCell, "gru": nn.GRUCell}
"""What writes, by the name of the cell that reads; an LSTM writes for all others."""


class State(NamedTuple):
    """All that the next word depends on but for the word before it; one row a sentence."""

    hidden_BW: Tensor
    """What the writer says."""
    memory_BW: Tensor
    """What an LSTM keeps to itself; unused by the others."""
    states_BTH: Tensor
    """What the reader made of the frames."""
    keys_BTA: Tensor
    """The reader's states as the attention compares them."""
    mask_BT: Tensor
    """True on a clip's own frames."""

    def select(self, rows_N: Tensor) -> State:
        """Return the state of the sentences ``rows_N``, in that order; one may come twice."""
        return State(*(part[rows_N] for part in self))


class CaptionHead(Teller):
    """Features (B, T, D) in, sentences out: ``forward`` trains, ``begin`` and ``step`` write."""

    reads: ClassVar[str | None] = None
    """The cell that reads, where it is another than the one that writes."""

    def __init__(
        self,
        *,
        dim: int,
        words: int,
        cell: str = "lstm",
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
            self.reads or cell,
            dim=hidden,
            hidden=hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        width = self.reader.out_dim

        self.embed = nn.Embedding(words, embed, padding_idx=PAD)
        self.attend_key = nn.Linear(width, hidden)
        self.attend_query = nn.Linear(hidden, hidden, bias=False)
        self.attend_score = nn.Linear(hidden, 1, bias=False)
        self.first_hidden = nn.Linear(width, hidden)
        self.first_memory = nn.Linear(width, hidden)
        self.writer = WRITERS.get(cell, nn.LSTMCell)(embed + width, hidden)  # type: ignore[call-arg]
        init_recurrent(self.writer, hidden)
        self.blend = nn.Linear(hidden + width + embed, hidden)
        self.say = nn.Linear(hidden, words)

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor, words_BL: Tensor) -> Tensor:
        """Return logits_BLV: those at l are for word l + 1, given the true words up to l.

        ``words_BL`` begins with START and is filled up with PAD.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """
        refuse_words(words_BL, len(feats_BTD))
        state = self.begin(feats_BTD, lengths_B)
        embedded_BLE = self.dropout(self.embed(words_BL))
        said, seen = [], []
        for embedded_BE in embedded_BLE.unbind(dim=1):
            state, context_BH, _ = self._advance(embedded_BE, state)
            said.append(state.hidden_BW)
            seen.append(context_BH)
        # The widest product, over the vocabulary, is done once for all words.
        return self._logits(torch.stack(said, 1), torch.stack(seen, 1), embedded_BLE)

    def begin(self, feats_BTD: Tensor, lengths_B: Tensor) -> State:
        """Read the clips; return the state before the first word.

        Raises:
            ValueError: the shapes do not fit, or a length is not within 1 to T.
        """
        mask_BT = frame_mask(feats_BTD, lengths_B, dim=self.dim)
        projected_BTH = self.project(self.dropout(self.norm(feats_BTD, mask_BT)))
        states_BTH = self.reader(projected_BTH, lengths_B)
        mean_BH = states_BTH.sum(dim=1) / mask_BT.sum(dim=1, keepdim=True)
        return State(
            hidden_BW=torch.tanh(self.first_hidden(mean_BH)),
            memory_BW=torch.tanh(self.first_memory(mean_BH)),
            states_BTH=states_BTH,
            keys_BTA=self.attend_key(states_BTH),
            mask_BT=mask_BT,
        )

    def step(self, words_B: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        """Take one more word; return logprobs_BV of the next, the new state, attention_BT."""
        embedded_BE = self.dropout(self.embed(words_B))
        state, context_BH, attention_BT = self._advance(embedded_BE, state)
        logits_BV = self._logits(state.hidden_BW, context_BH, embedded_BE)
        return logits_BV.float().log_softmax(dim=1), state, attention_BT

    def _advance(self, embedded_BE: Tensor, state: State) -> tuple[State, Tensor, Tensor]:
        """Return the state after a word, the context that the word was taken in, attention_BT."""
        attention_BT = self._attend(state)
        context_BH = torch.bmm(attention_BT[:, None, :], state.states_BTH).squeeze(1)
        inputs_BI = torch.cat((embedded_BE, context_BH), dim=1)
        if isinstance(self.writer, nn.LSTMCell):
            hidden_BW, memory_BW = self.writer(inputs_BI, (state.hidden_BW, state.memory_BW))
        else:
            hidden_BW, memory_BW = self.writer(inputs_BI, state.hidden_BW), state.memory_BW
        return state._replace(hidden_BW=hidden_BW, memory_BW=memory_BW), context_BH, attention_BT

    def _attend(self, state: State) -> Tensor:
        """Return attention_BT: it sums to 1 over a clip's own frames."""
        if not self.reader.remembers:
            return state.mask_BT / state.mask_BT.sum(dim=1, keepdim=True)
        query_BA = self.attend_query(state.hidden_BW)
        scores_BT: Tensor = self.attend_score(
            torch.tanh(state.keys_BTA + query_BA[:, None])
        ).squeeze(2)
        return scores_BT.masked_fill(~state.mask_BT, -torch.inf).softmax(dim=1)

    def _logits(self, hidden_W: Tensor, context_H: Tensor, embedded_E: Tensor) -> Tensor:
        """Return logits over V for any leading dimensions."""
        blended_W = torch.tanh(self.blend(torch.cat((hidden_W, context_H, embedded_E), dim=-1)))
        logits_V: Tensor = self.say(self.dropout(blended_W))
        return logits_V


class MeanHead(CaptionHead):
    """The family ``mean``: what writes is given the mean of the frames, whatever their order.

    Its writer is of the kind that ``cell`` names, so that cells can be compared within the family.
    """

    reads = "none"
