"""Describe: videos and folders -> what is in them.

Reads videos and one or two trained runs; writes ``results.jsonl`` and ``results.csv`` (in the order
of the input), ``subtitles/<path>.vtt`` and ``.srt``, and ``report/index.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.checkpoint import Head, Manifest, load_head
from reelscribe.pipeline.config import EncoderConfig, FramesConfig, parse_section
from reelscribe.pipeline.files import write_csv, write_jsonl
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.report.gallery import write_gallery
from reelscribe.pipeline.stages.encode import (
    Origin,
    Report,
    encode_with_progress,
    origin,
    read_features,
)
from reelscribe.pipeline.stages.strips import strips_of
from reelscribe.pipeline.subtitles import write_subtitles
from reelscribe.pipeline.tasks import captions, probabilities

TOP = 5
"""Actions a video that are written down."""

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
) -> Described:
    """Say of each video what happens in it, and write it all down.

    Args:
        sources: videos and folders.
        out: the folder of the results.
        place: feature store and workers.
        action: a run that names actions.
        caption: a run that writes captions.

    Raises:
        ValueError: no run is given, a run is of the other task, or there is no video.
    """
    asked = {"action": action, "caption": caption}
    runs = {task: run for task, run in asked.items() if run is not None}
    heads = {task: load_head(run) for task, run in runs.items()}
    if not heads:
        raise ValueError(
            "nothing to describe with: give --action RUN, --caption RUN or both "
            "(a RUN is the folder that `reelscribe train` wrote)"
        )
    for task, (_, manifest) in heads.items():
        if manifest.task != task:
            raise ValueError(f"--{task} {runs[task]} holds a model for {manifest.task}s")
    videos = find_videos(sources)
    records: list[Record] = [_blank(video) for video in videos]
    reports = []
    for task, (head, manifest) in heads.items():
        encoding, report = features_for(videos, manifest, runs[task], place)
        reports.append(report)
        _answer(records, videos, head, manifest, report, encoding)
    _note_failures(records, videos, reports)
    contents = {video: sha for report in reports for video, sha in report.contents.items()}
    page = _write(out, records, videos, contents, runs, place)
    return Described(
        records=records,
        page=page,
        encoded=sum(report.encoded for report in reports),
        failed=sum(record["status"] == "failed" for record in records),
    )


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


def features_for(
    videos: Sequence[Path], manifest: Manifest, run: Path, place: Place
) -> tuple[Origin, Report]:
    """Bring the features that this head was trained on into the store."""
    frames: FramesConfig = parse_section(FramesConfig, manifest.frames, where=str(run))
    encoder: EncoderConfig = parse_section(EncoderConfig, manifest.encoder, where=str(run))
    encoding = origin(frames, encoder, place.cache)
    manifest.refuse_other_features(encoding.recipe, run)
    what = f"encode for {manifest.task}s"
    report = encode_with_progress(
        videos, encoding, place.runner, what=what, unit="videos", name_failures=False
    )
    return encoding, report


def _answer(
    records: Sequence[Record],
    videos: Sequence[Path],
    head: Head,
    manifest: Manifest,
    report: Report,
    encoding: Origin,
) -> None:
    store = FeatureStore(encoding.store)
    found = []
    for record, video in zip(records, videos, strict=True):
        sha256 = report.contents.get(video)
        if sha256 is not None:
            features = read_features(store, video, sha256, encoding)
            record["duration"] = round(float(features.about["duration"]), 3)
            found.append((record, torch.from_numpy(features.feats_TD)))
    if not found:
        return
    feats = [feats_TD for _, feats_TD in found]
    if isinstance(head, ActionHead):
        for (record, _), row_K in zip(found, probabilities(head, feats), strict=True):
            record["actions"] = [
                {"label": manifest.labels[k], "probability": round(float(row_K[k]), 4)}
                for k in row_K.argsort()[::-1][:TOP]
            ]
    else:
        said = captions(head, feats, **manifest.search)
        for (record, _), best in zip(found, said, strict=True):
            record["caption"] = manifest.vocabulary.decode(best.words)


def _note_failures(
    records: Sequence[Record], videos: Sequence[Path], reports: Sequence[Report]
) -> None:
    """A video that failed under one recipe failed; then fill in the whole video's segment."""
    for record, video in zip(records, videos, strict=True):
        reasons = [report.failed[video] for report in reports if video in report.failed]
        if reasons:
            record |= {**_blank(video), "status": "failed", "reason": reasons[0]}
            say(f"failed: {video}: {reasons[0]}")
            continue
        record["segments"] = [
            {
                "start": 0.0,
                "end": record["duration"],
                "actions": record["actions"],
                "caption": record["caption"],
            }
        ]


def _write(
    out: Path,
    records: Sequence[Record],
    videos: Sequence[Path],
    contents: Mapping[Path, str],
    runs: Mapping[str, Path],
    place: Place,
) -> Path:
    write_jsonl(out / "results.jsonl", records)
    write_csv(out / "results.csv", COLUMNS, (_flat(record) for record in records))
    write_subtitles(out / "subtitles", records)
    strips = strips_of(contents, out / "report", place.runner)
    about = {f"{task} model": str(run) for task, run in runs.items()}
    return write_gallery(
        out,
        records,
        strips={str(video): name for video, name in strips.items()},
        title=f"{len(videos)} videos, described",
        about=about,
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
