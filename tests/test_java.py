"""The tokenizer's and METEOR's processes: kept, one each, never left behind, always in step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from javas import children, running, wait_for_end

from reelscribe.pipeline.metrics import java, meteor, tokenizer
from reelscribe.pipeline.metrics.java import JavaError
from reelscribe.pipeline.metrics.meteor import meteor_statistics
from reelscribe.pipeline.metrics.tokenizer import tokenize


@pytest.fixture(autouse=True)
def no_java_before_or_after() -> Iterator[None]:
    java.close()
    yield
    java.close()
    # One whose Python was killed while it started ends by itself, within some seconds.
    deadline = time.monotonic() + 30
    while children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not children()


@pytest.fixture
def turkish(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where the small I has no dot, and text is not UTF-8."""
    options = "-Duser.language=tr -Duser.country=TR -Dfile.encoding=ISO-8859-9"
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)


def meteor_of(said: list[str], references: list[list[str]], limit: float = 60) -> list[float]:
    found = meteor_statistics(said, references, limit=limit)
    return [*found.per_video["METEOR"].tolist(), found.corpus["METEOR"]]


def test_meteor_runs_from_a_folder_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = meteor_of(["a small dog runs"], [["a little dog is running"]])
    java.close()
    installed = Path(java.jar("pycocoevalcap.meteor.meteor", "meteor-1.5.jar"))
    # A copy: Java follows links.
    there = shutil.copytree(installed.parent, tmp_path / "my folder") / installed.name
    monkeypatch.setattr(meteor, "jar", lambda module, name: str(there))
    assert meteor_of(["a small dog runs"], [["a little dog is running"]]) == expected


def test_what_java_stopped_over_is_said_and_not_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(java.jar("pycocoevalcap.meteor.meteor", "meteor-1.5.jar"))
    (tmp_path / installed.name).symlink_to(installed)
    monkeypatch.setattr(meteor, "jar", lambda module, name: str(tmp_path / installed.name))
    with pytest.raises(JavaError, match=r"\(exit code 1\): .*file not found.*paraphrase-en\.gz"):
        meteor_of(["a"], [["a"]])


def test_line_ends_in_captions_do_not_shift_the_others() -> None:
    odd = ["one\ntwo", "three\r\nfour", "five\u2028six\x85seven", "", "...", "\n\n", "x\x0by\x0cz"]
    assert tokenize(odd) == ["one two", "three four", "five six seven", "", "", "", "x y z"]
    assert tokenize([]) == []


def test_brackets_are_kept_as_words() -> None:
    """The list of what is dropped has them in capitals: the reference code's slip, kept."""
    assert tokenize(["a (old) dog!"]) == ["a -lrb- old -rrb- dog"]


def test_one_tokenizer_answers_every_call_in_step() -> None:
    """What pushes a call's answers out is never taken for an answer, whatever the captions are."""
    assert tokenize(["A cat."]) == ["a cat"]
    (first,) = children()
    padding = "x" * 63
    for size in (1, 2, 700, 1, 20_000, 3):
        assert tokenize([f"Caption {i}" for i in range(size)])[-1] == f"caption {size - 1}"
        assert tokenize([padding] * 3) == [padding] * 3
    assert children() == [first]


def test_a_caption_of_a_million_letters() -> None:
    assert tokenize(["a", "b" * 1_000_000, "c"]) == ["a", "b" * 1_000_000, "c"]


@pytest.mark.usefixtures("turkish")
def test_tokens_are_the_same_on_every_machine() -> None:
    assert tokenize(["I am CAF\u00c9", "a \ud800 b"]) == ["i am caf\u00e9", "a b"]


@pytest.mark.slow
@pytest.mark.usefixtures("turkish")
def test_meteor_is_the_same_on_every_machine() -> None:
    each = meteor_of(["IN \u732b", "a \u72ac"], [["in \u732b"], ["a \u732b"]])
    assert each[0] == 1.0
    assert each[1] < 0.5


