"""Groups out of the names of clips: a regular expression says what must stay in one part.

Runs the expression in a process of its own, for a moment: some take longer than a life on a name of
thirty letters, and Python cannot stop them. Reads and writes nothing else.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from reelscribe.datasets.clip import Finding, Split

SECONDS = 20.0
"""What all names together may take; 100,000 take less than one."""

LEAST_GROUPS = 3
"""Of a class, or one of train, val and test goes without it."""

SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
found = [re.search(pattern, name) for name in names]
json.dump([match and match.group(1) for match in found], sys.stdout)
"""


def groups_of(names: Sequence[str], pattern: str) -> list[str]:
    """Return each name's group: what the first group of ``pattern`` matches, anywhere in it.

    Raises:
        ValueError: the pattern is none, has no group, leaves a name without one, puts all names
            into one, or does not come to an end.
    """
    check(pattern)
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-c", SEARCH],
            input=json.dumps([pattern, list(names)]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"data.groups: pattern {pattern!r} was not done with {len(names):,} names after "
            f"{SECONDS:.0f} s; a repeat within a repeat, as in (a+)+, may take forever: avoid it"
        ) from None
    found: list[str | None] = json.loads(ended.stdout)
    bare = [name for name, group in zip(names, found, strict=True) if not group]
    if bare:
        raise ValueError(
            f"data.groups: pattern {pattern!r} finds no group in {len(bare):,} of {len(names):,} "
            f"clips, first {bare[0]!r}; what is in no group cannot be kept together; fit all"
        )
    groups = [group for group in found if group]
    if len(set(groups)) == 1 and len(groups) > 1:
        raise ValueError(
            f"data.groups: pattern {pattern!r} puts all {len(groups):,} clips into one group, "
            f"{groups[0]!r}; a split needs three or more: let it tell sources apart"
        )
    return groups


def check(pattern: str) -> str:
    r"""Return a pattern that can be searched for, with a group: ``(.+)_c\d+``.

    Raises:
        ValueError: it is none.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression ({error})") from None
    if not compiled.groups:
        raise ValueError(
            f"pattern {pattern!r} has no group; put what clips of one source share into "
            r"parentheses, as in (.+)_c\d+"
        )
    return pattern


def about_classes(split: Split) -> Iterator[Finding]:
    """Say how many clips each class has, and which has too few groups for three parts."""
    if not split.labels:
        return
    clips = Counter(clip.label for clip in split.clips())
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for clip in split.clips():
        if clip.label is not None:
            groups[clip.label].add(clip.group)
    counts = tuple(f"{label}: {clips[label]:,}" for label in split.labels)
    yield Finding(level="note", text=f"{len(split.labels)} classes", examples=counts)
    few = [label for label in split.labels if len(groups[label]) < LEAST_GROUPS]
    if few:
        text = (
            f"{len(few)} classes have fewer than {LEAST_GROUPS} clips or groups: they cannot be in "
            "train, val and test"
        )
        yield Finding(level="warning", text=text, examples=tuple(few[:5]))
