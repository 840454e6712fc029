"""Pages: the gallery of what was described, and one page a video with what the heads saw in it.

Reads the feature store and the videos; writes ``report/``. Video pages are written a block at a
time. A page names what it was made of, and one that would be made of the same again is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.progress import Progress
from reelscribe.pipeline.report.cards import read_card, video_page
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.report.video import Beside, is_made_of, page_key, write_video_page
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.seeing import see
from reelscribe.pipeline.stages.strips import previews_of, strips_of

BLOCK = 128
"""Videos whose features are looked at together; where long ones are cut, an eighth of it: an hour's
features are 30 MB."""


def write_report(
    out: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    contents: Mapping[Path, str],
    heads: Sequence[Answerer],
    segmentation: Segmentation,
    about: Mapping[str, str],
    runner: Runner,
    previews: bool,
) -> Path:
    """Write strips, video pages and the gallery; return the gallery.

    Args:
        out: the folder of the results.
        records: the lines of results.jsonl, in their order.
        contents: the sha256 of each video that has features.
        heads: those that described the videos.
        segmentation: how long videos were cut.
        about: short facts, such as the model's run.
        runner: where strips and previews are made.
        previews: whether videos that browsers do not play get a small copy.
    """
    report = out / "report"
    strips = {str(path): name for path, name in strips_of(contents, report, runner).items()}
    copies = previews_of(contents, report, runner) if previews else {}
    write_video_pages(
        report,
        records,
        heads=heads,
        contents=contents,
        segmentation=segmentation,
        strips=strips,
        previews={str(path): name for path, name in copies.items()},
        about=about,
    )
    title = f"{len(records)} video{'' if len(records) == 1 else 's'}, described"
    return write_gallery(out, records, strips=strips, title=title, about=about)


def write_video_pages(
    report: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    heads: Sequence[Answerer],
    contents: Mapping[Path, str],
    segmentation: Segmentation,
    strips: Mapping[str, str],
    previews: Mapping[str, str],
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
        previews: the same of previews, which are played in the place of the videos.
        about: short facts, such as the model's run.
    """
    good = [record for record in records if record["status"] == "ok"]
    names = ["", *(video_page(record["path"]) for record in good), ""]
    heads_made_of = [head.manifest.numbers for head in heads]
    todo: list[_Page] = []
    for place, record in enumerate(good):
        path = str(record["path"])
        beside = Beside(before=names[place], behind=names[place + 2])
        made = [record, strips.get(path), previews.get(path), asdict(beside), dict(about)]
        key = page_key([*made, heads_made_of, segmentation.seconds, Path(path).is_file()])
        if not is_made_of(report / video_page(path), key):
            sha256 = contents[Path(path)]
            todo.append(_Page(record=record, sha256=sha256, beside=beside, key=key))
    with Progress("video pages", len(todo), "videos") as progress:
        together = BLOCK if segmentation.kind == "none" else BLOCK // 8
        for first in range(0, len(todo), together):
            block = todo[first : first + together]
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
                    preview=previews.get(page.record["path"], ""),
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
