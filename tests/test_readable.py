"""Clips that cannot be opened: each is named with its reason, and one that crashes costs itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reelscribe.datasets.clip import Finding, Source
from reelscribe.datasets.folder import load
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.readable import NAMED, about_reading, open_video

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
RUNNER = Runner(workers=1, local=True)


def clips(root: Path, good: Path, count: int = 4) -> Path:
    """Lay out two classes of one good clip."""
    for n in range(count):
        (root / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (root / "ab"[n % 2] / f"{n}.mp4").write_bytes(good.read_bytes() + bytes([n]))
    return root


def found(root: Path, work: Callable[[Path], int] = open_video) -> Finding:
    (finding,) = about_reading([partial(load, Source(root=root))] * 2, RUNNER, work=work)
    return finding


def test_each_kind_of_damage_is_named(tmp_path: Path, make_video: Callable[..., Path]) -> None:
    good = make_video(frames=30)
    root = clips(tmp_path / "in", good)
    assert found(root) == Finding(level="note", text="all 4 clips on disk can be read")
    raw = good.read_bytes()
    for name, data in (
        ("cut", raw[: len(raw) // 2]),
        ("empty", b""),
        ("noise", os.urandom(5000)),
        ("text", b"no video"),
        # The list of packets is whole; what the first of them holds is not.
        ("zeros", raw[:48] + bytes(len(raw) // 2) + raw[48 + len(raw) // 2 :]),
    ):
        (root / "a" / f"{name}.mp4").write_bytes(data)
    bad = found(root)
    assert bad.level == "error"
    assert bad.text == "5 of 9 clips cannot be read; copy or download them again"
    assert [Path(line.partition(": ")[0]).stem for line in bad.examples] == [
        *("cut", "empty", "noise", "text", "zeros"),
    ]
    assert all(line.partition(": ")[2] for line in bad.examples)


def test_the_frames_of_a_whole_clip_are_counted(make_video: Callable[..., Path]) -> None:
    assert open_video(make_video(frames=12)) == 12


def _crash(path: Path) -> int:
    if path.stem == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return open_video(path)


def test_a_clip_that_takes_the_reader_down_costs_itself(
    tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker imports what it runs: this module, as spawn names it.
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    bad = found(clips(tmp_path / "in", make_video()), work=_crash)
    assert bad.text.startswith("1 of 4 clips cannot be read")
    assert bad.examples[0].startswith(str(tmp_path / "in" / "b" / "1.mp4"))


def test_of_many_the_first_are_named(tmp_path: Path) -> None:
    for n in range(NAMED + 5):
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "a" / f"{n:02d}.mp4").write_bytes(b"x" * n)
    bad = found(tmp_path / "in")
    assert len(bad.examples) == NAMED + 1
    assert bad.examples[-1] == "and 5 more"


def test_what_cannot_be_loaded_is_left_to_those_who_say_why(tmp_path: Path) -> None:
    assert not list(about_reading([partial(load, Source(root=tmp_path / "no"))], RUNNER))


@pytest.mark.slow
def test_as_a_user_asks_for_it(
    tmp_path: Path, make_video: Callable[..., Path], reelscribe: Reelscribe
) -> None:
    root = clips(tmp_path / "in", make_video())
    (root / "a" / "x.mp4").write_bytes(b"")
    ended = reelscribe("doctor", "folder", "--read", "--set", f"data.root={root}", "--workers", 1)
    assert ended.returncode == 2
    assert "error    1 of 5 clips cannot be read" in ended.stdout
    assert "1 of 5" not in reelscribe("doctor", "folder", "--set", f"data.root={root}").stdout
