"""Captions to words and words to numbers.

Reads captions as they were published, writes nothing. The words are those that the caption metrics
count: Stanford's Penn Treebank tokeniser, lower-cased, without punctuation, which is what
pycocoevalcap runs before it scores. Here it is written as one regular expression, so that neither
training nor prediction starts a Java process.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PAD = 0
"""Fills the places behind a caption's end; never counted, never written."""
START = 1
"""What the writer is given before the first word; never written."""
END = 2
"""Closes a caption."""
UNKNOWN = 3
"""Stands for a word that the vocabulary does not have; read in training, never written."""
SPECIALS = ("<pad>", "<start>", "<end>", "<unknown>")

# pycocoevalcap drops these tokens. Brackets are not among them: the tokeniser writes them as
# -lrb-, and the list of pycocoevalcap has them in capitals.
_DROPPED = frozenset("'`.?!,:-;\"")
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2013\u2014\u2015", " - "),
        "\u2026": "...",
        "\u00a0": " ",
    }
)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}

_WRITTEN = {token: bracket for bracket, token in _BRACKETS.items()}
_JOINED = re.compile(r" (n't|'(?:s|m|d|re|ve|ll))(?!\S)")

# Each keeps its full stop. Found by giving every word of MSR-VTT and MSVD, with a full stop behind
# it, to the tokeniser; the second list does so only with a capital ("Miss.", but not "miss.").
_ABBREVIATIONS = (
    "adm al ala alex apr ariz assn asst aug ave bldg blvd bros calif capt cf cmdr co col colo conn "
    "corp cos cpl ct dak dec dept dr drs esq est etc ext feb fla fri ft ga gen gov govs hon inc "
    "ind insp intl jan jr jul jun kan kans ky lt ltd maj mar md messrs mich minn mlle mme mo mon "
    "mont mr mrs ms mt neb nev nov oct okla penn plc pres prof profs rd rep reps rev rt sen sens "
    "sep sept sgt sq sr st ste supt sys tel tenn thu thurs tue tues univ va vs vt wed wis wisc wyo"
)
_CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"

# A single letter's full stop belongs to it ("J. K. Rowling") unless a sentence begins behind it.
_OPENERS = "A|An|And|As|At|But|He|His|I|If|In|It|On|She|So|That|The|Then|There|They|This|To|We|You"

# Nearly every caption of MSR-VTT and MSVD is letters and spaces: no need to look further.
_SIMPLE = re.compile(r"(?:(?!\b(?:cannot|gonna|wanna|gotta|lemme|gimme)\b)[a-z\s])*")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")

_LETTER = r"[^\W\d_]"
_TOKEN = re.compile(
    rf"""
      (?i:\b(?:can(?=not\b)|gon(?=na\b)|wan(?=na\b)|got(?=ta\b)|lem(?=me\b)|gim(?=me\b)))
    | (?i:(?<!\w)'t(?=is\b|was\b))
    | https?://\S+ | www\.\S+
    | <unk> | </?[A-Za-z][A-Za-z0-9]*>
    | (?i:n['`]t)(?!\w)                                         # don't -> do n't
    | (?i:'(?:s|m|d|re|ve|ll))(?!\w)                            # it's  -> it 's
    | (?i:\bo'clock\b | \b(?:o|d|l|c)'{_LETTER}{{2,}} | \bma'am\b | \b(?:ne|o|e)'er\b)
    | (?i:(?<!\w)'(?:n'?|em|cause|til|bout|round)(?!\w)) | (?<!\w)'\d0s\b
    | (?i:\b(?:{"|".join(_ABBREVIATIONS.split())})\.(?!\w))
    | \b(?:{"|".join(_CAPITAL_ABBREVIATIONS.split())})\.(?!\w)
    | (?i:\bno)\.(?=\s*\d) | (?i:\bph\.d\b\.?)
    | \b{_LETTER}(?:\.{_LETTER})+\b\.? | (?<![\w'])[A-Za-z]\.(?!\w)(?!\s+(?:{_OPENERS})\b)
    | [A-Z]+(?:&[A-Z]+)+\b | [MmRr]&[Mm](?=['s])                # AT&T, but r & b
    | [\w.+-]*\w@\w[\w.-]*\w | @\w+ | \#[^\W\d]\w*              # mail, @user, #tag
    | \d+:\d\d(?=[ap]m\b)                                       # 5:30pm -> 5:30 pm
    | (?<![\w/])[+-]?\d+(?:[.,:/-]\d+)*(?:-\w+)*(?![^\W_]|[-/]\w) | (?<!\w)\.\d+
    | \w+?(?=n['`]t(?!\w))                                      # what stands before n't
    | \w+(?:(?:[-/]|(?<=[^\W\d_])\.(?={_LETTER}))\w+)*(?:(?<=[Cc])(?:\+\+|\#))?
    | \?[?!]+ | ![?!]+ | \*+
    | \S
    """,
    re.VERBOSE,
)


