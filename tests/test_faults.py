"""Faults that are made to happen, in a real Ray: each costs its own video and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reelscribe.pipeline.cache import FeatureStore, read_entry
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner, stop
from reelscribe.pipeline.family import descendants
from reelscribe.pipeline.guard import Limits
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare

pytestmark = pytest.mark.slow

MakeVideo = Callable[..., Path]
PROGRAM = str(Path(sys.executable).parent / "reelscribe")


@pytest.fixture
def videos(tmp_path: Path, make_video: MakeVideo) -> list[Path]:
    """Six small clips that differ."""
    return [
        make_video(tmp_path / "in" / f"{n}.mp4", frames=12, grey=lambda i, n=n: 40 * n + i)
        for n in range(6)
    ]


@pytest.fixture(autouse=True)
def _ray_of_its_own() -> Iterator[None]:
    """Workers get the environment of the moment when Ray starts."""
    stop()
    yield
    stop()


def encoding(cache: Path) -> Encoding:
    return prepare(FramesConfig(count=4), EncoderConfig(), cache)


def contents(cache: Path) -> dict[str, tuple[bytes, bytes]]:
    """All numbers of a store, by the name of the entry; each is checked on the way."""
    found = {}
    for entry in FeatureStore(cache).entries():
        features = read_entry(entry.path)
        found[entry.sha256] = (features.feats_TD.tobytes(), features.pts_T.tobytes())
    return found


def decoders(cache: Path) -> set[str]:
    return {read_entry(e.path).about["decoder"] for e in FeatureStore(cache).entries()}


def with_decord(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **limits: float
) -> Runner:
    """Put a decord that misbehaves before the real one, for the workers of a new Ray."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "decord.py").write_text(code)
    paths = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    return Runner(workers=2, limits=Limits(**{"seconds": 8.0, **limits}))  # type: ignore[arg-type]


