"""Pages: one for each video that was described, with what the heads saw in it.

Reads the feature store; writes ``report/videos/*.html``, a block of videos at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.progress import Progress
from reelscribe.pipeline.report.cards import read_card, video_page
from reelscribe.pipeline.report.video import Beside, write_video_page
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.seeing import see

BLOCK = 128
"""Videos whose features are looked at together."""


def write_video_pages(
    report: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    heads: Sequence[Answerer],
    contents: Mapping[Path, str],
    segmentation: Segmentation,
    strips: Mapping[str, str],
    about: Mapping[str, str],
) -> None:
    """Write the page of every record that did not fail.

    Args:
        report: the folder of the gallery.
        records: the lines of results.jsonl, in their order.
        heads: those that described the videos.
        contents: the sha256 of each video.
        segmentation: how long videos were cut.
        strips: path of a record -> its strip, relative to ``report``.
        about: short facts, such as the model's run.
    """
    good = [record for record in records if record["status"] == "ok"]
    names = ["", *(video_page(record["path"]) for record in good), ""]
    with Progress("video pages", len(good), "videos") as progress:
        for first in range(0, len(good), BLOCK):
            block = good[first : first + BLOCK]
            videos = {contents[Path(record["path"])]: Path(record["path"]) for record in block}
            said = {contents[Path(record["path"])]: record for record in block}
            looks = see(heads, videos, said, segmentation)
            for place, record in enumerate(block, first):
                card = read_card(record, place, page=report / "index.html", strips=strips)
                write_video_page(
                    report,
                    card,
                    record,
                    looks[contents[Path(record["path"])]],
                    beside=Beside(before=names[place], behind=names[place + 2]),
                    about=about,
                )
                progress()
