"""Word vectors from a text file, as GloVe and word2vec publish them: a word, then its numbers.

https://nlp.stanford.edu/projects/glove/, https://code.google.com/archive/p/word2vec/. Reads one
line after another, so a file of gigabytes needs no memory; writes nothing. word2vec's first line
(how many words, how many numbers) may be there. A word may hold spaces (GloVe 840B has ". . .").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor


def read_vectors(path: Path, words: Collection[str], width: int) -> dict[str, Tensor]:
    """Return the vectors of those of ``words`` that the file has; of one named twice the first.

    Every line is checked, also of words that nobody asked for: a damaged file is not half read.

    Raises:
        ValueError: a line is damaged or has another width; names it.
    """
    wanted = set(words)
    found: dict[str, Tensor] = {}
    # Only "\n" ends a line: GloVe's words hold other marks that Python would take for one.
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\r\n ").split(" ")
            if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
                _refuse_width(path, number, int(fields[1]), width)
                continue
            if len(fields) <= width or any(map(_is_number, fields[1:-width])):
                _refuse_width(path, number, len(fields) - 1, width)
            if not all(map(_is_number, fields[-width:])):
                raise ValueError(
                    f"{path}, line {number}: {line[:40].strip()!r} ... is no word and {width} "
                    "numbers; the file is damaged, take it from its source again"
                )
            word = " ".join(fields[:-width])
            if word in wanted and word not in found:
                vector_E = torch.tensor([float(field) for field in fields[-width:]])
                if not bool(torch.isfinite(vector_E).all()):
                    raise ValueError(
                        f"{path}, line {number}: {word!r} has a number that is none or endless"
                    )
                found[word] = vector_E
    return found


def fill(weight_VE: Tensor, words: Mapping[str, int], vectors: Mapping[str, Tensor]) -> None:
    """Put vectors into the rows of their words; ``words`` gives each word's row."""
    with torch.no_grad():
        for word, vector_E in vectors.items():
            weight_VE[words[word]] = vector_E.to(weight_VE)


def _refuse_width(path: Path, number: int, found: int, width: int) -> None:
    if found != width:
        raise ValueError(
            f"{path}, line {number} has {found} numbers and head.embed is {width}; "
            "set head.embed to the file's width"
        )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
