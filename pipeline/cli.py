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

from reelscribe.pipeline.answers import (
    INTERRUPTED,
    OK,
    OURS,
    SOME_FAILED,
    WRONG,
    answer,
    exit_over,
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

    page, table = run_demo(out, place(out / "cache", workers, ray_address, local))
    show({}, table, False)
    typer.echo(f"open {page}")


@app.command()
def describe(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Videos and folders.")],
    out: Annotated[Path, typer.Option(help="The folder of the results.")],
    action: Annotated[Path | None, typer.Option(help="A run that names actions.")] = None,
    caption: Annotated[Path | None, typer.Option(help="A run that writes captions.")] = None,
    segments: Annotated[
        str, typer.Option(help="How long videos are cut: none, shots or fixed:10s.")
    ] = "none",
    parquet: Annotated[bool, typer.Option("--parquet", help="results.parquet too.")] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Videos and folders -> actions, captions, subtitles and a gallery.

    Example: `reelscribe describe "My Videos" --out found --action runs/ucf101`
    """
    from reelscribe.pipeline.stages.describe import describe as run

    where = place(cache, workers, ray_address, local)
    found = run(
        sources, out, where, action=action, caption=caption, segments=segments, parquet=parquet
    )
    if as_json:
        typer.echo(json.dumps(list(found.records), indent=2))
    else:
        done = len(found.records) - found.failed
        typer.echo(f"{done} described, {found.failed} failed, {found.encoded} encoded now")
        typer.echo(f"open {found.page}")
    if found.failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def train(
    config: ConfigPath,
    overrides: Set = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was cut off.")
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Whatever is stale of encode -> train -> predict -> evaluate, into the run.

    Example: `reelscribe train ucf101 --set data.root=data/UCF-101`
    """
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.runs import train_run

    settings = load_config(config, overrides or [])
    result = train_run(settings, place(cache, workers, ray_address, local), resume=resume)
    answer(result.scores, result.run, as_json)
    exit_over(result.failed)


@app.command()
def evaluate(
    config: ConfigPath,
    overrides: Set = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Predict and score again from the run's checkpoint.

    Example: `reelscribe evaluate msvd --set head.beam=10`
    """
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.runs import evaluate_run

    settings = load_config(config, overrides or [])
    result = evaluate_run(settings, place(cache, workers, ray_address, local))
    answer(result.scores, result.run, as_json)
    exit_over(result.failed)


@app.command()
def compare(
    config: ConfigPath,
    cells: Annotated[str, typer.Option(help="Names, parted by commas.")] = "none,rnn,gru,lstm",
    seeds: Annotated[int, typer.Option(help="How often each is trained.")] = 1,
    overrides: Set = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Train each cell on the same features and budget; one table.

    Example: `reelscribe compare ucf101 --cells none,lstm --seeds 3`
    """
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.runs import compare as run
    from reelscribe.pipeline.tables import compare_table

    settings = load_config(config, overrides or [])
    where = place(cache, workers, ray_address, local)
    names = [name.strip() for name in cells.split(",") if name.strip()]
    result = run(settings, where, cells=names, seeds=seeds)
    show(result.scores, compare_table(result.scores), as_json)
    if not as_json:
        typer.echo(f"open {result.run / 'report' / 'index.html'}")
    exit_over(result.failed)


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

    settings = load_config(config, overrides or [])
    steps = steps_of(settings, load_split(settings), cache or default_cache())
    if as_json:
        typer.echo(json.dumps([vars(step) for step in steps], indent=2))
        return
    for step in steps:
        typer.echo(f"{step.stage:9} {'fresh' if step.fresh else 'RUNS '}  {step.why}")


@app.command()
def doctor(config: ConfigPath, overrides: Set = None, as_json: Json = False) -> None:
    """Is this copy of the dataset whole and right?

    Example: `reelscribe doctor ucf101 --set data.root=data/UCF-101`
    """
    from reelscribe.datasets.catalog import DATASETS
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.inputs import source
    from reelscribe.pipeline.names import resolve

    data = load_config(config, overrides or []).data
    findings = list(resolve(DATASETS, data.dataset, "dataset").examine(source(data)))
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
