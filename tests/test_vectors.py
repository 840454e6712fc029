"""Word vectors of text files: what is read, and the line that is named where one is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reelscribe.decoders.vectors import fill, read_vectors

GLOVE = "the 0.5 -1 2\ncat 1 2 3\n. . 7 8 9\ncat 9 9 9\n5 0.1 0.2 0.3\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("head", ["", "5 3\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_words_are_found_with_their_numbers(tmp_path: Path, head: str, end: str) -> None:
    path = write(tmp_path, (head + GLOVE).replace("\n", end))
    found = read_vectors(path, ["cat", "dog", ". .", "5"], 3)
    # Of "cat" the first; "dog" is not there, and "the" was not asked for.
    values = {word: [round(float(x), 6) for x in vector_E] for word, vector_E in found.items()}
    assert values == {"cat": [1, 2, 3], ". .": [7, 8, 9], "5": [0.1, 0.2, 0.3]}
    weight_VE = torch.zeros(3, 3)
    fill(weight_VE, {"cat": 2, ". .": 1, "5": 0}, found)
    assert weight_VE[2].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "width", "says"),
    [
        (GLOVE, 2, r", line 1 has 3 numbers and head\.embed is 2; set head\.embed"),
        (GLOVE, 4, r", line 1 has 3 numbers and head\.embed is 4"),
        ("5 300\n" + GLOVE, 3, r", line 1 has 300 numbers and head\.embed is 3"),
        ("the 1 2 3\ncat 1 2\n", 3, r", line 2 has 2 numbers and head\.embed is 3"),
        ("the 1 2 3\ncat 1 2 3 4\n", 3, r", line 2 has 4 numbers and head\.embed is 3"),
        ("the 1 2 3\ncat 1 x 3\n", 3, r", line 2: 'cat 1 x 3' ... is no word and 3 numbers"),
        ("the 1 2 3\n\ncat 1 2 3\n", 3, r", line 2 has 0 numbers"),
        ("the 1 2 3\ncat 1 nan 3\n", 3, r", line 2: 'cat' has a number that is none or endless"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, text: str, width: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_vectors(write(tmp_path, text), ["cat"], width)


def test_bytes_that_are_no_text_are_words_nobody_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"\xff\xfe 1 2\nnext\xc2\x85line 5 6\ncat 3 4\n")
    assert list(read_vectors(path, ["cat"], 2)) == ["cat"]
