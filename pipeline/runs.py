"""The commands over a config: train what is stale, evaluate again, compare cells.

Reads a config; writes into its run folder through the stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from reelscribe.pipeline.beside import refuse_known
from reelscribe.pipeline.checkpoint import learnt_from, load_head
from reelscribe.pipeline.comparing import compare_cells
from reelscribe.pipeline.config import Config, resolved_yaml
from reelscribe.pipeline.files import read_json, write_whole
from reelscribe.pipeline.inputs import Material, Place
from reelscribe.pipeline.plan import forget, record, stale
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.repeats import ALL, Result, repeat
from reelscribe.pipeline.stages import evaluate, predict, train


def train_run(
    config: Config, place: Place, *, resume: bool = False, curves: bool = False, seeds: int = 1
) -> Result:
    """Run whatever is stale of encode, train, predict and evaluate, for each split and seed."""
    return repeat(config, place, partial(_stages, resume=resume, curves=curves), seeds=seeds)


def evaluate_run(config: Config, place: Place, *, seeds: int = 1) -> Result:
    """Predict and score again from the run's checkpoint, fresh or not.

    Raises:
        ValueError: the run was trained with other data or settings. A model of split 1 has seen
            most of split 2's test clips: its score there would be a leak.
    """
    if config.data.split != ALL and seeds == 1:
        load_head(config.output)  # Says what is wrong before hours of encoding.
    return repeat(config, place, _again, seeds=seeds)


def _again(config: Config, material: Material) -> Result:
    run = config.output
    load_head(run)
    why = stale(run, "train", train.made_of(config, material))
    if why:
        raise ValueError(
            f"{run} was trained otherwise ({why}); put that back as it was, or train again"
        )
    forget(run, "predict")
    return _stages(config, material)


def compare(config: Config, place: Place, *, cells: Sequence[str], seeds: int) -> Result:
    """Train every cell with every seed on the same features and budget; write one table.

    Raises:
        ValueError: a cell has no such name, none is named, or seeds is below 1.
    """
    return compare_cells(config, place, _stages, cells=cells, seeds=seeds)


def _stages(
    config: Config, material: Material, *, resume: bool = False, curves: bool = False
) -> Result:
    """Run what is stale; a stage that is killed leaves nothing that counts as fresh."""
    run = config.output
    refuse_known(config, material)
    write_whole(run / "config.yaml", resolved_yaml(config))
    made = train.made_of(config, material)
    why = stale(run, "train", made)
    if why:
        say(f"train: {why}")
        forget(run, "train")
        train.train_head(config, material, run, resume=resume, curves=curves)
        record(run, "train", made)
    elif learnt_from(run) is None:
        train.note_learnt(material, run)  # A run from before such lists.
    made = predict.made_of(config, material, run)
    if stale(run, "predict", made):
        forget(run, "predict")
        predict.predict(config, material, run)
        record(run, "predict", made)
    made = evaluate.made_of(config, material, run)
    if stale(run, "evaluate", made):
        forget(run, "evaluate")
        scores = evaluate.evaluate(config, material, run)
        record(run, "evaluate", made)
    else:
        scores = read_json(run / "scores.json")
        say(f"up to date: {evaluate.summary(scores)}")
    return Result(run=run, scores=scores, failed=material.failed)
