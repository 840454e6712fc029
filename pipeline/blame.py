"""Whose mistake an error is: the user's, said in one line, or ours, shown with its traceback.

Also turns what pydantic says of a config into one line a mistake. Reads and writes nothing.
"""

from __future__ import annotations

import reprlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reelscribe.pipeline.names import guess

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

FOLDERS = ("pipeline", "encoders", "decoders", "datasets", "configs")


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
    path = [str(part) for part in detail["loc"]]
    # Of a union tagged by `task`, pydantic puts the tag into the path; no user wrote it there.
    tag = path.pop(1) if path[0] == "head" and len(path) > 1 and path[1] in models else None
    key, kind = ".".join(path), detail["type"]
    if kind == "extra_forbidden":
        known = list(models[tag or (path[0] if len(path) > 1 else "")].model_fields)
        text = f"no such key; there are: {', '.join(known)}{guess(path[-1], known)}"
    elif kind == "missing":
        text = "is missing"
    elif kind.startswith("union_tag"):
        text = "task is missing or unknown; allowed: action, caption"
    else:
        said = detail["msg"].removeprefix("Value error, ")
        given = "" if kind == "value_error" else f", got {_SHORT.repr(detail['input'])}"
        text = f"{said[:1].lower()}{said[1:]}{given}"
    return " ".join(f"{key}: {text}".split())


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80
