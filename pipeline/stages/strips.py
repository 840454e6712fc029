"""Strips: one film strip a video for the pages, and a preview of what browsers do not play.

Reads videos; writes ``strips/<sha256>.jpg`` and ``previews/<sha256>.mp4`` below a report. What is
there is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.guard import Done
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.report.previews import UNPLAYABLE, make_preview, preview_name
from reelscribe.pipeline.report.strips import make_strip, strip_name


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """One strip or preview to be made."""

    video: Path
    out: Path


def draw(job: PictureJob) -> None:
    """Make what the name of the output asks for. Runs in a worker process."""
    make = make_preview if job.out.suffix == ".mp4" else make_strip
    make(job.video, job.out)


def strips_of(contents: Mapping[Path, str], report: Path, runner: Runner) -> dict[Path, str]:
    """Make the strips that ``report`` lacks; return each video's, relative to ``report``.

    A video whose strip cannot be drawn has none, and the page shows it without.
    """
    names = {video: strip_name(sha256) for video, sha256 in contents.items()}
    return _made(names, report, runner, what="film strip")


def previews_of(contents: Mapping[Path, str], report: Path, runner: Runner) -> dict[Path, str]:
    """Make previews of videos whose format browsers do not play, as :func:`strips_of` does."""
    names = {
        video: preview_name(sha256)
        for video, sha256 in contents.items()
        if video.suffix.lower() in UNPLAYABLE
    }
    return _made(names, report, runner, what="preview")


def _made(names: Mapping[Path, str], report: Path, runner: Runner, *, what: str) -> dict[Path, str]:
    missing = {
        name: PictureJob(video=video, out=report / name)
        for video, name in names.items()
        if not (report / name).is_file()
    }
    undrawn: set[str] = set(missing)
    with Progress(f"{what}s", len(missing), "videos") as progress:
        for name in _drawn(missing, runner, what):
            undrawn.discard(name)
            progress()
    return {video: name for video, name in names.items() if name not in undrawn}


def _drawn(missing: Mapping[str, PictureJob], runner: Runner, what: str) -> Iterator[str]:
    by_out = {job.out: name for name, job in missing.items()}
    for outcome in runner.run(draw, missing.values()):
        if isinstance(outcome, Done):
            yield by_out[outcome.job.out]
        else:
            say(f"no {what} of {outcome.job.video}: {outcome.reason}")
