"""Describe, as a user runs it: a folder of anything in, every video accounted for."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import webvtt

from reelscribe import pipeline as api
from reelscribe.datasets.sampling import Sampling
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages import describe as describing
from reelscribe.pipeline.stages.adopt import prepare_adoption
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.encode import Encoding

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(trained: Any, tmp_path: Path) -> Path:
    """Good clips with odd names, in sub-folders; four broken ones; and what is no video."""
    made = sorted(Path(trained.clips).rglob("*.mp4"))
    root = tmp_path / "My Videos"
    for source, name in zip(
        made,
        [
            "a b.mp4",
            "sub folder/Strasse \u00fc.mp4",
            "<img src=x onerror=alert(1)>.mp4",
            "a'\"&.MP4",
        ],
        strict=False,
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _copy_of_its_own(source, root / name)
    (root / "empty.mp4").touch()
    (root / "text.mp4").write_text("this is no video")
    (root / "cut.mp4").write_bytes(made[0].read_bytes()[:1500])
    (root / "folder.mp4").mkdir()
    (root / "notes.txt").write_text("left out")
    (root / ".hidden.mp4").write_bytes(made[0].read_bytes())
    return root


def _copy_of_its_own(source: Path, target: Path) -> None:
    """Copy a clip and add an empty box to its end: the same film, but bytes nobody has seen."""
    target.write_bytes(source.read_bytes() + b"\0\0\0\x08free")


def described(out: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return {row["path"]: row for row in rows}


@pytest.mark.slow
def test_good_clips_are_described_and_bad_ones_named(
    trained: Any, folder: Path, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    """Complaint 23 (SAAT#1): "how do I caption MY video?"; complaints 7, 16: which one failed, why.

    The second call encodes nothing; one clip more encodes one clip.
    """
    command = ["describe", folder, "--out", "out", "--action", trained.action]
    command += ["--caption", trained.caption]
    ended = reelscribe(*command)
    assert ended.returncode == 3, ended.stderr
    out = tmp_path / "out"
    rows = described(out)
    assert list(rows) == sorted(rows, key=lambda path: (str(Path(path).parent), path))
    assert len(rows) == 7
    failed = {Path(path).name: row["reason"] for path, row in rows.items() if row["reason"]}
    assert set(failed) == {"empty.mp4", "text.mp4", "cut.mp4"}
    for name, reason in failed.items():
        assert f"{name}: {reason}" in ended.stderr
    good = [row for row in rows.values() if row["status"] == "ok"]
    for row in good:
        assert row["duration"] > 1
        assert sum(action["probability"] for action in row["actions"]) <= 1.001
        assert row["caption"]
        assert row["segments"][0]["end"] == row["duration"]
    assert "4 described, 3 failed, 4 encoded now" in ended.stdout
    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["path"] for row in table] == list(rows)
    assert len(list((out / "subtitles").rglob("*.vtt"))) == 4
    _page_is_whole(out)

    times = {path: path.stat().st_mtime_ns for path in Path(trained.cache).rglob("*.safetensors")}
    assert "0 encoded now" in reelscribe(*command).stdout
    assert times == {path: path.stat().st_mtime_ns for path in times}
    _copy_of_its_own(sorted(Path(trained.clips).rglob("*.mp4"))[9], folder / "new.mp4")
    assert "5 described, 3 failed, 1 encoded now" in reelscribe(*command).stdout


@pytest.fixture(autouse=True)
def _shared_store(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSCRIBE_CACHE", str(trained.cache))


class _Page(HTMLParser):
    """Collects the sources of pictures and players, the lanes, and the JSON of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sources: dict[str, list[str]] = {"img": [], "video": []}
        self.lanes: list[str] = []
        self.records: list[dict[str, Any]] = []
        self._in_json = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert not any(name.startswith("on") for name in values)
        if tag in self.sources:
            self.sources[tag].append(unquote(str(values.get("src"))))
        if values.get("class") == "lane":
            self.lanes.append(str(values["aria-label"]))
        self._in_json = values.get("id") == "records"

    def handle_data(self, data: str) -> None:
        if self._in_json:
            self.records = json.loads(data)
            self._in_json = False


def _page_is_whole(out: Path) -> None:
    """Every good video has a card with its strip, and a page that plays it and shows its lens."""
    report = out / "report"
    good = [one for one in _Page(report / "index.html").records if one["ok"]]
    assert len({one["strip"][0] for one in good}) == 4
    assert all((report / one["strip"][0]).is_file() for one in good)
    for one in good:
        page = report / one["page"]
        found = _Page(page)
        (video,) = found.sources["video"]
        assert (page.parent / video).resolve() == Path(one["folder"] + one["name"]).resolve()
        assert all((page.parent / src).is_file() for src in found.sources["img"])
        assert [label.partition(":")[0] for label in found.lanes][-2:] == [
            "Memory",
            "attention of {} words over 4 frames".format(len(one["caption"].split())),
        ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["."], "no videos in ."),
        ([".", "--abstain", "maybe"], "--abstain maybe: allowed are on and off"),
        (["clip.mp4", "--action", "."], ". holds no trained model"),
    ],
)
def test_mistakes_are_one_line(
    trained: Any, reelscribe: Reelscribe, arguments: list[str], said: str
) -> None:
    heads = [] if "--action" in arguments else ["--action", trained.action]
    ended = reelscribe("describe", *arguments, *heads, "--out", "out", "--local")
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_run_of_the_wrong_kind_is_refused(trained: Any, reelscribe: Reelscribe) -> None:
    ended = reelscribe("describe", trained.clips, "--out", "out", "--action", trained.caption)
    assert ended.returncode == 2
    assert "holds a model for captions" in ended.stderr


