"""The command line: ``reelscribe COMMAND``.

Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 an error of ours; 2 a wrong
command, config or dataset, in one line; 3 finished, but some videos failed; 130 interrupted.

Nothing heavy is imported here, so that ``reelscribe --help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from reelscribe.pipeline import cli_heads, cli_theory
from reelscribe.pipeline.answers import (
    INTERRUPTED,
    OK,
    OURS,
    SOME_FAILED,
    WRONG,
    leave,
    show,
    show_findings,
)
from reelscribe.pipeline.blame import message
from reelscribe.pipeline.cli_cache import app as cache_app
from reelscribe.pipeline.cli_encode import encode
from reelscribe.pipeline.cli_score import score
from reelscribe.pipeline.options import (
    Cache,
    ConfigPath,
    Json,
    Local,
    RayAddress,
    Set,
    Workers,
    default_cache,
    place,
)
from reelscribe.pipeline.progress import show_log

app = typer.Typer(
    name="reelscribe",
    help="Folders of video into actions and captions: encode once, train heads, score them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(cache_app, name="cache")
app.command()(encode)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("reelscribe-demo"),
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
) -> None:
    """Made clips through all stages, to a page: minutes, offline, no GPU.

    Example: `reelscribe demo --out demo`
    """
    from reelscribe.pipeline.demo import run_demo

    page, tables = run_demo(out, place(out / "cache", workers, ray_address, local))
    show({}, tables, False)
    typer.echo(f"open {page}")


@app.command()
def describe(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Videos and folders.")],
    out: Annotated[Path, typer.Option(help="The folder of the results.")],
    action: Annotated[
        Path | None, typer.Option(help="A run that names actions, or `ready`: the one that ships.")
    ] = None,
    caption: Annotated[
        Path | None, typer.Option(help="A run that writes captions; neither: both that ship.")
    ] = None,
    segments: Annotated[
        str, typer.Option(help="How long videos are cut: none, shots or fixed:10s.")
    ] = "none",
    parquet: Annotated[bool, typer.Option("--parquet", help="results.parquet too.")] = False,
    abstain: Annotated[
        str, typer.Option(help="Hold back actions that are too unsure: on or off.")
    ] = "on",
    previews: Annotated[
        bool, typer.Option("--previews", help="Small copies of what browsers do not play.")
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Videos and folders -> actions, captions, subtitles and a gallery.

    Example: `reelscribe describe "My Videos" --out found`
    """
    from reelscribe.pipeline.stages.describe import describe as run

    if abstain not in ("on", "off"):
        raise ValueError(f"--abstain {abstain}: allowed are on and off")
    where = place(cache, workers, ray_address, local)
    found = run(
        sources,
        out,
        where,
        action=action,
        caption=caption,
        segments=segments,
        parquet=parquet,
        abstain=abstain == "on",
        previews=previews,
    )
    if as_json:
        typer.echo(json.dumps(list(found.records), indent=2))
    else:
        done = len(found.records) - found.failed
        typer.echo(f"{done} described, {found.failed} failed, {found.encoded} encoded now")
        typer.echo(f"open {found.page}")
    if found.failed:
        raise typer.Exit(SOME_FAILED)


app.command()(cli_heads.train)
app.command()(cli_heads.evaluate)
app.command()(cli_heads.compare)
app.command()(cli_theory.lens)
app.command()(cli_theory.memory)
app.command()(score)


@app.command()
def plan(
    config: ConfigPath, overrides: Set = None, cache: Cache = None, as_json: Json = False
) -> None:
    """Each stage: fresh, or what will run and why.

    Example: `reelscribe plan ucf101 --set training.lr=3e-4`
    """
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.inputs import load_split
    from reelscribe.pipeline.plan import plan as steps_of
    from reelscribe.pipeline.repeats import runs_of

    settings = load_config(config, overrides or [])
    rows = [
        vars(step) | ({} if one.output == settings.output else {"run": str(one.output)})
        for one in runs_of(settings)
        for step in steps_of(one, load_split(one), cache or default_cache())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        where = f"{row['run']}: " if "run" in row else ""
        typer.echo(f"{row['stage']:9} {'fresh' if row['fresh'] else 'RUNS '}  {where}{row['why']}")


@app.command()
def doctor(
    config: ConfigPath,
    overrides: Set = None,
    read: Annotated[
        bool, typer.Option("--read", help="Open every clip too: some hundred a second and core.")
    ] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Is this copy of the dataset whole and right?

    Example: `reelscribe doctor ucf101 --read --set data.root=data/UCF-101`
    """
    from functools import partial

    from reelscribe.datasets.catalog import DATASETS
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.inputs import source
    from reelscribe.pipeline.names import resolve
    from reelscribe.pipeline.repeats import splits_of

    settings = load_config(config, overrides or [])
    dataset = resolve(DATASETS, settings.data.dataset, "dataset")
    sources = [source(one.data) for one in splits_of(settings)]
    found = [finding for one in sources for finding in dataset.examine(one)]
    if read:
        from reelscribe.pipeline.readable import about_reading

        runner = place(None, workers, None, local=True).runner
        found += about_reading([partial(dataset.load, one) for one in sources], runner)
    findings = list(dict.fromkeys(found))  # What is true of the disk is true of each split.
    show_findings(findings, as_json)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(WRONG)


def main() -> None:
    """Run a command; turn what a user did into one line, and what we did into a traceback."""
    show_log()
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            typer.echo("interrupted; what was done is kept, the same command goes on", err=True)
            leave(INTERRUPTED)
    except SystemExit as ended:
        # Whoever reads our answer may stop early (`| head`): no mistake of anybody's.
        code = OK if isinstance(ended.__context__, BrokenPipeError) else ended.code
    except Exception as error:
        shown = getattr(error, "show", None)  # A mistake in the command, found by the parser.
        text = message(error)
        if shown is not None:
            shown()
            code = WRONG
        elif text is not None and not os.environ.get("REELSCRIBE_DEBUG"):
            typer.echo("\n".join(f"error: {line}" for line in text.splitlines()), err=True)
            code = WRONG
        else:
            traceback.print_exc()
            code = OURS
    sys.exit(code or OK)
