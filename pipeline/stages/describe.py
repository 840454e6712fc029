"""Describe: videos and folders -> what is in them.

Reads videos and one or two trained runs, or the heads that ship (ready.py); writes
``results.jsonl`` as it goes and ``results.csv`` at the end (both in the order of the input),
``subtitles/<path>.vtt`` and ``.srt``, ``results.parquet`` where it is asked for, and
``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import Lines, write_csv
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.parquet import check_parquet, write_parquet
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.ready import notice, ready_as, runs_of
from reelscribe.pipeline.records import COLUMNS, Record, blank, by_ready, flat, record, spoken
from reelscribe.pipeline.said import Said, merged
from reelscribe.pipeline.segments import Segmentation, Span
from reelscribe.pipeline.stages.adopt import Adoption
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.encode import Encoding
from reelscribe.pipeline.stages.pages import write_report
from reelscribe.pipeline.subtitles import write_subtitles

BLOCK = 128
"""Videos that are encoded and answered together at most."""


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
    abstain: bool = True,
    previews: bool = False,
) -> Described:
    """Say of each video what happens in it, and write it all down.

    Args:
        sources: videos, folders, patterns and ``@lists``; see :func:`find_videos`.
        out: the folder of the results.
        place: feature store and workers.
        action: a run that names actions.
        caption: a run that writes captions; where neither is given, the heads that ship are asked.
        segments: how long videos are cut: ``none``, ``shots`` or ``fixed:10s``.
        parquet: write ``results.parquet`` too.
        abstain: hold back actions that are too unsure, or unlike what was trained on.
        previews: small copies of videos that browsers do not play, for their pages.

    Raises:
        ValueError: a run is of the other task, or there is no video.
    """
    segmentation = Segmentation.parse(segments)
    if parquet:
        check_parquet()
    heads = _heads(runs_of(action, caption), place, abstain)
    videos = find_videos(sources, but=out / "report")
    heads, blind = _with_objects(heads)
    if blind:
        say(f"describe: no objects: {blind}")
    run = _Run(heads=heads, segmentation=segmentation)
    records: list[Record] = []
    with (
        Progress("describe", len(videos), "videos") as progress,
        closing(Lines(out / "results.jsonl")) as lines,
    ):
        try:
            size = block_size(len(videos), segmentation, place.runner)
            for first in range(0, len(videos), size):
                for found in run.block(videos[first : first + size], progress):
                    records.append(found)
                    lines.write(found)
                    progress.say(spoken(found))
        except KeyboardInterrupt:
            progress.stop()
            say(f"describe: interrupted, {len(records)} of {len(videos)} are in {lines.path}")
            raise
    page = _write(out, records, run, place, parquet=parquet, previews=previews)
    failed = sum(one["status"] == "failed" for one in records)
    return Described(records=records, page=page, encoded=run.encoded, failed=failed)


def block_size(videos: int, segmentation: Segmentation, runner: Runner) -> int:
    """Return how many videos are encoded and answered together: what a kill may cost of the list.

    A twentieth of them, but not so few that workers wait for each other all the time; plain
    processes start anew for each block. Of long videos the features are held together.
    """
    least = BLOCK // 4 if runner.local else BLOCK // 16
    size = min(max(videos // 20, least), BLOCK)
    return size if segmentation.kind == "none" else min(size, BLOCK // 8)


def _heads(runs: Mapping[str, Path], place: Place, abstain: bool) -> list[Answerer]:
    heads = []
    for task, path in runs.items():
        heads.append(Answerer.load(path, place, abstains=abstain))
        if heads[-1].manifest.task != task:
            raise ValueError(f"--{task} {path} holds a model for {heads[-1].manifest.task}s")
        if ready_as(heads[-1].manifest) is not None:
            say(notice(task))
    _refuse_unlike(heads)
    return heads


def _refuse_unlike(heads: Sequence[Answerer]) -> None:
    """Raise where one video would go by two contents: its own, and that of its features' file."""
    recipes = {head.origin.recipe.fingerprint for head in heads}
    if len(recipes) > 1 and any(isinstance(head.origin, Adoption) for head in heads):
        raise ValueError(
            "one of the two runs reads features that were made elsewhere, the other reads others; "
            "describe with one run at a time"
        )


def _with_objects(heads: Sequence[Answerer]) -> tuple[list[Answerer], str | None]:
    """Let the first head whose encoder can name objects do so; else return why none can."""
    why = None
    for number, head in enumerate(heads):
        try:
            return [*heads[:number], head.with_objects(), *heads[number + 1 :]], None
        except ValueError as error:
            why = why or str(error)
    return list(heads), why


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
        # What fails in segments fails under all its names.
        lost = {
            self.contents[video]: why for video, why in failed.items() if video in self.contents
        }
        for video in videos:
            known = self._known.get(self.contents.get(video, ""))
            if video in failed or known is None:
                why = failed.get(video) or lost[self.contents[video]]
                yield {**blank(video), "status": "failed", "reason": why}
            else:
                yield {**blank(video), "by": self.by, **known}

    @property
    def by(self) -> dict[str, str | None]:
        """Who says what."""
        found: dict[str, str | None] = {"actions": None, "caption": None, "objects": None}
        for head in self.heads:
            found["actions" if head.manifest.task == "action" else "caption"] = head.by
            if head.objects and isinstance(head.origin, Encoding):
                pool = head.origin.backbone.pool
                found["objects"] = f"{head.origin.backbone.name}, ImageNet" + (
                    "" if head.objects.exact else f" (roughly: cells of {pool} overlap)"
                )
        return found

    def _encode(self, videos: Sequence[Path], progress: Progress) -> dict[Path, str]:
        """Encode under each recipe; return the reasons of those that failed under one."""
        failed: dict[Path, str] = {}
        by_recipe = {head.origin.recipe.fingerprint: head for head in self.heads}
        for number, head in enumerate(by_recipe.values(), 1):
            last = number == len(by_recipe)

            def told(path: Path, reason: str | None, last: bool = last) -> None:
                # A video is counted once: when it failed, or the last recipe is done with it.
                if last or reason is not None:
                    progress()

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
            self.encoded += report.encoded
        self._hours += sum(durations.values()) / 3600
        progress.beside = f"{self._hours:.1f} h"
        todo = {s: video for s, video in fresh.items() if video not in failed}
        spans = {s: self._spans(s, todo[s], durations[s]) for s in todo}
        answers = [self._say(head, todo, spans, durations) for head in self.heads]
        found = {}
        for sha256 in todo:
            parts = zip(*(answer[sha256] for answer in answers), strict=True)
            found[sha256] = record(durations[sha256], spans[sha256], [merged(p) for p in parts])
        return found

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


def _write(
    out: Path,
    records: Sequence[Record],
    run: _Run,
    place: Place,
    *,
    parquet: bool,
    previews: bool,
) -> Path:
    write_csv(out / "results.csv", COLUMNS, (flat(one) for one in records))
    if parquet:
        write_parquet(out / "results.parquet", records)
    write_subtitles(out / "subtitles", records)
    about = {what: who for what, who in run.by.items() if who}
    if by_ready(about):
        about["ready heads"] = "ship with Reelscribe, know little: see configs/ready/model_card.md"
    return write_report(
        out,
        records,
        contents=run.contents,
        heads=run.heads,
        segmentation=run.segmentation,
        about=about,
        runner=place.runner,
        previews=previews,
    )
