"""How commands answer: tables or JSON on stdout, failures on stderr, and the exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from reelscribe.datasets.clip import Finding
from reelscribe.pipeline.family import end_descendants

OK, OURS, WRONG, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
"""Done; an error of ours; a wrong command, config or dataset; some videos failed; interrupted."""


def answer(scores: Mapping[str, Any], run: Path, as_json: bool) -> None:
    """Print a run's scores, and where its page lies."""
    from reelscribe.pipeline.tables import scores_table

    show(scores, scores_table(scores), as_json)
    if not as_json:
        typer.echo(f"open {run / 'report' / 'index.html'}")


def show(values: Mapping[str, Any], table: Any, as_json: bool) -> None:
    """Print an answer: as JSON for programs, as a table for people."""
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    from rich.console import Console

    Console().print(table)


def show_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Print what a dataset's doctor has to say, a line each."""
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings], indent=2))
        return
    for finding in findings:
        named = f" ({', '.join(finding.examples)})" if finding.examples else ""
        typer.echo(f"{finding.level:8} {finding.text}{named}")


def exit_over(failed: Mapping[Path, str]) -> None:
    """Name each video that failed and end with the exit code that says so."""
    if failed:
        for path, reason in failed.items():
            typer.echo(f"failed: {path}: {reason}", err=True)
        raise typer.Exit(SOME_FAILED)


def leave(code: int) -> NoReturn:
    """End at once, and all processes below this one: files are whole at any moment."""
    end_descendants()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
