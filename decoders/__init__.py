"""Heads over features: actions and captions.

To add a cell or a head: a class here, one line in its table. The tests run over both tables.
"""

from __future__ import annotations

CELLS = {
    "lstm": "reelscribe.decoders.cells:LSTM",
    "gru": "reelscribe.decoders.cells:GRU",
    "rnn": "reelscribe.decoders.cells:RNN",
    "transformer": "reelscribe.decoders.cells:Transformer",
    "none": "reelscribe.decoders.cells:NoMemory",
}
"""What reads a sequence of features: the name in a config -> "module:class"."""

HEADS = {
    "action": "reelscribe.decoders.action:ActionHead",
    "caption": "reelscribe.decoders.teller:create_teller",
}
"""What a task is answered by: the name in a config -> "module:class"."""

FAMILIES = {
    "attention": "reelscribe.decoders.caption:CaptionHead",
    "mean": "reelscribe.decoders.caption:MeanHead",
    "s2vt": "reelscribe.decoders.s2vt:S2VT",
    "transformer": "reelscribe.decoders.transformer:TransformerTeller",
}
"""How captions are written: ``head.family`` -> "module:class"."""