DECORD = {
    "crashes": "import ctypes; ctypes.string_at(0)",
    "hangs": "import ctypes; ctypes.PyDLL(None).sleep(3600)",
    "aborts": "import os; os.abort()",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("fault", DECORD)
def test_where_decord_takes_the_worker_down_pyav_reads(
    fault: str,
    videos: list[Path],
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Complaints 11 and 13 (dmlc/decord#25, #156): the decoder ends the process, or never ends."""
    runner = with_decord(DECORD[fault], tmp_path, monkeypatch)
    report = encode(videos[:2], encoding(own_cache), runner)
    assert (report.encoded, report.failed) == (2, {})
    assert decoders(own_cache) == {"pyav"}


def test_a_decoder_that_eats_memory_costs_its_video(
    videos: list[Path], own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complaint 14 (dmlc/decord#157, #208): memory grows until the machine gives up."""
    code = "hoard = [bytearray(2**28) for _ in range(64)]"
    runner = with_decord(code, tmp_path, monkeypatch, memory=2**30)
    report = encode(videos[:1], encoding(own_cache), runner)
    # Either PyAV read it, or it failed with the limit that it broke: never without a word.
    assert report.failed.get(videos[0], "needs more than 1.0 GiB") == "needs more than 1.0 GiB"
    assert len(report.contents) + len(report.failed) == 1
    good = encode(videos[1:2], encoding(own_cache), Runner(workers=1, local=True))
    assert set(good.contents) | set(good.failed) == {videos[1]}


def test_a_video_that_changes_while_it_is_read_is_told(
    videos: list[Path], own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"open({str(videos[0])!r}, 'ab').write(b'more'); raise ImportError('none today')"
    runner = with_decord(code, tmp_path, monkeypatch)
    report = encode(videos[:1], encoding(own_cache), runner)
    assert report.failed == {
        videos[0]: "changed while it was being read; run again when it is whole"
    }
    assert contents(own_cache) == {}


def test_a_video_that_vanishes_while_the_run_goes_on_is_told(
    videos: list[Path], own_cache: Path
) -> None:
    def vanishing() -> Iterator[Path]:
        yield from videos[:4]
        videos[4].unlink()
        yield from videos[4:]

    report = encode(vanishing(), encoding(own_cache), Runner(workers=1))
    assert report.failed == {videos[4]: "no such file or directory"}
    assert len(report.contents) == 5


def kill_a_busy_worker() -> bool:
    for pid in descendants():
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::guarded_pack"):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_workers_that_are_killed_cost_nothing(
    own_cache: Path, tmp_path: Path, make_video: MakeVideo, graphs: Path
) -> None:
    """Complaint 25 (Ray#49227): one dead worker ends the job."""
    many = [
        make_video(tmp_path / "many" / f"{n:02}.mp4", frames=24, grey=lambda i, n=n: 4 * n + i)
        for n in range(40)
    ]
    ended = kills = 0

    def told(path: Path, reason: str | None) -> None:
        nonlocal ended, kills
        assert reason is None
        ended += 1
        if ended % 5 == 0:
            kills += kill_a_busy_worker()

    report = encode(many, encoding(own_cache), Runner(workers=2), told=told)
    assert kills >= 2
    assert (len(report.contents), report.failed) == (40, {})
    undisturbed = fresh_cache(tmp_path / "other", graphs)
    encode(many, encoding(undisturbed), Runner(workers=2, local=True))
    assert contents(own_cache) == contents(undisturbed)


def fresh_cache(folder: Path, graphs: Path) -> Path:
    folder.mkdir()
    (folder / "graphs").symlink_to(graphs)
    return folder


DRIVER = """
import sys
from dataclasses import replace
from pathlib import Path
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.stages.encode import encode, prepare
folder, cache, local = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "local"
encoding = prepare(FramesConfig(fps=10.0), EncoderConfig(), cache)
# Even these videos count as long, and are cut.
encoding = replace(encoding, long=0.5, piece=0.3)
report = encode(sorted(folder.iterdir()), encoding, Runner(workers=2, local=local))
print("done", len(report.contents), report.failed)
"""


def test_a_driver_that_is_killed_twenty_times_ends_as_if_it_had_not_been(
    tmp_path: Path, make_video: MakeVideo, graphs: Path
) -> None:
    """Complaint 25 (Ray#33627, #40287): resume reads everything again, or mixes it up."""
    folder = tmp_path / "many"
    for n in range(120):
        make_video(folder / f"{n:03}.mp4", frames=20, grey=lambda i, n=n: (2 * n + i) % 256)
    long = make_video(folder / "long.mp4", frames=900, keyint=30, grey=lambda i: i % 256)
    caches = {name: fresh_cache(tmp_path / name, graphs) for name in ("calm", "killed")}
    command = [sys.executable, "-c", DRIVER, str(folder)]
    calm = subprocess.check_output([*command, str(caches["calm"]), "local"], text=True)
    assert calm == "done 121 {}\n"
    dice = random.Random(0)
    for turn in range(20):
        way = "local" if turn % 2 else "ray"
        with subprocess.Popen(
            [*command, str(caches["killed"]), way],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as run:
            time.sleep(dice.uniform(0.5, 3.0) + (0 if way == "local" else 2.5))
            run.send_signal(signal.SIGKILL)
    done = subprocess.check_output([*command, str(caches["killed"]), "ray"], text=True)
    assert done == "done 121 {}\n"
    calm_store, killed_store = (contents(cache) for cache in caches.values())
    assert killed_store.keys() == calm_store.keys()
    for sha256, (feats, pts) in calm_store.items():
        assert killed_store[sha256][1] == pts
        np.testing.assert_allclose(
            np.frombuffer(killed_store[sha256][0], np.float32),
            np.frombuffer(feats, np.float32),
            atol=1e-5,
            rtol=0,
        )
    assert not list((caches["killed"] / "features").rglob("*.pieces"))
    assert long.is_file()


@pytest.mark.parametrize("way", [[], ["--local"]])
def test_ctrl_c_ends_soon_and_says_how_to_go_on(
    way: list[str], tmp_path: Path, own_cache: Path, make_video: MakeVideo
) -> None:
    folder = tmp_path / "many"
    for n in range(200):
        make_video(folder / f"{n:03}.mp4", frames=8, grey=lambda i, n=n: (n + 30 * i) % 256)
    command = [PROGRAM, "encode", str(folder), "--workers", "2", *way]
    with subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + 120
        while len(list(FeatureStore(own_cache).entries())) < 6:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        began = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=30)
        took = time.monotonic() - began
    assert run.returncode == 130
    assert took < 3.0
    assert "of 200 videos are done and kept" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    kept = len(list(FeatureStore(own_cache).entries()))
    assert 6 <= kept < 200
    again = subprocess.run(
        [PROGRAM, "encode", str(folder), "--local", "--json"], capture_output=True, text=True
    )
    assert json.loads(again.stdout)["encoded"] == 200 - kept


def test_two_runs_on_one_store_do_not_mix(
    tmp_path: Path, own_cache: Path, make_video: MakeVideo
) -> None:
    folder = tmp_path / "many"
    for n in range(40):
        make_video(folder / f"{n:02}.mp4", frames=8, grey=lambda i, n=n: (5 * n + 20 * i) % 256)
    command = [PROGRAM, "encode", str(folder), "--workers", "1", "--json"]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(run.communicate(timeout=300)[0]) for run in runs]
    assert [len(answer["videos"]) for answer in answers] == [40, 40]
    assert answers[0]["videos"] == answers[1]["videos"]
    assert 40 <= answers[0]["encoded"] + answers[1]["encoded"] <= 80
    assert len(contents(own_cache)) == 40, "every one of them is whole"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a disk of its own with the options given."""
    mounted = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this user may not mount a disk")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("way", [[], ["--local"]])
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(
    way: list[str],
    small_disk: Callable[[str], Path],
    tmp_path: Path,
    graphs: Path,
    make_video: MakeVideo,
) -> None:
    folder = tmp_path / "many"
    for n in range(30):
        make_video(folder / f"{n:02}.mp4", frames=8, grey=lambda i, n=n: (7 * n + 20 * i) % 256)
    cache = small_disk("size=1m")
    (cache / "graphs").symlink_to(graphs)
    command = [PROGRAM, "encode", str(folder), "--cache", str(cache), "--workers", "2", *way]
    full = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert full.returncode == 2
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: the feature store {cache} cannot be written (No space left")
    assert "the same command goes on" in last
    kept = len(contents(cache))
    assert 0 < kept < 30
    subprocess.run(["mount", "-o", "remount,size=64m", str(cache)], check=True)
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert json.loads(again.stdout)["encoded"] == 30 - kept


def test_a_store_that_is_read_only_is_said_before_anything_is_encoded(
    small_disk: Callable[[str], Path], videos: list[Path], graphs: Path
) -> None:
    cache = small_disk("size=8m")
    (cache / "graphs").symlink_to(graphs)
    assert encode(videos[:2], encoding(cache), Runner(workers=1, local=True)).encoded == 2
    subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
    command = [PROGRAM, "encode", "--cache", str(cache), "--set", "frames.count=4"]
    refused = subprocess.run([*command, str(videos[0].parent)], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "cannot be written (Read-only file system)" in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("error: the feature store")
    # What it has, it gives.
    found = subprocess.run([*command, *map(str, videos[:2])], capture_output=True, text=True)
    assert found.stdout.startswith("0 encoded, 2 from the store"), found.stderr
    assert found.returncode == 0


def test_whatever_lies_in_a_folder_costs_one_line_each(
    videos: list[Path], own_cache: Path, tmp_path: Path
) -> None:
    """Complaints 2, 7 and 16: which file it was, and why, is what nobody tells."""
    folder = videos[0].parent
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video at all\n" * 100)
    (folder / "cut.mp4").write_bytes(videos[0].read_bytes()[:600])
    with wave.open(str(folder / "sound.mp4"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "broken link.mp4").symlink_to(tmp_path / "nothing")
    (folder / "loop.mp4").symlink_to(folder / "pool.mp4")
    (folder / "pool.mp4").symlink_to(folder / "loop.mp4")
    (folder / "link.mp4").symlink_to(videos[1])
    shutil.copy(videos[2], folder / "odd 'name\"\n%s.mp4")
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"x" * 50)
    ended = subprocess.run(
        [PROGRAM, "encode", str(folder), "--json"], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 3, ended.stderr
    answer = json.loads(ended.stdout)
    assert len(answer["videos"]) == 8
    reasons = {Path(path).name: reason for path, reason in answer["failed"].items()}
    assert reasons.pop("empty.mp4") == "empty file"
    assert reasons.pop("text.mp4").startswith("FFmpeg cannot open it")
    assert reasons.pop("cut.mp4").startswith("FFmpeg cannot open it")
    assert reasons.pop("sound.mp4") == "no video stream"
    assert reasons.pop("pipe.mp4") == "no regular file"
    assert reasons.pop("broken link.mp4") == "no such file or directory"
    assert reasons.pop("loop.mp4") == "too many levels of symbolic links"
    assert reasons.pop("pool.mp4") == "too many levels of symbolic links"
    assert reasons.pop(os.fsdecode(b"caf\xe9.mp4")).startswith("FFmpeg cannot open it")
    assert reasons == {}


def test_an_entry_of_another_format_is_made_again(videos: list[Path], own_cache: Path) -> None:
    local = Runner(workers=1, local=True)
    first = encode(videos[:2], encoding(own_cache), local)
    before = contents(own_cache)
    path = FeatureStore(own_cache).path(first.contents[videos[0]], first.recipe)
    path.write_bytes(path.read_bytes().replace(b'"format":"1"', b'"format":"0"'))
    again = encode(videos[:2], encoding(own_cache), local)
    assert again.encoded == 1
    assert contents(own_cache) == before


@pytest.mark.parametrize("fault", ["flipped", "cut", "gone"])
def test_a_damaged_entry_is_encoded_again_when_it_is_read(
    fault: str, videos: list[Path], own_cache: Path
) -> None:
    from reelscribe.pipeline.stages.encode import read_features

    made = encoding(own_cache)
    report = encode(videos[:1], made, Runner(workers=1, local=True))
    store, sha256 = FeatureStore(own_cache), report.contents[videos[0]]
    before = contents(own_cache)
    path = store.path(sha256, made.recipe)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data[:-9] if fault == "cut" else data))
    if fault == "gone":
        path.unlink()
    found = read_features(store, videos[0], sha256, made)
    assert before[sha256][0] == found.feats_TD.tobytes()
    assert contents(own_cache) == before
    # The video is gone too: then nothing can be made again, and that is said.
    path.write_bytes(data)
    videos[0].unlink()
    with pytest.raises(ValueError, match="the video is no longer what it was"):
        read_features(store, videos[0], sha256, made)