def tokenise(caption: str) -> tuple[str, ...]:
    """Return the words of ``caption`` as the caption metrics count them.

    Lower case, no punctuation, Penn Treebank contractions: ``"It's a dog."`` becomes
    ``("it", "'s", "a", "dog")`` and ``"don't"`` becomes ``("do", "n't")``.
    """
    if _SIMPLE.fullmatch(caption):
        return tuple(caption.split())
    text = _BEYOND.sub(" ", caption.translate(_PLAIN))
    for entity, plain in _ENTITIES.items():
        text = text.replace(entity, plain)
    words = (_BRACKETS.get(word, word) for word in _TOKEN.findall(text))
    return tuple(word.lower() for word in words if word not in _DROPPED)


def written(words: Iterable[str]) -> str:
    """Return the words of a caption as one writes them: the other way round than ``tokenise``."""
    return _JOINED.sub(r"\1", " ".join(_WRITTEN.get(word, word) for word in words))


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The words that a caption head knows; a word's place is its number."""

    words: tuple[str, ...]
    """SPECIALS first, then words by count."""

    def __post_init__(self) -> None:
        if self.words[: len(SPECIALS)] != SPECIALS:
            raise ValueError(
                f"a vocabulary begins with {', '.join(SPECIALS)}; "
                f"this one with {', '.join(map(str, self.words[:4])) or 'nothing'}"
            )
        twice = [word for word, count in Counter(self.words).items() if count > 1]
        if twice:
            raise ValueError(f"a vocabulary has each word once; this one has {twice[0]!r} twice")

    @classmethod
    def build(cls, captions: Iterable[str], *, min_count: int) -> Vocabulary:
        """Return the words that come ``min_count`` times or more, the frequent first.

        Words that come equally often are in alphabetical order. Give it training captions alone: a
        word out of the test part is an answer given away.

        Raises:
            ValueError: ``min_count`` is below 1, or no word comes so often.
        """
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        counts = Counter(word for caption in captions for word in tokenise(caption))
        # "<unk>" in a caption is a word like any other, but a special's own name is not.
        kept = [
            word
            for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            if count >= min_count and word not in SPECIALS
        ]
        if not kept:
            most = max(counts.values(), default=0)
            raise ValueError(
                f"no word comes {min_count} times or more in the captions (the most frequent: "
                f"{most}); lower min_count or check the captions"
            )
        return cls(words=(*SPECIALS, *kept))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, caption: str, max_words: int) -> list[int]:
        """Return START, the numbers of the first ``max_words`` words, END."""
        words = tokenise(caption)[:max_words]
        return [START, *(self._numbers.get(word, UNKNOWN) for word in words), END]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the caption up to END, specials left out, as one writes it.

        ``it 's`` becomes ``it's`` and ``-lrb-`` a bracket; ``tokenise`` gives the words back.
        """
        ended = ids[: ids.index(END)] if END in ids else ids
        return written(self.words[i] for i in ended if i >= len(SPECIALS))

    def to_json(self) -> str:
        """Return the list of words as JSON."""
        return json.dumps(self.words, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Return the vocabulary that ``to_json`` wrote.

        Raises:
            ValueError: the text is not a list of words that begins with SPECIALS.
        """
        try:
            words = json.loads(text)
        except json.JSONDecodeError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("a vocabulary is a JSON list of words; build it again by training")
        return cls(words=tuple(words))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        # Without the specials: a caption that says "<end>" does not end there.
        start = len(SPECIALS)
        return {word: number for number, word in enumerate(self.words[start:], start)}