@pytest.mark.slow
def test_names_that_are_no_text_are_described(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    source = sorted(Path(trained.clips).rglob("*.mp4"))[0]
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [b"\xff\xfe.mp4", b"line\nend.mp4", b"-dash.mp4", b"x" * 251 + b".mp4"]
    for number, name in enumerate(names, 2):
        # Bytes that nobody has seen: each is decoded under its own name.
        boxes = b"\0\0\0\x08free" * number
        (folder / os.fsdecode(name)).write_bytes(source.read_bytes() + boxes)
    command = ["describe", folder, "--out", "out", "--local", "--action", trained.action]
    ended = reelscribe(*command)
    assert ended.returncode == 0, ended.stderr
    found = [os.fsencode(Path(path).name) for path in described(tmp_path / "out")]
    assert sorted(found) == sorted(names)


@pytest.fixture
def long_video(trained: Any, tmp_path: Path) -> Path:
    """Half a minute: made clips one after the other, copied packet by packet."""
    path = tmp_path / "long" / "long.mp4"
    path.parent.mkdir()
    clips = sorted(Path(trained.clips).rglob("*.mp4"))[:12]
    at = 0
    with av.open(str(path), "w") as out:
        stream: Any = None
        for clip in clips:
            with av.open(str(clip)) as file:
                template = file.streams.video[0]
                stream = stream or out.add_stream_from_template(template)
                end = at
                for packet in file.demux(template):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts += at
                    packet.dts += at
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.stream = stream
                    out.mux(packet)
                at = end
    return path


@pytest.mark.parametrize("segments", ["fixed:5s", "shots"])
def test_a_long_video_has_a_timeline(
    trained: Any, long_video: Path, tmp_path: Path, reelscribe: Reelscribe, segments: str
) -> None:
    command = ["describe", long_video.parent, "--out", "out", "--local", "--segments", segments]
    command += ["--action", trained.action, "--caption", trained.caption, "--abstain", "off"]
    ended = reelscribe(*command)
    assert ended.returncode == 0, ended.stderr
    (row,) = described(tmp_path / "out").values()
    spans = [(part["start"], part["end"]) for part in row["segments"]]
    assert len(spans) >= 2
    assert spans[0][0] == 0.0
    assert spans[-1][1] == row["duration"] > 20
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    if segments == "fixed:5s":
        assert [end - start for start, end in spans[:-1]] == [5.0] * (len(spans) - 1)
    assert len(row["objects"]) == 5
    for part in row["segments"]:
        assert len(part["objects"]) == 5
        assert part["actions"]
        assert part["caption"]
    best = {part["actions"][0]["label"] for part in row["segments"]}
    assert row["actions"][0]["label"] in {
        action["label"] for part in row["segments"] for action in part["actions"]
    }
    assert best
    assert row["caption"] in {part["caption"] for part in row["segments"]}
    # Subtitles, read by a parser that is not ours.
    (track,) = (tmp_path / "out" / "subtitles").rglob("*.vtt")
    cues = webvtt.read(str(track)).captions
    assert len(cues) == len(spans)
    assert [cue.start_in_seconds for cue in cues] == pytest.approx(
        [int(start) for start, _ in spans]
    )
    assert len(webvtt.from_srt(str(track.with_suffix(".srt"))).captions) == len(spans)
    # The second call encodes nothing.
    assert "0 encoded now" in reelscribe(*command).stdout


def test_features_that_others_made_show_no_objects(trained: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((4, 1280), np.float32))
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    head = Answerer.load(trained.action, place)
    assert describing._with_objects([head])[1] is None
    made = replace(head, origin=prepare_adoption(tmp_path, trained.cache))
    heads, why = describing._with_objects([made])
    assert (heads, why) == ([made], "its features were made elsewhere")


def test_the_same_content_is_described_once_and_listed_twice(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    clips = sorted(Path(trained.clips).rglob("*.mp4"))[:2]
    (tmp_path / "in").mkdir()
    for name, clip in {"a.mp4": clips[0], "b.mp4": clips[1], "c.mp4": clips[0]}.items():
        shutil.copy(clip, tmp_path / "in" / name)
    out = tmp_path / "out"
    command = ["describe", "in", "--out", out, "--local", "--action", trained.action, "--parquet"]
    ended = reelscribe(*command)
    assert ended.returncode == 0, ended.stderr
    rows = list(described(out).values())
    assert [Path(row["path"]).name for row in rows] == ["a.mp4", "b.mp4", "c.mp4"]
    assert {**rows[0], "path": ""} == {**rows[2], "path": ""}
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert table == rows
    # A line a video as it ends, and hours of footage.
    assert "in/a.mp4: " in ended.stderr
    assert " h" in ended.stderr.splitlines()[-1] or "describe: 3/3" in ended.stderr


def test_a_run_that_is_killed_leaves_whole_lines(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sorted(Path(trained.clips).rglob("*.mp4"))[:9]
    monkeypatch.setattr(describing, "block_size", lambda videos, segmentation, runner: 3)
    real, blocks = describing._Run.block, []

    def dies(self: Any, videos: Any, progress: Any) -> Any:
        blocks.append(videos)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return real(self, videos, progress)

    monkeypatch.setattr(describing._Run, "block", dies)
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    with pytest.raises(KeyboardInterrupt):
        describing.describe(clips, tmp_path / "out", place, action=trained.action)
    assert list(described(tmp_path / "out")) == [str(clip) for clip in clips[:6]]
    monkeypatch.setattr(describing._Run, "block", real)
    done = describing.describe(clips, tmp_path / "out", place, action=trained.action)
    assert (len(done.records), done.encoded) == (9, 0)


def test_a_kill_costs_the_list_a_twentieth() -> None:
    whole, cut = Segmentation.parse("none"), Segmentation.parse("fixed:2s")
    ray, local = (Runner(workers=2, local=value) for value in (False, True))
    size = describing.block_size
    assert [size(videos, whole, ray) for videos in (1, 100, 200, 1000, 10_000)] == [
        8,
        8,
        10,
        50,
        128,
    ]
    assert [size(videos, whole, local) for videos in (1, 100, 1000, 10_000)] == [32, 32, 50, 128]
    assert [size(videos, cut, ray) for videos in (100, 10_000)] == [8, 16]


def test_a_library_call_gives_the_same_as_values(trained: Any, tmp_path: Path) -> None:
    clips = sorted(Path(trained.clips).rglob("*.mp4"))[:2]
    broken = tmp_path / "broken.mp4"
    broken.touch()
    first, second, third = api.describe(
        [*clips, broken],
        tmp_path / "out",
        action=trained.action,
        parquet=True,
        abstain=False,
        previews=True,
        cache=trained.cache,
        local=True,
    )
    assert (tmp_path / "out" / "results.parquet").is_file()
    assert (first.path, first.ok, first.reason) == (clips[0], True, None)
    assert first.actions[0].probability >= first.actions[1].probability
    assert first.segments[0].end == first.duration
    assert second.caption is None
    assert (third.ok, third.reason, third.actions) == (False, "empty file", ())


def test_a_video_that_one_recipe_alone_fails_is_counted(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two heads that look at other frames: the broken video is tried by the first alone."""
    caption = Path(shutil.copytree(trained.caption, tmp_path / "caption"))
    manifest = json.loads((caption / "model.json").read_text())
    count = manifest["frames"]["count"] + 1
    manifest["frames"]["count"] = manifest["recipe"]["frames"]["count"] = count
    (caption / "model.json").write_text(json.dumps(manifest))
    # A store of its own: other tests count what theirs lacks.
    store = Path(shutil.copytree(trained.cache, tmp_path / "store"))
    clip = sorted(Path(trained.clips).rglob("*.mp4"))[0]
    broken = tmp_path / "broken.mp4"
    broken.touch()
    found = describing.describe(
        [clip, broken],
        tmp_path / "out",
        Place(cache=store, runner=Runner(workers=1, local=True)),
        action=trained.action,
        caption=caption,
    )
    ended = [(one["status"], one["reason"]) for one in found.records]
    assert ended == [("ok", None), ("failed", "empty file")]
    assert "describe: 2/2 in " in capsys.readouterr().err


def test_a_video_that_fails_in_segments_fails_under_all_its_names(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe, make_video: Callable[..., Path]
) -> None:
    """A few frames are read well, and one of those that segments want is damaged."""
    path = make_video(tmp_path / "in" / "a.mp4", frames=64, rate=8, keyint=1)
    with av.open(str(path)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at, size = places[1]
    assert at is not None
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    shutil.copy(path, path.with_name("b.mp4"))
    good = reelscribe("describe", "in", "--out", "whole", "--local", "--action", trained.action)
    assert good.returncode == 0, good.stderr
    command = ["describe", "in", "--out", "out", "--local", "--action", trained.action]
    ended = reelscribe(*command, "--segments", "fixed:1s")
    assert ended.returncode == 3, ended.stderr
    one, other = described(tmp_path / "out").values()
    assert one["status"] == other["status"] == "failed"
    assert one["reason"] == other["reason"]


def test_what_an_earlier_call_wrote_is_not_described(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(sorted(Path(trained.clips).rglob("*.mp4"))[0], tmp_path / "in" / "a.avi")
    for _ in range(2):
        ended = reelscribe(
            *("describe", "in", "--out", "in/found", "--previews", "--local"),
            *("--action", trained.action),
        )
        assert ended.returncode == 0, ended.stderr
        assert list((tmp_path / "in" / "found" / "report" / "previews").glob("*.mp4"))
        (row,) = described(tmp_path / "in" / "found").values()
        assert row["path"] == "in/a.avi"


def test_segments_are_looked_at_as_often_as_the_head_is_used_to(trained: Any) -> None:
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    head = Answerer.load(trained.action, place)
    assert isinstance(head.origin, Encoding)
    cut = Segmentation.parse("fixed:2s")
    made = head.denser(cut)
    assert isinstance(made, Encoding)
    assert made.sampling == Sampling(fps=2.0)  # Four frames of a clip, in two seconds.
    # A limit for a whole video is none for its segments.
    limited = replace(head, origin=replace(head.origin, sampling=Sampling(fps=3.0, at_most=2)))
    made = limited.denser(cut)
    assert isinstance(made, Encoding)
    assert made.sampling == Sampling(fps=3.0)


def test_two_runs_of_different_features_are_refused_where_one_was_made_elsewhere(
    trained: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((4, 1280), np.float32))
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    head = Answerer.load(trained.action, place)
    made = replace(head, origin=prepare_adoption(tmp_path, trained.cache))
    with pytest.raises(ValueError, match="describe with one run at a time"):
        describing._refuse_unlike([made, head])
    describing._refuse_unlike([made, made])
    describing._refuse_unlike([head, head])
