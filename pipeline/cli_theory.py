"""``reelscribe lens`` and ``reelscribe memory``: what a memory does, and that it is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from reelscribe.pipeline.answers import exit_over, show
from reelscribe.pipeline.options import Cache, Json, Local, RayAddress, Workers, place


def lens(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run that names actions.")],
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Videos and folders.")],
    out: Annotated[Path, typer.Option(help="The folder of the results.")] = Path("lens"),
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="A run with another cell; its gradients are shown beside. Repeatable."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The class whose loss the gradients are of.")
    ] = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """What the memory of a head does, frame by frame: gates, attention, answers, gradients.

    Example: `reelscribe lens runs/ucf101 clip.avi --beside runs/ucf101/compare/rnn-0`
    """
    from reelscribe.pipeline.stages.lens import look

    where = place(cache, workers, ray_address, local)
    seen = look(run, clips, out, where, beside=beside or [], label=label)
    if as_json:
        typer.echo(json.dumps(seen.clips, indent=2))
    else:
        for clip in seen.clips:
            typer.echo(f"{clip['path']}: {clip['label']}, {len(clip['times'])} frames")
        typer.echo(f"open {seen.page}")
    exit_over(seen.failed)


def memory(
    out: Annotated[Path, typer.Option(help="The folder of the results.")] = Path("memory"),
    length: Annotated[int, typer.Option(help="Steps to be bridged.")] = 200,
    cells: Annotated[str, typer.Option(help="Names, parted by commas.")] = "rnn,gru,lstm",
    steps: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and sequences.")] = 0,
    as_json: Json = False,
) -> None:
    """Two classic tasks that only a memory solves: who can bridge hundreds of steps?

    Example: `reelscribe memory --length 200`
    """
    from reelscribe.pipeline.memory import prove
    from reelscribe.pipeline.tables import memory_table

    names = [name.strip() for name in cells.split(",") if name.strip()]
    results, page = prove(out, cells=names, length=length, seed=seed, steps=steps)
    show({"results": results}, memory_table(results), as_json)
    if not as_json:
        typer.echo(f"open {page}")
