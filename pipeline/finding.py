"""Which files of what a user names are videos.

Reads folders and lists of names; writes nothing.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reelscribe.datasets.tables import VIDEO_SUFFIXES, read_lines
from reelscribe.pipeline.progress import say


def find_videos(sources: Sequence[Path], *, but: Path | None = None) -> list[Path]:
    """Return the videos among ``sources``, each once, folders searched in order of name.

    A source is a file, a folder, a pattern (``clips/**/*.mp4``) or ``@list.txt``: one source a
    line, relative to the list, blank lines and those that begin with ``#`` left out. A file that is
    named is taken whatever its suffix; in a folder, hidden files and those without a video's
    suffix are left out and counted. Links to folders are followed, each folder once. What lies in
    the folder ``but`` is none of the user's: an earlier call wrote it there.

    Raises:
        ValueError: a source does not exist, or there is no video at all.
    """
    found = _Found()
    for source in sources:
        for one in _expanded(source):
            found.add(one)
    videos = list(found.videos.values())
    if but is not None:
        videos = [v for v in videos if not v.absolute().is_relative_to(but.absolute())]
    if found.others:
        say(f"{found.others} files are hidden or no videos; left out")
    if not videos:
        allowed = " ".join(sorted(VIDEO_SUFFIXES))
        raise ValueError(
            f"no videos in {', '.join(map(str, sources))}; looked for files in {allowed}"
        )
    return videos


@dataclass(kw_only=True)
class _Found:
    videos: dict[str, Path] = field(default_factory=dict)
    """By absolute path: the same file may be named in two ways."""
    others: int = 0
    _searched: set[str] = field(default_factory=set)

    def add(self, source: Path) -> None:
        if not source.is_dir():
            self._take(source)
            return
        for folder, folders, names in os.walk(source, onerror=_refuse, followlinks=True):
            real = os.path.realpath(folder)
            if real in self._searched:
                folders.clear()
                continue
            self._searched.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                video = Path(folder, name)
                if name.startswith(".") or video.suffix.lower() not in VIDEO_SUFFIXES:
                    self.others += 1
                else:
                    self._take(video)

    def _take(self, video: Path) -> None:
        self.videos.setdefault(os.path.abspath(video), video)


def _expanded(source: Path) -> Iterator[Path]:
    """Yield what a source stands for: itself, the lines of a list, the files of a pattern."""
    text = os.fspath(source)
    if os.path.lexists(source):
        yield source
    elif text.startswith("@"):
        yield from _listed(Path(text[1:]))
    elif glob.has_magic(text):
        matches = sorted(glob.glob(text, recursive=True))
        if not matches:
            raise ValueError(f"no file matches {text!r} (looked from {Path.cwd()})")
        yield from (Path(match) for match in matches)
    else:
        raise ValueError(f"{text!r} does not exist (looked from {Path.cwd()})")


def _listed(path: Path) -> Iterator[Path]:
    if not path.is_file():
        raise ValueError(f"the list {str(path)!r} does not exist (looked from {Path.cwd()})")
    for number, line in read_lines(path):
        name = line.strip()
        if name.startswith("#"):
            continue
        video = path.parent / name
        if not os.path.lexists(video):
            raise ValueError(f"{path} line {number}: {name!r} does not exist beside the list")
        yield video


def _refuse(error: OSError) -> None:
    """Say it where a folder cannot be read: it would be left out without a word."""
    raise error
