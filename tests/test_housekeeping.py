"""What the feature store holds, why a video is a hit or a miss, and what may go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.files import PART
from reelscribe.pipeline.housekeeping import holdings, prune, verify, why
from reelscribe.pipeline.index import HashIndex, hash_file
from reelscribe.pipeline.recipe import Recipe

SIXTEEN = Recipe(settings={"version": 1, "frames": {"count": 16}})
THIRTY_TWO = Recipe(settings={"version": 1, "frames": {"count": 32}})
ABC = "ba7816bf8f01cfea"  # The sha256 of b"abc", FIPS 180.


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"abc")
    return path


def keep(store: FeatureStore, video: Path, recipe: Recipe) -> Path:
    """Do what encoding a video does to the store."""
    features = Features(
        feats_TD=np.zeros((2, 3), dtype=np.float32), pts_T=np.zeros(2), about={"duration": 1.0}
    )
    sha256, now = hash_file(video), video.stat()
    store.write(sha256, recipe, features)
    index = HashIndex(store.root / "index.sqlite")
    index.remember(video, size=now.st_size, mtime_ns=now.st_mtime_ns, sha256=sha256)
    index.close()
    return store.path(sha256, recipe)


def test_an_empty_store(store: FeatureStore) -> None:
    assert holdings(store) == []
    assert verify(store) == (0, [])
    assert prune(store, gone=True).paths == []


def test_holdings_by_recipe(store: FeatureStore, video: Path) -> None:
    size = keep(store, video, SIXTEEN).stat().st_size
    other = video.with_name("w.mp4")
    other.write_bytes(b"xyz")
    keep(store, other, SIXTEEN)
    keep(store, video, THIRTY_TWO)
    found = {held.fingerprint: held for held in holdings(store)}
    assert found[SIXTEEN.fingerprint].videos == 2
    assert found[SIXTEEN.fingerprint].bytes == 2 * size
    assert found[THIRTY_TWO.fingerprint].settings == THIRTY_TWO.settings


def test_why_says_which_setting_changed(store: FeatureStore, video: Path) -> None:
    """Complaint 18 (pytorch/vision#8382): other features under the same name, and no reason."""
    keep(store, video, SIXTEEN)
    assert why(video, store, SIXTEEN) == [
        f"content sha256 {ABC}... (remembered: same size and time as when it was read)",
        f"hit: features under recipe {SIXTEEN.fingerprint}",
    ]
    assert why(video, store, THIRTY_TWO)[1:] == [
        f"miss: no features under recipe {THIRTY_TWO.fingerprint}",
        f"  under {SIXTEEN.fingerprint}: frames.count 16 -> 32",
    ]
    assert why(video, store, None)[1:] == [f"hit: recipe {SIXTEEN.fingerprint} {SIXTEEN.text}"]


def test_why_of_a_moved_and_of_a_changed_video(store: FeatureStore, video: Path) -> None:
    keep(store, video, SIXTEEN)
    moved = video.rename(video.with_name(os.fsdecode(b"caf\xe9.mp4")))
    assert why(moved, store, SIXTEEN) == [
        f"content sha256 {ABC}... (read just now)",
        f"the same content was seen as {video}: moved or copied",
        f"hit: features under recipe {SIXTEEN.fingerprint}",
    ]
    moved.write_bytes(b"abd")
    assert why(moved, store, SIXTEEN)[1:] == [
        f"miss: no features under recipe {SIXTEEN.fingerprint}",
        "miss: this content has no features under any recipe",
    ]


def test_a_touched_video_behind_a_link_was_not_moved(store: FeatureStore, video: Path) -> None:
    link = video.parent / "link"
    link.symlink_to(video.parent)
    keep(store, link / "v.mp4", SIXTEEN)
    os.utime(video, ns=(1, 1))
    assert not any("moved" in line for line in why(link / "v.mp4", store, SIXTEEN))


def test_why_of_a_damaged_entry_and_of_nothing(store: FeatureStore, video: Path) -> None:
    path = keep(store, video, SIXTEEN)
    path.write_bytes(path.read_bytes()[:-1])
    assert why(video, store, SIXTEEN)[1].startswith(f"miss: {path}: not a whole safetensors file")
    with pytest.raises(ValueError, match=r"'none\.mp4' is no file \(looked from"):
        why(Path("none.mp4"), store, None)


def test_verify_removes_what_is_damaged_and_nothing_else(store: FeatureStore, video: Path) -> None:
    good, bad = keep(store, video, SIXTEEN), keep(store, video, THIRTY_TWO)
    data = bytearray(bad.read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    assert verify(store) == (1, [f"{bad}: its checksum does not match its numbers"])
    assert (good.exists(), bad.exists()) == (True, False)
    assert verify(store) == (1, [])


def test_prune_removes_what_killed_writers_left(store: FeatureStore, video: Path) -> None:
    kept = keep(store, video, SIXTEEN)
    old, young = kept.parent / f"{PART}1-a", kept.parent / f"{PART}2-b"
    for part in (old, young):
        part.write_bytes(b"12345")
    os.utime(old, (1, 1))
    removed = prune(store, dry_run=True)
    assert (removed.paths, removed.bytes, old.exists()) == ([old], 5, True)
    assert prune(store).paths == [old]
    assert young.exists(), "a living writer may be about to rename it"
    assert kept.exists()
    assert not old.exists()


def test_prune_of_a_recipe_leaves_the_others(store: FeatureStore, video: Path) -> None:
    sixteen, thirty_two = keep(store, video, SIXTEEN), keep(store, video, THIRTY_TWO)
    with pytest.raises(ValueError, match="no recipe 'xyz' in the store; there are: "):
        prune(store, recipes=["xyz"])
    assert prune(store, recipes=[SIXTEEN.fingerprint]).paths == [sixteen]
    assert thirty_two.exists()
    assert list(store.recipes()) == [THIRTY_TWO.fingerprint]


def test_prune_gone_keeps_what_is_anywhere(store: FeatureStore, video: Path) -> None:
    kept = keep(store, video, SIXTEEN)
    other = video.with_name("w.mp4")
    other.write_bytes(b"xyz")
    doomed = keep(store, other, SIXTEEN)
    copy = video.with_name("copy.mp4")
    copy.write_bytes(b"abc")
    keep(store, copy, SIXTEEN)
    video.unlink()
    other.unlink()
    assert prune(store, gone=True).paths == [doomed]
    assert kept.exists(), "its copy is still there"


def test_without_an_index_nothing_is_taken_for_gone(store: FeatureStore, video: Path) -> None:
    keep(store, video, SIXTEEN)
    video.unlink()
    (store.root / "index.sqlite").write_bytes(b"garbage" * 1000)
    assert prune(store, gone=True).paths == []
