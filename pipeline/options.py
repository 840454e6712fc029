"""Options that many commands share, with the help a user reads. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reelscribe.pipeline.inputs import Place


def default_cache() -> Path:
    """Return the user's cache folder for features."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "reelscribe"


ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of one that ships.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override the config; may be repeated."),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that decode and encode; default: one a core.")
]
RayAddress = Annotated[
    str | None, typer.Option(help="A Ray cluster; default: one inside this machine.")
]
Local = Annotated[bool, typer.Option("--local", help="Without Ray: plain processes.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        envvar="REELSCRIBE_CACHE", help="The feature store; default: ~/.cache/reelscribe."
    ),
]
DEVICE = "REELSCRIBE_DEVICE"
"""The variable that says what encodes, for commands that have no option for it."""

Device = Annotated[
    str,
    typer.Option(envvar=DEVICE, help="What encodes: cpu, cuda (every GPU here) or cuda:N."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def place(
    cache: Path | None,
    workers: int | None,
    ray_address: str | None,
    local: bool,
    device: str | None = None,
) -> Place:
    """Return where a command works."""
    from reelscribe.pipeline.execute import Runner, cores
    from reelscribe.pipeline.inputs import Place

    if local and ray_address is not None:
        raise ValueError("--local runs without Ray and --ray-address with one; give one of them")
    count = cores() if workers is None else workers
    device = device or os.environ.get(DEVICE) or "cpu"
    runner = Runner(address=ray_address, local=local, workers=count, device=device)
    return Place(cache=cache or default_cache(), runner=runner)
