"""The section of a config that is the head: of actions or of captions, told apart by ``task``.

Reads and writes nothing but to look whether a file that is named is there.
"""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from reelscribe.decoders import CELLS, FAMILIES
from reelscribe.pipeline.names import among
from reelscribe.pipeline.settings import (
    Count,
    Few,
    NotNegative,
    Settings,
    Share,
    Width,
    a_number,
)

CATEGORY = "category"
"""The side input that is no run."""


class _HeadConfig(Settings):
    cell: str = "lstm"
    hidden: Width = 512
    """Units of the cell, a direction."""
    layers: Few = 1
    bidirectional: bool = True
    dropout: Share = 0.5

    @field_validator("cell")
    @classmethod
    def _known(cls, value: str) -> str:
        return among(CELLS, value, "cell")


class ActionConfig(_HeadConfig):
    """A classifier: features -> one label."""

    task: Literal["action"]
    pool: Literal["last", "mean", "max", "attention"] = "attention"
    """How the states of all frames become one vector."""
    norm: Literal["layer", "standard", "motion", "steps"] = "layer"
    """What is done to the features first: ``layer`` normalises each frame by itself, ``standard``
    each dimension over the training frames, ``motion`` keeps what sets frames of a clip apart,
    ``steps`` also what sets a frame apart from the one before."""
    thin: Annotated[int, BeforeValidator(a_number), Field(ge=0, le=1_000_000)] = 0
    """Read this many of a clip's frames, at random moments while training; 0 reads all."""
    phases: Few = 1
    """With ``thin``: answer so many times, from other moments each time, and take the mean."""
    both_ways: bool = False
    """With ``data.reversed``: answer from the clip and its reverse together."""
    variational: bool = False
    """Dropout by one mask a clip, not one a frame, in front of the cell and between its layers."""

    @field_validator("phases")
    @classmethod
    def _with_thin(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and not info.data.get("thin"):
            raise ValueError(f"is {value} and head.thin is 0; set head.thin too, or leave it at 1")
        return value


class CaptionConfig(_HeadConfig):
    """A decoder: features -> one sentence."""

    task: Literal["caption"]
    family: str = "attention"
    """``attention`` looks at the frames anew for every word, ``mean`` is given their mean, ``s2vt``
    reads and writes with the same two layers, ``transformer`` writes with attention alone."""
    norm: Literal["layer", "standard", "motion"] = "layer"
    """What is done to the features first, as for actions; ``standard`` is better with few clips."""
    consensus: bool = False
    """Choose among the beam's hypotheses and the captions of training clips that look alike, by
    their agreement with these: where clips are few, people's words are the better guess."""
    embed: Width = 300
    """Width of a word's vector."""
    vectors: Path | None = None
    """A text file of word vectors (GloVe, word2vec) to start from; they are trained like others."""
    side: str | None = None
    """What is told of a clip beside its frames: ``category`` (MSR-VTT has them), or the folder of
    an action run on the same features, whose probabilities are."""
    min_count: Count = 2
    """Words that fewer training captions hold are unknown to the model."""
    max_words: Count = 24
    """Training captions are cut here; references are never cut when scoring."""
    beam: int | Literal["auto"] = 5
    """Sentences followed at a time; ``auto`` takes beam and length penalty by validation CIDEr."""
    length_penalty: NotNegative = 0.7
    """Exponent of the length by which a hypothesis' log-probability is divided."""
    no_repeat: Annotated[int, BeforeValidator(a_number), Field(ge=0, le=100)] = 0
    """No so many words in a row come twice in one caption; 0 lets all repeat."""

    @field_validator("vectors")
    @classmethod
    def _file(cls, value: Path | None) -> Path | None:
        if value is not None and not os.path.isfile(value):
            raise ValueError(f"{value} is no file (looked from {Path.cwd()})")
        return value

    @field_validator("side")
    @classmethod
    def _side(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == CATEGORY and info.data.get("consensus"):
            raise ValueError("category does not go with head.consensus; leave one of them out")
        if value not in (None, CATEGORY) and not os.path.isfile(os.path.join(value, "model.json")):
            raise ValueError(f"is {CATEGORY}, or the folder of an action run; got {value!r}")
        return value

    @field_validator("beam", mode="before")
    @classmethod
    def _beam(cls, value: object) -> object:
        number = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (number and 1 <= value <= 100):  # type: ignore[operator]
            raise ValueError(f"is a number from 1 to 100, or auto; got {value!r}")
        return value

    @field_validator("family")
    @classmethod
    def _family(cls, value: str, info: ValidationInfo) -> str:
        among(FAMILIES, value, "family")
        if value == "s2vt" and info.data.get("cell", "lstm") not in ("lstm", "gru", "rnn"):
            raise ValueError(
                f"s2vt has the cells lstm, gru and rnn, not {info.data['cell']}; "
                "set head.cell to one of these, or another family"
            )
        return value
