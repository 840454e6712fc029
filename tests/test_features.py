"""Features that others made are found by name, checked, and never unpickled."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from reelscribe.datasets import features
from reelscribe.datasets.features import FeatureFile, read, scan


def ramp(frames: int = 3, dim: int = 4) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(frames * dim, dtype=np.float32).reshape(frames, dim)


def test_npy_npz_and_h5_give_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ramp())
    np.savez(tmp_path / "b.npz", ramp())
    np.savez(tmp_path / "c.npz", features=ramp(), pts=np.array([0.5, 1.0, 1.5]))
    np.savez(tmp_path / "many.npz", d=ramp(), e=ramp(2))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["f"] = ramp()
        file["archery/g"] = ramp().astype(np.float16)
    folder = scan(tmp_path)
    assert sorted(folder.names()) == ["a", "archery/g", "b", "c", "d", "e", "f"]
    assert sorted(folder.stems()) == ["a", "b", "c", "d", "e", "f", "g"]
    for name in ("a", "b", "c", "d", "f", "g"):
        feats_TD, pts = read(folder.find(Path(f"/somewhere/{name}.mp4")))
        assert feats_TD.dtype == np.float32
        np.testing.assert_array_equal(feats_TD, ramp())
        assert (pts is not None) == (name == "c")
        if pts is not None:
            assert pts.tolist() == [0.5, 1.0, 1.5]
    assert read(folder.find(Path("e.avi")))[0].shape == (2, 4)


def test_one_file_may_hold_all(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "feats.hdf5", "w") as file:
        for n in range(3):
            file[f"video{n}"] = ramp(n + 1)
    folder = scan(tmp_path / "feats.hdf5")
    assert sorted(folder.names()) == ["video0", "video1", "video2"]
    assert read(folder.find(Path("video2.mp4")))[0].shape == (3, 4)
    assert folder.among(["video1.mp4", "x/video2", "video9.mp4"]) == {
        "video1.mp4": tmp_path / "feats.hdf5" / "video1",
        "x/video2": tmp_path / "feats.hdf5" / "video2",
    }


def test_one_vector_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert read(FeatureFile(path=tmp_path / "a.npy"))[0].shape == (1, 5)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3, 4)), "features of shape 2 x 3 x 4; they must be (T, D)"),
        (np.zeros((0, 4)), "features of shape 0 x 4; they must be (T, D)"),
        (np.zeros(()), "features of shape one number; they must be (T, D)"),
        (np.array([[1.0, np.nan]]), "features with NaN or infinite numbers"),
        (np.array([[1e300]]), "features with NaN or infinite numbers"),
        (np.array([["a", "b"]]), "features of type <U1; they must be numbers"),
        (np.zeros((1, 70_000)), "features of shape 1 x 70000: D is over 65,536; pool them first"),
    ],
)
def test_what_is_no_sequence_of_features_says_why(tmp_path: Path, array: Any, reason: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        read(FeatureFile(path=tmp_path / "a.npy"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle in a .npy runs code when it is loaded; it is refused unread."""
    witness = tmp_path / "witness"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (witness,)

    array = np.array([Evil()], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "b.npz", array)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ValueError, match=r"Object arrays|allow_pickle"):
            read(FeatureFile(path=tmp_path / name))
    assert not witness.exists()


