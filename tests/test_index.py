"""The index of hashes: right as long as a file looks the same, and never worse than slow."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelscribe.pipeline import index as index_module
from reelscribe.pipeline.index import HashIndex, hash_file


def remember(index: HashIndex, path: Path) -> str:
    now, sha256 = path.stat(), hash_file(path)
    index.remember(path, size=now.st_size, mtime_ns=now.st_mtime_ns, sha256=sha256)
    return sha256


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"abc")
    return path


def test_the_index_knows_a_file_as_long_as_it_looks_the_same(index_path: Path, video: Path) -> None:
    index = HashIndex(index_path)
    assert index.lookup(video) is None
    sha256 = remember(index, video)
    assert sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180
    index.close()
    index = HashIndex(index_path)
    assert index.lookup(video) == sha256
    assert index.paths() == {sha256: [video]}
    os.utime(video, ns=(1, 1))
    assert index.lookup(video) is None
    video.unlink()
    assert index.lookup(video) is None
    index.close()


def test_names_that_are_no_text_are_remembered(index_path: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9" + b"x" * 247 + b".mp4")
    path.write_bytes(b"abc")
    index = HashIndex(index_path)
    sha256 = remember(index, path)
    assert (index.lookup(path), index.paths()) == (sha256, {sha256: [path]})
    index.close()


def works(index_path: Path, video: Path) -> bool:
    """Say whether an index answers, and whether it keeps what it is told, too."""
    index = HashIndex(index_path)
    index.lookup(video)
    index.paths()
    sha256 = remember(index, video)
    assert index.lookup(video) == sha256
    index.close()
    index = HashIndex(index_path)
    kept = index.lookup(video) == sha256
    index.close()
    return kept


@pytest.fixture
def filled(index_path: Path, tmp_path: Path) -> Path:
    index = HashIndex(index_path)
    for number in range(300):
        index.remember(tmp_path / f"{number}.mp4", size=1, mtime_ns=2, sha256=f"{number:064}")
    index.close()
    return index_path


@pytest.mark.parametrize("ends", [[""], ["", "-wal", "-shm"]])
def test_a_deleted_or_garbage_index_costs_time_alone(
    filled: Path, video: Path, ends: list[str]
) -> None:
    for end in ends:
        filled.with_name(filled.name + end).write_bytes(os.urandom(9000))
    assert works(filled, video)
    filled.unlink()
    assert works(filled, video)


@pytest.mark.parametrize("start", [0, 16, 100, 4096, 8192, 12288, 20480])
def test_an_index_damaged_anywhere_costs_time_alone(filled: Path, video: Path, start: int) -> None:
    data = filled.read_bytes()
    assert len(data) > 24576
    filled.write_bytes(data[:start] + b"\xa5" * 4096 + data[start + 4096 :])
    assert works(filled, video)
    filled.write_bytes(data[: start + 50])
    assert works(filled, video)


def test_an_index_of_another_make_is_made_anew(index_path: Path, video: Path) -> None:
    with sqlite3.connect(index_path) as other:
        other.execute("CREATE TABLE files (something TEXT)")
    other.close()
    assert works(index_path, video)


def test_a_locked_index_is_done_without(
    filled: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "PATIENCE", 0.1)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert not works(filled, video)
    other.execute("ROLLBACK")
    other.close()
    index = HashIndex(filled)
    assert len(index.paths()) == 300, "a locked index is somebody's: it must not be removed"
    index.close()
    assert works(filled, video)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that this process cannot write to, even where it is root's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = os.geteuid() == 0
        yield Path(name)
        if root:
            os.seteuid(0)
        os.chmod(name, 0o700)


def test_a_read_only_index_is_read_or_done_without(nobody: Path) -> None:
    video, path = nobody / "v.mp4", nobody / "index.sqlite"
    video.write_bytes(b"abc")
    index = HashIndex(path)
    sha256 = remember(index, video)
    index.close()
    os.chmod(path, 0o444)
    os.chmod(nobody, 0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)
    works(path, video)
    index = HashIndex(nobody / "none.sqlite")
    assert remember(index, video) == index.lookup(video) == sha256
    index.close()
    assert sorted(file.name for file in nobody.glob("*.sqlite")) == ["index.sqlite"]


def test_a_folder_in_its_place_is_done_without(index_path: Path, video: Path) -> None:
    index_path.mkdir()
    assert not works(index_path, video)
    assert index_path.is_dir()


def test_a_full_disk_is_done_without(filled: Path, tmp_path: Path) -> None:
    index = HashIndex(filled)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        index.remember(tmp_path, size=1, mtime_ns=2, sha256="x")
        assert index.paths()["x"] == [tmp_path]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        index.close()
    index = HashIndex(filled)
    assert len(index.paths()) == 300
    index.close()


INDEXER = """
import sys
from pathlib import Path
from reelscribe.pipeline.index import HashIndex
index = HashIndex(Path(sys.argv[1]))
for number in range(200):
    index.remember(Path(f"/{sys.argv[2]}/{number}"), size=1, mtime_ns=2, sha256="x")
"""


def test_many_processes_share_an_index(index_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", INDEXER, str(index_path), name]) for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    index = HashIndex(index_path)
    assert len(index.paths()["x"]) == 600
    index.close()
