"""``reelscribe train``, ``evaluate`` and ``compare``: heads trained and scored, from a config."""

from __future__ import annotations

from typing import Annotated

import typer

from reelscribe.pipeline.answers import answer, exit_over, show
from reelscribe.pipeline.options import (
    Cache,
    ConfigPath,
    Json,
    Local,
    RayAddress,
    Set,
    Workers,
    place,
)

Seeds = Annotated[
    int, typer.Option(help="Trainings, with seeds from training.seed upwards; their mean counts.")
]


def train(
    config: ConfigPath,
    overrides: Set = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was cut off.")
    ] = False,
    seeds: Seeds = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Curves for TensorBoard, into the run.")
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
    from reelscribe.pipeline.boards import check_tensorboard
    from reelscribe.pipeline.config import load_config
    from reelscribe.pipeline.runs import train_run

    if tensorboard:
        check_tensorboard()
    settings = load_config(config, overrides or [])
    where = place(cache, workers, ray_address, local)
    result = train_run(settings, where, resume=resume, curves=tensorboard, seeds=seeds)
    answer(result.scores, result.run, as_json)
    exit_over(result.failed)


def evaluate(
    config: ConfigPath,
    overrides: Set = None,
    seeds: Seeds = 1,
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
    where = place(cache, workers, ray_address, local)
    result = evaluate_run(settings, where, seeds=seeds)
    answer(result.scores, result.run, as_json)
    exit_over(result.failed)


def compare(
    config: ConfigPath,
    cells: Annotated[
        str, typer.Option(help="Names, parted by commas.")
    ] = "none,rnn,gru,lstm,transformer",
    seeds: Seeds = 1,
    overrides: Set = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    local: Local = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Train each cell on the same features and budget; one table, one plot.

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