@pytest.mark.slow
def test_meteors_protocol_cannot_be_broken_by_a_caption() -> None:
    clean = meteor_of(["a man walks"] * 2, [["a man is walking"]] * 2)
    odd = meteor_of(
        ["a man ||| walks", "a\tman\nwalks"],
        [["a man ||| is walking"], ["a man\r\nis\twalking"]],
    )
    assert odd == clean


@pytest.mark.slow
def test_meteor_is_kept_and_started_anew_when_it_was_killed() -> None:
    first = meteor_of(["a man walks"], [["a man is walking"]])
    (pid,) = children()
    assert meteor_of(["a man walks"], [["a man is walking"]]) == first
    assert children() == [pid]
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert meteor_of(["a man walks"], [["a man is walking"]]) == first
    assert children() != [pid]


def test_meteor_that_is_killed_is_one_line() -> None:
    """Complaint 19 (arctic-capgen-vid's README): METEOR's broken pipe."""

    def kill() -> None:
        while not meteor.PROGRAM.pid:
            time.sleep(0.001)
        os.kill(meteor.PROGRAM.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JavaError, match=r"METEOR stopped \(exit code -9\): it said nothing"):
        meteor_of(["a"] * 5000, [["a"]] * 5000)
    killer.join()
    assert not children()


def test_a_program_that_hangs_is_ended() -> None:
    """Complaint 19: a stopped process answers nothing and does not end by itself."""
    tokenize(["a"])
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(JavaError, match=r"the PTB tokenizer took more than 0.5 s"):
        tokenize(["a caption"] * 100_000, limit=0.5)
    assert time.monotonic() - start < 5
    assert not running(pid)
    assert tokenize(["A dog."]) == ["a dog"], "the next call starts another"


def test_time_limits() -> None:
    with pytest.raises(JavaError, match=r"METEOR took more than 0.05 s"):
        meteor_of(["a"], [["a"]], limit=0.05)
    with pytest.raises(JavaError, match=r"tokenizer took more than 0.01 s"):
        tokenize(["a"], limit=0.01)
    assert not children()


def test_an_interrupted_call_leaves_no_answer_for_the_next() -> None:
    """Complaint 19 (video-caption.pytorch#44): Java left running."""
    tokenize(["a"])

    def interrupted() -> None:
        with tokenizer.PROGRAM.call(60) as talk:
            talk.send(["never read"] * 1000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not children()
    assert tokenize(["read"]) == ["read"]


def test_two_evaluations_at_once() -> None:
    lists = [[f"Number {i}, of list {k}." for i in range(500)] for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(tokenize, lists))
    assert found == [[f"number {i} of list {k}" for i in range(500)] for k in range(8)]
    assert len(children()) == 1


def test_a_fork_starts_its_own_and_leaves_the_parents_alone() -> None:
    tokenize(["a"])
    (pid,) = children()
    child = os.fork()
    if not child:
        ok = tokenize(["In the child."]) == ["in the child"] and pid not in children()
        java.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tokenize(["In the parent."]) == ["in the parent"]
    assert children() == [pid]


@pytest.mark.parametrize(
    ("module", "call"),
    [("tokenizer", "tokenize(['a'])"), ("meteor", "meteor_statistics(['a'], [['a']])")],
)
def test_java_ends_when_python_is_killed(module: str, call: str) -> None:
    """Complaint 19 (tylin/coco-caption#17): kill -9 of Python leaves no Java behind."""
    code = (
        "import time\n"
        f"from reelscribe.pipeline.metrics.{module} import *\n"
        f"from reelscribe.pipeline.metrics.{module} import PROGRAM\n"
        f"{call}\n"
        "print(PROGRAM.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as python:
        assert python.stdout is not None
        pid = int(python.stdout.readline())
        assert running(pid)
        python.kill()
    wait_for_end(pid)


def test_java_ends_with_python() -> None:
    code = (
        "from reelscribe.pipeline.metrics.tokenizer import PROGRAM, tokenize\n"
        "tokenize(['a'])\n"
        "print(PROGRAM.pid)\n"
    )
    pid = int(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert not running(pid)
