"""The Penn Treebank tokenizer of the caption protocol, in one Java process that is kept.

Reads the jar that pycocoevalcap ships; writes nothing. Flags and dropped tokens are those of
pycocoevalcap's ``PTBTokenizer``, so the tokens are the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from reelscribe.pipeline.metrics.java import (
    TIME_LIMIT,
    JavaError,
    Program,
    Talk,
    jar,
    java,
    one_line,
)

PUNCTUATION = frozenset(
    """'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;""".split()  # noqa: SIM905 - legible
)
"""Tokens that the protocol drops: the list of pycocoevalcap's ``PTBTokenizer``, to the letter."""

# The tokenizer looks past the end of a line and keeps its answers back until its buffers (three of
# 8 KiB) are full. So every call is followed by lines that push its answers out; those that come
# out late are what the next call reads first.
_PADDING = "x" * 63
_PADDING_LINES = 700


def tokenize(captions: Sequence[str], *, limit: float = TIME_LIMIT) -> list[str]:
    """Tokenise as the Penn Treebank does, lower the case and drop punctuation.

    The process that does it lives on for the next call, see ``metrics/java.py``. A caption with
    line ends in it stays one caption.

    Returns:
        One string a caption, tokens parted by a space; empty where nothing but punctuation is.

    Raises:
        JavaError: Java or the jar is not there, failed, or took more than ``limit`` seconds.
    """
    if not captions:
        return []
    with PROGRAM.call(limit) as talk:
        late = talk.sent - talk.answered
        talk.send([*map(one_line, captions), *[_PADDING] * _PADDING_LINES])
        padding = [_answer(talk) for _ in range(late)]
        answers = [_answer(talk) for _ in captions]
        # One line of the padding as well: it tells whether lines and answers are still in step.
        if {*padding, _answer(talk)} != {_PADDING}:
            raise JavaError("the PTB tokenizer did not give one line for each caption")
    return [_without_punctuation(line) for line in answers]


def _answer(talk: Talk) -> str:
    line = talk.line()
    if line is None:
        raise JavaError(f"the PTB tokenizer stopped {talk.complaint()}")
    return line


def _command() -> list[str]:
    return [
        java(),
        # It starts and is done before a thorough compiler would pay.
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512M"),
        *("-cp", jar("pycocoevalcap.tokenizer.ptbtokenizer", "stanford-corenlp-3.4.1.jar")),
        *("edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"),
    ]


PROGRAM = Program("the PTB tokenizer", _command)


def _without_punctuation(line: str) -> str:
    return " ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION)
