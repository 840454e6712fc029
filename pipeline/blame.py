"""Whose mistake an error is: the user's, said in one line, or ours, shown with its traceback.

Also turns what pydantic says of a config into one line a mistake. Reads and writes nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe.pipeline.names import guess

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

FOLDERS = ("pipeline", "encoders", "decoders", "datasets", "configs")
TAGS = ("action", "caption")
"""What pydantic puts into the path of a mistake in a union; no user wrote it there."""


def message(error: BaseException) -> str | None:
    """Return what to tell the user, or None where a traceback is due: our own bug."""
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror}"
    if isinstance(error, ValueError | FloatingPointError) and _raised_by_us(error):
        return str(error)
    return None


def _raised_by_us(error: BaseException) -> bool:
    """Say whether our own code raised the error, as a message to the user."""
    house = Path(__file__).resolve().parents[1]
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    return any(raised_in.is_relative_to(house / folder) for folder in FOLDERS)


def mistakes(where: str, error: ValidationError, models: Mapping[str, type[BaseModel]]) -> str:
    """Return one line for each mistake in a config.

    Args:
        where: the config's name.
        error: what pydantic found.
        models: the model of each section by name, of each head by its task, of all under ``""``.
    """
    return "\n".join(f"{where}: {_one_line(detail, models)}" for detail in error.errors())


def _one_line(detail: ErrorDetails, models: Mapping[str, type[BaseModel]]) -> str:
    path = [str(part) for part in detail["loc"] if part not in TAGS]
    key, kind = ".".join(path), detail["type"]
    if kind == "extra_forbidden":
        tag = next((str(part) for part in detail["loc"] if part in TAGS), None)
        section = tag or (path[0] if len(path) > 1 else "")
        known = list(models[section].model_fields)
        return f"{key}: no such key; there are: {', '.join(known)}{guess(path[-1], known)}"
    if kind == "missing":
        return f"{key}: is missing"
    text = detail["msg"].removeprefix("Value error, ")
    given = "" if kind == "value_error" else f", got {detail['input']!r}"
    return " ".join(f"{key}: {text[:1].lower()}{text[1:]}{given}".split())
