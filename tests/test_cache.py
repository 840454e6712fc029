"""The feature store: keyed by content and recipe; whole, or never served; any number of writers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

from reelscribe.pipeline.cache import (
    CorruptEntry,
    Features,
    FeatureStore,
    read_entry,
)
from reelscribe.pipeline.files import PART
from reelscribe.pipeline.index import hash_file
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


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


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
store = FeatureStore(Path(sys.argv[1]))
store.write("ab" * 32, recipe, features)
print("up", flush=True)
while True:
    store.write("ab" * 32, recipe, features)
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
