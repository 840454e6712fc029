"""``reelscribe encode``: the options of the command that fills the feature store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from reelscribe.pipeline.answers import SOME_FAILED
from reelscribe.pipeline.options import Cache, Device, Json, Local, RayAddress, Set, Workers, place


def encode(
    what: Annotated[list[Path], typer.Argument(metavar="CONFIG_OR_SRC...")],
    overrides: Set = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    device: Device = "cpu",
    cache: Cache = None,
    export: Annotated[Path | None, typer.Option(help="Also write .npy and .json here.")] = None,
    as_json: Json = False,
) -> None:
    """Fill the feature store: from a config, or from videos and folders.

    Example: `reelscribe encode "My Videos" --set frames.count=32`
    """
    from reelscribe.pipeline.encoding import encode_command

    where = place(cache, workers, ray_address, local, device)
    report = encode_command(what, overrides or [], where, export)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        stored = len(report.contents) - report.encoded
        typer.echo(
            f"{report.encoded} encoded, {stored} from the store, {len(report.failed)} failed "
            f"(recipe {report.recipe.fingerprint})"
        )
    if report.failed:  # Each was named when it failed.
        raise typer.Exit(SOME_FAILED)
