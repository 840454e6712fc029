"""Which files of what a user names are videos.

Reads folders; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reelscribe.datasets.tables import VIDEO_SUFFIXES
from reelscribe.pipeline.progress import say


def find_videos(sources: Sequence[Path]) -> list[Path]:
    """Return the videos among ``sources``, folders searched in order of name.

    A file that is named is taken whatever its suffix; in a folder, hidden files and those without a
    video's suffix are left out and counted.

    Raises:
        ValueError: a source does not exist, or there is no video at all.
    """
    videos: dict[Path, None] = {}
    others = 0
    for source in sources:
        if not source.is_dir():
            if not source.exists():
                raise ValueError(f"{str(source)!r} does not exist (looked from {Path.cwd()})")
            videos[source] = None
            continue
        for folder, folders, names in os.walk(source, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                video = Path(folder, name)
                if name.startswith(".") or video.suffix.lower() not in VIDEO_SUFFIXES:
                    others += 1
                else:
                    videos[video] = None
    if others:
        say(f"{others} files are hidden or no videos; left out")
    if not videos:
        allowed = " ".join(sorted(VIDEO_SUFFIXES))
        raise ValueError(
            f"no videos in {', '.join(map(str, sources))}; looked for files in {allowed}"
        )
    return list(videos)


def _refuse(error: OSError) -> None:
    """Say it where a folder cannot be read: it would be left out without a word."""
    raise error
