"""Strips: one film strip a video, for the pages.

Reads videos; writes ``<folder>/<sha256>.jpg``. A strip that is there is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.guard import Done
from reelscribe.pipeline.progress import Progress, say
from reelscribe.pipeline.report.strips import make_strip, strip_name


@dataclass(frozen=True, kw_only=True)
class StripJob:
    """One strip to be made."""

    video: Path
    out: Path


def draw(job: StripJob) -> None:
    """Make one strip. Runs in a worker process."""
    make_strip(job.video, job.out)


def strips_of(contents: Mapping[Path, str], report: Path, runner: Runner) -> dict[Path, str]:
    """Make the strips that ``report`` lacks; return each video's, relative to ``report``.

    A video whose strip cannot be drawn has none, and the page shows it without.
    """
    names = {video: strip_name(sha256) for video, sha256 in contents.items()}
    missing = {
        name: StripJob(video=video, out=report / name)
        for video, name in names.items()
        if not (report / name).is_file()
    }
    undrawn: set[str] = set(missing)
    with Progress("film strips", len(missing), "videos") as progress:
        for name in _drawn(missing, runner):
            undrawn.discard(name)
            progress()
    return {video: name for video, name in names.items() if name not in undrawn}


def _drawn(missing: Mapping[str, StripJob], runner: Runner) -> Iterator[str]:
    by_out = {job.out: name for name, job in missing.items()}
    for outcome in runner.run(draw, missing.values()):
        if isinstance(outcome, Done):
            yield by_out[outcome.job.out]
        else:
            say(f"no film strip of {outcome.job.video}: {outcome.reason}")
