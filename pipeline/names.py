"""Find an encoder, head, dataset or metric by the name a config gives it.

A table is a literal dict ``name -> "module:attribute"``: it can be read and searched, only what is
used is imported, and no order of imports decides what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any


def guess(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for a near miss, else the empty string."""
    near = get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def among(table: Iterable[str], name: str, kind: str) -> str:
    """Return ``name`` where ``table`` has it.

    Raises:
        ValueError: it does not; the message lists what it has.
    """
    if name not in table:
        raise ValueError(f"no {kind} {name!r}; there are: {', '.join(table)}{guess(name, table)}")
    return name


def resolve(table: Mapping[str, str], name: str, kind: str) -> Any:
    """Import what ``table`` holds under ``name``.

    Raises:
        ValueError: the table has no such name; the message lists those it has.
    """
    module, _, attribute = table[among(table, name, kind)].partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
