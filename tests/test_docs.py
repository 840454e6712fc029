"""docs/metrics.md: its Python runs as it stands, and its commands know their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from reelscribe.pipeline.cli import app
from reelscribe.pipeline.metrics import close

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()


@pytest.mark.slow
def test_the_library_example_runs() -> None:
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    names: dict[str, object] = {}
    exec(block[1], names)
    assert names["mine"].left_out == {}  # type: ignore[attr-defined]
    close()


def test_the_options_that_are_named_are_there() -> None:
    score = get_command(app).commands["score"]  # type: ignore[attr-defined]
    known = {name for parameter in score.params for name in parameter.opts}
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    words = [word for line in block[1].splitlines() for word in shlex.split(line)]
    named = {word for word in words if word.startswith("--")} | set(
        re.findall(r"`(--[a-z-]+)", PAGE)
    )
    assert len(named) > 8
    assert named <= known
