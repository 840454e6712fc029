"""Progress goes to stderr: a bar on a terminal, plain lines elsewhere, nothing on stdout."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from reelscribe.pipeline import progress
from reelscribe.pipeline.progress import Progress, say

ODD = "a:cat:b [/x] [bold]c[/bold].mp4"


def test_plain_lines_off_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with Progress("encode", 3, "videos") as done:
        done()
        done("loss 0.5")
        done("top1 0.9")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("encode: 1/3, ")
    assert lines[0].endswith(" s left")
    assert "videos/s" in lines[0]
    assert lines[1].startswith("encode: 2/3, loss 0.5, ")
    assert lines[2].startswith("encode: 3/3 in ")
    assert lines[2].endswith(" s, top1 0.9")
    assert len(lines) == 3


def test_lines_are_spare(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("encode", 1000, "videos") as done:
        for _ in range(1000):
            done()
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the time that progress sees; it begins at 0."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_what_is_left_is_known_within_a_long_epoch(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    """Two of six epochs of 100 s each are done; the third has spoken every five seconds."""
    with Progress("train", 6, "epochs") as done:
        for second in range(5, 300, 5):
            clock(second)
            if second % 100 == 0:
                done()
            done.note(f"epoch {second // 100 + 1}")
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "train: 0/6, epoch 1"
        assert lines[-1] == "train: 2/6, epoch 3, 305 s left"


def test_epochs_of_an_earlier_training_say_nothing_of_the_pace(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    """Epoch 51 of 100 is the first of a resumed training, and takes 100 s."""
    with Progress("train", 100, "epochs") as done:
        clock(100)
        done.skip(50)
        done("loss 1")
        assert capsys.readouterr().err == "train: 51/100, loss 1, 4900 s left\n"


def test_what_the_store_has_says_nothing_of_the_pace(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    """A thousand videos come at once, then one every ten seconds; ten are left."""
    with Progress("encode", 1014, "videos") as done:
        for _ in range(1000):
            done()
        for second in (10, 20, 30, 40):
            clock(second)
            done()
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == "encode: 1004/1014, 0.1 videos/s, 100 s left"


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("encode", 0, "videos"):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_is_not_followed_by_done(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        with Progress("encode", 2, "videos") as done:
            done()
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broken()
    assert capsys.readouterr().err == ""


def test_a_name_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say(ODD * 20)
    assert capsys.readouterr() == ("", ODD * 20 + "\n")


def test_a_name_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b]0;owned\x07b\x9bc\r\nd.mp4")
    assert capsys.readouterr().err == "a\\x1b]0;owned\\x07b\\x9bc\\x0d\\x0ad.mp4\n"


SCRIPT = """
import sys
from reelscribe.pipeline.progress import Progress, say
with Progress(sys.argv[1], 2, "videos") as done:
    done(sys.argv[1])
    done(sys.argv[1])
say("caf\\udce9.mp4")
"""


def test_a_bar_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, ODD],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=env,
        timeout=60,
    )
    os.close(theirs)
    text = os.read(ours, 100_000).decode()
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, b""), text
    assert "2/2" in text
    assert ODD in text
    assert "\\udce9.mp4" in text, "a name that is no text costs no traceback"
