"""The feature store: keyed by content and recipe; whole, or never served; any number of writers."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

from reelscribe.pipeline import cache
from reelscribe.pipeline.cache import (
    CorruptEntry,
    Features,
    FeatureStore,
    HashIndex,
    hash_file,
    read_entry,
)
from reelscribe.pipeline.files import PART
from reelscribe.pipeline.recipe import Recipe

SIXTEEN = Recipe(settings={"version": 1, "frames": {"count": 16}})
THIRTY_TWO = Recipe(settings={"version": 1, "frames": {"count": 32}})
SHA = "ab" * 32


def make(value: float = 1.5) -> Features:
    return Features(
        feats_TD=np.array([[value, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32),
        pts_T=np.array([0.25, 0.75]),
        about={"duration": 1.0, "decoder": "decord"},
    )


def remember(index: HashIndex, path: Path) -> str:
    now, sha256 = path.stat(), hash_file(path)
    index.remember(path, size=now.st_size, mtime_ns=now.st_mtime_ns, sha256=sha256)
    return sha256


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"abc")
    return path


def test_what_is_written_is_read(store: FeatureStore) -> None:
    assert store.read(SHA, SIXTEEN) is None
    store.write(SHA, SIXTEEN, make())
    found = store.read(SHA, SIXTEEN)
    assert found is not None
    assert found.feats_TD.tolist() == [[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert found.pts_T.tolist() == [0.25, 0.75]
    assert found.about == {"duration": 1.0, "decoder": "decord"}
    assert repr(found) == "Features(T=2, D=3, duration=1.0)"
    assert store.recipes() == {SIXTEEN.fingerprint: SIXTEEN}
    assert [(e.fingerprint, e.sha256) for e in store.entries()] == [(SIXTEEN.fingerprint, SHA)]


def test_another_recipe_or_content_is_a_miss(store: FeatureStore) -> None:
    """Complaint 18 (pytorch/vision#8382): one name, other weights, other features."""
    store.write(SHA, SIXTEEN, make())
    assert not store.has(SHA, THIRTY_TWO)
    assert not store.has("cd" * 32, SIXTEEN)


def test_two_files_of_one_name_never_clash(store: FeatureStore, tmp_path: Path) -> None:
    """Complaint 4 (v-iashin/video_features#54): two folders, same stem -> one cache file."""
    for number, folder in enumerate("ab"):
        path = tmp_path / folder / "clip.mp4"
        path.parent.mkdir()
        path.write_text(folder)
        store.write(hash_file(path), SIXTEEN, make(number))
    for number, folder in enumerate("ab"):
        found = store.read(hash_file(tmp_path / folder / "clip.mp4"), SIXTEEN)
        assert found is not None
        assert found.feats_TD[0, 0] == number


def test_a_renamed_video_is_a_hit_and_a_changed_one_a_miss(
    store: FeatureStore, video: Path
) -> None:
    store.write(hash_file(video), SIXTEEN, make())
    moved = video.rename(video.with_name(os.fsdecode(b"caf\xe9\n.mp4")))
    assert store.has(hash_file(moved), SIXTEEN)
    moved.write_bytes(b"abd")
    assert not store.has(hash_file(moved), SIXTEEN)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(store: FeatureStore, bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        store.write(SHA, SIXTEEN, make(bad))
    assert not store.has(SHA, SIXTEEN)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (2, 3, 1)])
