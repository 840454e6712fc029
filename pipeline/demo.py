"""``reelscribe demo``: the whole mission on made clips, offline, without a GPU, in minutes.

Writes everything under one folder: the clips, the feature store, two trained runs, a comparison of
cells, an unseen folder described (one file in it is broken, on purpose), and ``index.html``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from rich.console import Group

from reelscribe.datasets.theatre import make_clip
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.files import write_whole
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.report.summary import write_demo_page
from reelscribe.pipeline.runs import compare, train_run
from reelscribe.pipeline.stages.describe import describe
from reelscribe.pipeline.tables import compare_table, scores_table

CELLS = ("none", "rnn", "gru", "lstm")
UNSEEN_SEED = 1_000_003
"""Of the clips that are described: no clip of another seed is like them."""
UNSEEN = 12


def run_demo(out: Path, place: Place) -> tuple[Path, Group]:
    """Run all stages; return the page, and the captions' scores and the cells as tables."""
    spent: dict[str, float] = {}
    # As JSON, which is YAML too: a folder called "demo #2" must not end at its comment sign.
    clips = f"data.root={json.dumps(str(out / 'clips'))}"
    runs = {task: f"output={json.dumps(str(out / task))}" for task in ("action", "caption")}
    action = load_config(Path("theatre"), [clips, runs["action"]])
    caption = load_config(Path("theatre_captions"), [clips, runs["caption"]])
    with _timed(spent, "make the clips, encode them, train the actions"):
        train_run(action, place)
    with _timed(spent, "train and score the captions"):
        told = train_run(caption, place)
    with _timed(spent, "compare the cells"):
        cells = compare(action, place, cells=CELLS, seeds=1)
    with _timed(spent, "describe a folder nobody trained on"):
        unseen = out / "unseen videos"
        _make_unseen(unseen)
        described = out / "described"
        describe([unseen], described, place, action=action.output, caption=caption.output)
    page = write_demo_page(
        out,
        action_run=action.output,
        caption_run=caption.output,
        compare=cells.run,
        described=described,
        timings=spent,
    )
    return page, Group(scores_table(told.scores), compare_table(cells.scores))


def _make_unseen(folder: Path) -> None:
    for index in range(UNSEEN):
        path = folder / f"scene {index + 1}.mp4"
        if not path.is_file():
            make_clip(path, seed=UNSEEN_SEED, index=index)
    # Every folder of real videos has one of these: a download that ended early.
    whole = (folder / "scene 1.mp4").read_bytes()
    write_whole(folder / "cut off.mp4", whole[: len(whole) // 3])


@contextmanager
def _timed(spent: dict[str, float], what: str) -> Iterator[None]:
    say(f"== {what}")
    began = perf_counter()
    yield
    spent[what] = perf_counter() - began
