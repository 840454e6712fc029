"""The recipe: all that decides a feature's value, and nothing that only decides its speed.

Workers, batch sizes, engines and devices are not in it. Two recipes with the same fingerprint give
the same features of the same bytes, on any machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reelscribe.datasets.sampling import Sampling
from reelscribe.encoders.backbone import Backbone

VERSION = 1
"""Raise it when the same settings would now give other features."""

MISSING = object()

Precision = Literal["float32", "bf16"]
"""bf16 keeps 8 bits of a number: faster on a GPU, and other features."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings as plain JSON values, printable and comparable by eye."""

    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        sampling: Sampling,
        backbone: Backbone,
        precision: Precision = "float32",
        *,
        mirrored: bool = False,
    ) -> Recipe:
        """Put together what decides the features."""
        frames: dict[str, Any] = dict(sampling.recipe())
        encoder = backbone.recipe()
        # Said only where it is not the usual one, so that it changed no recipe when it came.
        if precision != "float32":
            encoder["precision"] = precision
        if mirrored:
            frames["mirrored"] = True
        return cls(settings={"version": VERSION, "frames": frames, "encoder": encoder})

    @functools.cached_property
    def text(self) -> str:
        """The settings as canonical JSON: keys sorted, no spaces."""
        return json.dumps(self.settings, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of :attr:`text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in words how two trees of settings differ: ``["frames.count 16 -> 32"]``."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    lines = []
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key, MISSING), after.get(key, MISSING)
        # By their JSON, as in the fingerprint: 2 and 2.0 are two recipes.
        if MISSING in (was, now) or json.dumps(was) != json.dumps(now):
            lines.append(f"{key} {_show(was)} -> {_show(now)}")
    return lines


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _show(value: object) -> str:
    if value is MISSING:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