def test_a_small_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "LARGEST", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros((2**9, 2**10), dtype=np.float32))
    np.savez_compressed(tmp_path / "two.npz", d=ramp(), e=np.zeros(2**19, dtype=np.float32))
    folder = scan(tmp_path)
    for name in ("bomb", "e"):
        with pytest.raises(ValueError, match=r"0\.0 GiB when unpacked; at most 8 GiB"):
            read(folder.find(Path(name)))
    np.testing.assert_array_equal(read(folder.find(Path("d")))[0], ramp())


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
@pytest.mark.parametrize("data", [b"", b"no features at all", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_costs_its_clip(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    np.save(tmp_path / "whole.npy", ramp())
    folder = scan(tmp_path)
    assert sorted(folder.names()) == ["a", "whole"]
    with pytest.raises(ValueError, match=r"^cannot be read as features: ") as caught:
        read(folder.find(Path("a.mp4")))
    assert "\n" not in str(caught.value)


def test_a_cut_array_costs_its_clip(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ramp(100))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="cannot be read as features"):
        read(FeatureFile(path=tmp_path / "a.npy"))


def test_links_in_an_h5_file_are_not_followed(tmp_path: Path) -> None:
    """An external link would open any file that the one who made it named."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = ramp()
    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in" / "all.h5", "w") as file:
        file["a"] = ramp()
        file["out"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        file["soft"] = h5py.SoftLink("/a")
    assert list(scan(tmp_path / "in").names()) == ["a"]


def test_two_features_for_one_clip_are_ambiguous(tmp_path: Path) -> None:
    """Complaint 4 (v-iashin/video_features#54): two folders, one stem, one file."""
    np.save(tmp_path / "a.npy", ramp())
    np.savez(tmp_path / "a.npz", ramp())
    with pytest.raises(ValueError, match=r"two features for 'a': .*a\.npy and .*a\.npz; keep one"):
        scan(tmp_path)
    (tmp_path / "a.npz").unlink()
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / "a.npy", ramp())
    folder = scan(tmp_path)
    assert sorted(folder.names()) == ["a", "b/a"]
    with pytest.raises(ValueError, match="2 features of that name"):
        folder.find(Path("a.mp4"))
    with pytest.raises(ValueError, match="two features for 'a'"):
        folder.stems()
    assert folder.among(["b/a.mp4", "a.avi"]) == {
        "b/a.mp4": tmp_path / "b" / "a",
        "a.avi": tmp_path / "a",
    }


def test_no_features(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no features; it should hold"):
        scan(tmp_path)
    np.save(tmp_path / "a.npy", ramp())
    with pytest.raises(ValueError, match="no features named 'b' in"):
        scan(tmp_path).find(Path("b.mp4"))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('{"pts": [0, 1]}', "times of shape (2,) do not go with 3 frames"),
        ('{"pts": [0, 1, NaN]}', "times of shape (3,) do not go with 3 frames"),
        ('{"pts": "abc"}', "cannot be read as features: a.json is no JSON with times"),
        ("{", "cannot be read as features: a.json is no JSON with times"),
    ],
)
def test_times_beside_an_array_must_be_its_own(tmp_path: Path, said: str, reason: str) -> None:
    np.save(tmp_path / "a.npy", ramp())
    (tmp_path / "a.json").write_text(json.dumps({"pts": [0.0, 0.5, 1.0], "more": 1}))
    _, pts = read(FeatureFile(path=tmp_path / "a.npy"))
    assert pts is not None
    assert pts.tolist() == [0.0, 0.5, 1.0]
    (tmp_path / "a.json").write_text(said)
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        read(FeatureFile(path=tmp_path / "a.npy"))


def test_numbers_that_lie_in_other_files_are_refused(tmp_path: Path) -> None:
    """External storage and virtual datasets name any file of the machine."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(32)))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = ramp()
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_dataset("out", (2, 16), dtype="u1", external=[(str(secret), 0, 32)])
        layout = h5py.VirtualLayout(shape=(3, 4), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(3, 4))
        file.create_virtual_dataset("virtual", layout)
        file["mine"] = ramp()
        file["none"] = h5py.Empty("f4")
    folder = scan(tmp_path / "all.h5")
    for name in ("out", "virtual"):
        with pytest.raises(ValueError, match="its numbers lie in other files"):
            read(folder.find(Path(name)))
    with pytest.raises(ValueError, match="features of type object; they must be numbers"):
        read(folder.find(Path("none")))
    assert read(folder.find(Path("mine")))[0].shape == (3, 4)


def test_what_is_another_kind_of_file_is_refused_unread(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ramp())
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", ramp())
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    os.mkfifo(tmp_path / "c.npy")
    os.mkfifo(tmp_path / "d.npz")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000, 4), }"
    length = len(header).to_bytes(2, "little")
    (tmp_path / "e.npy").write_bytes(b"\x93NUMPY\x01\x00" + length + header)
    folder = scan(tmp_path)
    for name in "abcde":
        with pytest.raises(ValueError, match=r"^cannot be read as features: "):
            read(folder.find(Path(name)))


def test_times_ascend(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ramp())
    (tmp_path / "a.json").write_text('{"pts": [5, 1, 3]}')
    with pytest.raises(ValueError, match="times of frames must ascend"):
        read(FeatureFile(path=tmp_path / "a.npy"))
    (tmp_path / "a.json").write_text('{"pts": [1, 2, ' + "9" * 400 + "]}")
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's own words
        read(FeatureFile(path=tmp_path / "a.npy"))
