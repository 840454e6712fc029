"""``reelscribe score``: caption metrics of any two files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reelscribe.pipeline.options import Json

if TYPE_CHECKING:
    from reelscribe.pipeline.stages.score import Scored


def score(
    predictions: Annotated[Path, typer.Option(help="JSON, JSONL, CSV or TSV of captions.")],
    references: Annotated[Path, typer.Option(help="The same, several captions a video.")],
    versus: Annotated[
        Path | None,
        typer.Option(help="Other predictions for the same videos: a paired bootstrap test."),
    ] = None,
    training: Annotated[
        Path | None, typer.Option(help="Training captions: for the floor, and what is novel.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names, parted by commas; default: all there are.")
    ] = None,
    spice: Annotated[
        Path | None,
        typer.Option(envvar="REELSCRIBE_SPICE", help="A folder with CoreNLP 3.6.0: SPICE as well."),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Score a subset where predictions are missing."),
    ] = False,
    per_video: Annotated[
        bool, typer.Option("--per-video", help="Also print the scores of each video.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the scores of each video here.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="A folder for a page, scores.json and per_video.csv.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For intervals and the human's captions.")] = 0,
    as_json: Json = False,
) -> None:
    """Caption metrics of any two files: BLEU, METEOR, ROUGE-L, CIDEr.

    Example: `reelscribe score --predictions mine.jsonl --references test_videodatainfo.json`
    """
    from reelscribe.pipeline.metrics.captions import METRICS
    from reelscribe.pipeline.stages.score import score_files

    asked = [name.strip() for name in (metrics or ",".join(METRICS)).split(",") if name.strip()]
    found = score_files(
        predictions,
        references,
        against=versus,
        training=training,
        metrics=asked,
        seed=seed,
        allow_missing=allow_missing,
        spice=spice,
    )
    if csv is not None:
        found.write_csv(csv)
    page = None if report is None else found.write_folder(report)
    _answer(found, page, as_json=as_json, per_video=per_video)


def _answer(found: Scored, page: Path | None, *, as_json: bool, per_video: bool) -> None:
    for warning in found.values["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        each = {"per_video": found.rows()} if per_video else {}
        typer.echo(json.dumps({**found.values, **each}, indent=2))
        return
    from rich.console import Console

    from reelscribe.pipeline.score_tables import score_tables

    for table in score_tables(found.values):
        Console().print(table)
    if per_video:
        for row in found.rows():
            cells = (f"{x:.6f}" if isinstance(x, float) else x for x in row.values())
            # A caption may hold tabs and line ends; --csv and --json keep them.
            typer.echo("\t".join(" ".join(cell.split()) for cell in cells))
    if page is not None:
        typer.echo(f"open {page}")