def test_features_have_a_time_each(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected features \(T, D\) and times \(T\)"):
        Features(feats_TD=np.zeros(shape, dtype=np.float32), pts_T=np.zeros(2), about={})


def refused(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        read_entry(path)
    except CorruptEntry:
        return True
    return False


def test_an_entry_cut_anywhere_is_never_served(store: FeatureStore) -> None:
    store.write(SHA, SIXTEEN, make())
    path = store.path(SHA, SIXTEEN)
    whole = path.read_bytes()
    assert all(refused(path, whole[:length]) for length in range(len(whole)))
    assert refused(path, whole + b"\0")
    assert not refused(path, whole)


def test_a_flipped_bit_anywhere_is_never_served(store: FeatureStore) -> None:
    """The numbers, their shape and type, and the facts beside them: each bit counts."""
    store.write(SHA, SIXTEEN, make())
    path = store.path(SHA, SIXTEEN)
    whole = path.read_bytes()
    served = []
    for place in range(len(whole)):
        for bit in (0x01, 0x0F, 0x20, 0x80, 0xFF):
            data = bytearray(whole)
            data[place] ^= bit
            if not refused(path, bytes(data)):
                served.append((place, bit, bytes(data[place - 5 : place + 5])))
    assert served == []


@given(st.binary(max_size=300))
@settings(max_examples=50)
def test_any_bytes_are_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert refused(Path(folder) / "x.safetensors", data)


def test_an_entry_under_another_name_is_refused(store: FeatureStore) -> None:
    store.write(SHA, SIXTEEN, make())
    other, elsewhere = store.path("ab" + "cd" * 31, SIXTEEN), store.path(SHA, THIRTY_TWO)
    elsewhere.parent.mkdir(parents=True)
    for path, said in ((other, "of another video"), (elsewhere, "of another recipe")):
        path.write_bytes(store.path(SHA, SIXTEEN).read_bytes())
        with pytest.raises(CorruptEntry, match=said):
            read_entry(path)
    with pytest.raises(CorruptEntry, match="another recipe; `reelscribe cache verify` removes it"):
        store.read(SHA, THIRTY_TWO)


def test_tensors_of_someone_else_are_refused(store: FeatureStore) -> None:
    path = store.path(SHA, SIXTEEN)
    path.parent.mkdir(parents=True)
    tensors: dict[str, NDArray[np.float64]] = {"features": np.zeros((2, 3)), "pts": np.zeros(2)}
    assert refused(path, save(tensors))
    assert refused(path, save({"other": np.zeros(2)}))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": NaN}', json.dumps(THIRTY_TWO.settings)])
def test_a_damaged_recipe_is_read_from_an_entry(store: FeatureStore, damage: str) -> None:
    store.write(SHA, SIXTEEN, make())
    described = store.path(SHA, SIXTEEN).parents[1] / "recipe.json"
    described.write_text(damage)
    assert store.recipes() == {SIXTEEN.fingerprint: SIXTEEN}
    described.unlink()
    assert store.recipes() == {SIXTEEN.fingerprint: SIXTEEN}


WRITER = """
import sys
from pathlib import Path
import numpy as np
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.recipe import Recipe
recipe = Recipe(settings={"version": 1, "frames": {"count": 16}})
value = float(sys.argv[2])
features = Features(feats_TD=np.full((64, 1024), value, np.float32), pts_T=np.zeros(64), about={})
print("up", flush=True)
while True:
    FeatureStore(Path(sys.argv[1])).write("ab" * 32, recipe, features)
"""


def test_writers_race_and_are_killed(store: FeatureStore) -> None:
    """Each read while two processes write, and after kill -9 of both, is one of the two, whole."""
    seen = set()
    for _ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(store.root), value], stdout=subprocess.PIPE
            )
            for value in "12"
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        for _ in range(100):
            found = store.read(SHA, SIXTEEN)
            if found is not None:
                (value,) = np.unique(found.feats_TD)
                seen.add(float(value))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            assert writer.wait(10) == -9
            assert writer.stdout is not None
            writer.stdout.close()
        assert store.read(SHA, SIXTEEN) is not None
    assert seen == {1.0, 2.0}
    assert [entry.sha256 for entry in store.entries()] == [SHA]
    assert all(path.name.startswith(PART) for path in store.half_written())


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
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
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
from reelscribe.pipeline.cache import HashIndex
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
