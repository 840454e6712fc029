"""``--set key.path=value``: single values put over those of a config, before it is checked.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reelscribe.pipeline.files import parse_yaml

INSTEAD = {
    "count": ("fps", "keyframes", "at_most"),
    "fps": ("count", "keyframes"),
    "keyframes": ("count", "fps"),
}
"""Under ``frames``: what a key takes the place of."""


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return ``values`` with each ``key.path=value`` put in its place.

    ``frames.count``, ``.fps`` and ``.keyframes`` exclude each other: setting one drops the others.
    """
    for text in overrides:
        key, equals, raw = text.partition("=")
        *parents, last = key.strip().split(".")
        if not equals or not all([*parents, last]):
            raise ValueError(f"--set takes key.path=value, got {text!r}")
        section = values
        for name in parents:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise ValueError(f"--set {text!r}: {name!r} is a value, not a section")
        section[last] = parse_yaml(raw, f"--set {text!r}: the value")
        if parents == ["frames"] and section[last]:
            for other in INSTEAD.get(last, ()):
                section.pop(other, None)
    return values
