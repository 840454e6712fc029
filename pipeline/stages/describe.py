"""Describe: videos and folders -> what is in them.

Reads videos and one or two trained runs; writes ``results.jsonl`` as it goes and ``results.csv`` at
the end (both in the order of the input), ``subtitles/<path>.vtt`` and ``.srt``,
``results.parquet`` where it is asked for, and ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import Lines, write_csv
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.parquet import check_parquet, write_parquet
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.segments import Segmentation, Span, together
from reelscribe.pipeline.stages.answering import Answerer, Said, merged
from reelscribe.pipeline.stages.pages import write_report
from reelscribe.pipeline.subtitles import write_subtitles

TOP = 5
"""Actions a video that are written down."""

BLOCK = 128
"""Videos that are encoded and answered together: what a kill may cost of the list of results."""

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Described:
    """What was found in a list of videos."""

    records: Sequence[Record]
    page: Path
    encoded: int
    failed: int


def describe(
    sources: Sequence[Path],
    out: Path,
    place: Place,
    *,
    action: Path | None = None,
    caption: Path | None = None,
    segments: str = "none",
    parquet: bool = False,
    previews: bool = False,
) -> Described:
    """Say of each video what happens in it, and write it all down.

    Args:
        sources: videos, folders, patterns and ``@lists``; see :func:`find_videos`.
        out: the folder of the results.
        place: feature store and workers.
        action: a run that names actions.
        caption: a run that writes captions.
        segments: how long videos are cut: ``none``, ``shots`` or ``fixed:10s``.
        parquet: write ``results.parquet`` too.
        previews: small copies of videos that browsers do not play, for their pages.

    Raises:
        ValueError: no run is given, a run is of the other task, or there is no video.
    """
    segmentation = Segmentation.parse(segments)
    if parquet:
        check_parquet()
    runs = {k: run for k, run in {"action": action, "caption": caption}.items() if run is not None}
    heads = _heads(runs, place)
    videos = find_videos(sources)
    run = _Run(heads=heads, segmentation=segmentation)
    records: list[Record] = []
    with (
        Progress("describe", len(videos), "videos") as progress,
        closing(Lines(out / "results.jsonl")) as lines,
    ):
        try:
            for first in range(0, len(videos), BLOCK):
                for record in run.block(videos[first : first + BLOCK], progress):
                    records.append(record)
                    lines.write(record)
                    progress.say(_spoken(record))
        except KeyboardInterrupt:
            progress.stop()
            say(f"describe: interrupted, {len(records)} of {len(videos)} are in {lines.path}")
            raise
    page = _write(out, records, run, runs, place, parquet=parquet, previews=previews)
    failed = sum(record["status"] == "failed" for record in records)
    return Described(records=records, page=page, encoded=run.encoded, failed=failed)


def _heads(runs: Mapping[str, Path], place: Place) -> list[Answerer]:
    if not runs:
        raise ValueError(
            "nothing to describe with: give --action RUN, --caption RUN or both "
            "(a RUN is the folder that `reelscribe train` wrote)"
        )
    heads = []
    for task, path in runs.items():
        heads.append(Answerer.load(path, place))
        if heads[-1].manifest.task != task:
            raise ValueError(f"--{task} {path} holds a model for {heads[-1].manifest.task}s")
    return heads


@dataclass(kw_only=True)
class _Run:
    """Encodes and answers block by block; one content is described once, whatever its names."""

    heads: Sequence[Answerer]
    segmentation: Segmentation
    contents: dict[Path, str] = field(default_factory=dict)
    """The sha256 of each video that has features."""
    encoded: int = 0
    _hours: float = 0.0
    _known: dict[str, Record] = field(default_factory=dict)

    def block(self, videos: Sequence[Path], progress: Progress) -> Iterator[Record]:
        """Yield the records of some videos, in their order."""
        failed = self._encode(videos, progress)
        fresh: dict[str, Path] = {}
        for video in videos:
            if video not in failed and self.contents[video] not in self._known:
                fresh.setdefault(self.contents[video], video)
        self._known |= self._answer(fresh, failed, progress)
        for video in videos:
            if video in failed:
                yield {**_blank(video), "status": "failed", "reason": failed[video]}
            else:
                yield {**_blank(video), **self._known[self.contents[video]]}

    def _encode(self, videos: Sequence[Path], progress: Progress) -> dict[Path, str]:
        """Encode under each recipe; return the reasons of those that failed under one."""
        failed: dict[Path, str] = {}
        by_recipe = {head.origin.recipe.fingerprint: head for head in self.heads}
        for number, head in enumerate(by_recipe.values(), 1):
            # A video is counted once, when the last recipe is done with it.
            told = (lambda path, reason: progress()) if number == len(by_recipe) else _quiet
            report = head.encode(
                [video for video in videos if video not in failed],
                head.origin,
                told=told,
                heard=progress.note,
            )
            failed |= report.failed
            self.contents |= report.contents
            self.encoded += report.encoded
        return failed

    def _answer(
        self, fresh: Mapping[str, Path], failed: dict[Path, str], progress: Progress
    ) -> dict[str, Record]:
        """Return what is said of each content; a long video that cannot be segmented fails."""
        durations: dict[str, float] = {}
        for sha256, video in fresh.items():
            head = self.heads[0]
            about = head.read(video, sha256, head.origin).about
            durations[sha256] = float(about["duration"])
        long = [s for s in fresh if self.segmentation.cuts(durations[s])]
        for head in self.heads if long else ():
            made = head.denser(self.segmentation)
            report = head.encode([fresh[s] for s in long], made, heard=progress.note)
            failed |= report.failed
        self._hours += sum(durations.values()) / 3600
        progress.beside = f"{self._hours:.1f} h"
        todo = {s: video for s, video in fresh.items() if video not in failed}
        spans = {s: self._spans(s, todo[s], durations[s]) for s in todo}
        answers = [self._say(head, todo, spans, durations) for head in self.heads]
        return {s: _record(durations[s], spans[s], [answer[s] for answer in answers]) for s in todo}

    def _spans(self, sha256: str, video: Path, duration: float) -> list[Span]:
        if not self.segmentation.cuts(duration):
            return [Span(start=0.0, end=duration)]
        head = self.heads[0]
        features = head.read(video, sha256, head.denser(self.segmentation))
        return head.spans(features, self.segmentation)

    def _say(
        self,
        head: Answerer,
        todo: Mapping[str, Path],
        spans: Mapping[str, Sequence[Span]],
        durations: Mapping[str, float],
    ) -> dict[str, list[Said]]:
        """Return what one head says of each span of each content."""
        feats, owners = [], []
        for sha256, video in todo.items():
            cut = self.segmentation.cuts(durations[sha256])
            made = head.denser(self.segmentation) if cut else head.origin
            features = head.read(video, sha256, made)
            for span in spans[sha256]:
                rows = span.frames(features.pts_T) if cut else slice(None)
                feats.append(features.feats_TD[rows])
                owners.append(sha256)
        said: dict[str, list[Said]] = {sha256: [] for sha256 in todo}
        for sha256, answer in zip(owners, head.say(feats), strict=True):
            said[sha256].append(answer)
        return said


def _record(duration: float, spans: Sequence[Span], answers: Sequence[Sequence[Said]]) -> Record:
    """Return what a record says beside its path. ``answers``: of each head, of each span."""
    segments, whole = [], []
    for number, span in enumerate(spans):
        times = {"start": round(span.start, 3), "end": round(span.end, 3)}
        mine = [answer[number] for answer in answers]
        whole.append({**times, **merged(mine, top=None)})
        segments.append({**times, **merged(mine, top=TOP)})
    said = together(whole, TOP)
    return {"duration": round(duration, 3), **said, "segments": segments}


def _quiet(path: Path, reason: str | None) -> None:
    pass


def _blank(video: Path) -> Record:
    return {
        "path": str(video),
        "status": "ok",
        "reason": None,
        "duration": None,
        "actions": [],
        "caption": None,
        "segments": [],
    }


def _spoken(record: Mapping[str, Any]) -> str:
    """Return a record as one line for the terminal."""
    if record["status"] == "failed":
        return f"failed: {record['path']}: {record['reason']}"
    best = [f"{one['label']} {one['probability']:.2f}" for one in record["actions"][:1]]
    return f"{record['path']}: {'; '.join([*best, *filter(None, [record['caption']])])}"


def _write(
    out: Path,
    records: Sequence[Record],
    run: _Run,
    runs: Mapping[str, Path],
    place: Place,
    *,
    parquet: bool,
    previews: bool,
) -> Path:
    write_csv(out / "results.csv", COLUMNS, (_flat(record) for record in records))
    if parquet:
        write_parquet(out / "results.parquet", records)
    write_subtitles(out / "subtitles", records)
    return write_report(
        out,
        records,
        contents=run.contents,
        heads=run.heads,
        segmentation=run.segmentation,
        about={f"{task} model": str(path) for task, path in runs.items()},
        runner=place.runner,
        previews=previews,
    )


COLUMNS = ("path", "status", "reason", "duration", "action", "probability", "caption")


def _flat(record: Mapping[str, Any]) -> tuple[object, ...]:
    best = record["actions"][0] if record["actions"] else {"label": "", "probability": ""}
    values = (record[key] for key in ("path", "status", "reason", "duration"))
    return (
        *("" if v is None else v for v in values),
        best["label"],
        best["probability"],
        record["caption"] or "",
    )
