"""Pages: one for each video that was described, with what the heads saw in it.

Reads the feature store; writes ``report/videos/*.html``, a block of videos at a time. A page names
what it was made of, and one that would be made of the same again is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.progress import Progress
from reelscribe.pipeline.report.cards import read_card, video_page
from reelscribe.pipeline.report.video import Beside, is_made_of, page_key, write_video_page
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
    heads_made_of = [head.manifest.numbers for head in heads]
    todo: list[_Page] = []
    for place, record in enumerate(good):
        path = str(record["path"])
        beside = Beside(before=names[place], behind=names[place + 2])
        made = [record, strips.get(path), asdict(beside), dict(about), heads_made_of]
        key = page_key([*made, segmentation.seconds, Path(path).is_file()])
        if not is_made_of(report / video_page(path), key):
            sha256 = contents[Path(path)]
            todo.append(_Page(record=record, sha256=sha256, beside=beside, key=key))
    with Progress("video pages", len(todo), "videos") as progress:
        for first in range(0, len(todo), BLOCK):
            block = todo[first : first + BLOCK]
            videos = {page.sha256: Path(page.record["path"]) for page in block}
            said = {page.sha256: page.record for page in block}
            looks = see(heads, videos, said, segmentation)
            for page in block:
                card = read_card(page.record, 0, page=report / "index.html", strips=strips)
                write_video_page(
                    report,
                    card,
                    page.record,
                    looks[page.sha256],
                    beside=page.beside,
                    about=about,
                    key=page.key,
                )
                progress()


@dataclass(frozen=True, kw_only=True)
class _Page:
    """A page that is to be written."""

    record: Mapping[str, Any]
    sha256: str
    beside: Beside
    key: str
