"""Features of others in the store, under their own recipe; ours out of it, for other tools."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.stages.adopt import prepare_adoption
from reelscribe.pipeline.stages.encode import encode, read_features
from reelscribe.pipeline.stages.export import names_of

MakeVideo = Callable[..., Path]
Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
LOCAL = Runner(workers=1, local=True)


def save(folder: Path, count: int = 4, dim: int = 6) -> list[Path]:
    """``count`` sequences of features, v0 ...; of each the first number says which it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        np.save(folder / f"v{n}.npy", np.full((n + 1, dim), n, dtype=np.float32))
    return [folder / f"v{n}" for n in range(count)]


def test_features_go_into_the_store_once(tmp_path: Path, own_cache: Path) -> None:
    clips = save(tmp_path / "clip_vit")
    adoption = prepare_adoption(tmp_path / "clip_vit", own_cache)
    assert adoption.recipe.settings == {
        "version": 1,
        "frames": {},
        "encoder": {"precomputed": "clip_vit", "dim": 6},
    }
    report = encode(clips, adoption, LOCAL)
    assert (report.encoded, report.failed) == (4, {})
    again = encode(clips, adoption, LOCAL)
    assert (again.encoded, again.contents) == (0, report.contents)
    features = FeatureStore(own_cache).read(report.contents[clips[2]], adoption.recipe)
    assert features is not None
    assert features.feats_TD.tolist() == [[2.0] * 6] * 3
    assert features.pts_T.tolist() == [0.0, 1.0, 2.0]
    assert features.about["times"] == "steps"


def test_changed_features_are_other_features(tmp_path: Path, own_cache: Path) -> None:
    """Complaint 4: a cache keyed by a name serves what the file held before."""
    clips = save(tmp_path / "in")
    before = encode(clips, prepare_adoption(tmp_path / "in", own_cache), LOCAL)
    np.save(tmp_path / "in" / "v1.npy", np.full((9, 6), 7.0, dtype=np.float32))
    adoption = prepare_adoption(tmp_path / "in", own_cache)
    after = encode(clips, adoption, LOCAL)
    assert after.encoded == 1
    assert after.contents[clips[1]] != before.contents[clips[1]]
    sha256 = after.contents[clips[1]]
    assert read_features(FeatureStore(own_cache), clips[1], sha256, adoption).feats_TD[0, 0] == 7.0


def test_many_clips_of_one_h5_file_have_contents_of_their_own(
    tmp_path: Path, own_cache: Path
) -> None:
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for n in range(3):
            file[f"video{n}"] = np.full((2, 5), n, dtype=np.float32)
    adoption = prepare_adoption(tmp_path / "all.h5", own_cache)
    clips = sorted(adoption.folder.files)
    report = encode(clips, adoption, LOCAL)
    assert len(set(report.contents.values())) == 3
    store = FeatureStore(own_cache)
    for n, clip in enumerate(clips):
        assert read_features(store, clip, report.contents[clip], adoption).feats_TD[0, 0] == n
    assert encode(clips, adoption, LOCAL).encoded == 0


def test_bad_features_cost_their_clip(tmp_path: Path, own_cache: Path) -> None:
    clips = save(tmp_path / "in")
    np.save(tmp_path / "in" / "v1.npy", np.zeros((3, 5)))
    (tmp_path / "in" / "v2.npy").write_bytes(b"broken")
    adoption = prepare_adoption(tmp_path / "in", own_cache)
    report = encode([*clips, tmp_path / "v9.mp4"], adoption, LOCAL)
    assert sorted(path.name for path in report.contents) == ["v0", "v3"]
    assert {path.name: reason for path, reason in report.failed.items()} == {
        "v1": "its features have D = 5, those of the others 6; one run takes one width",
        "v2": report.failed[clips[2]],
        "v9.mp4": f"no features named 'v9' in {tmp_path / 'in'}",
    }
    assert report.failed[clips[2]].startswith("cannot be read as features: ")


def test_a_damaged_entry_is_taken_over_again(tmp_path: Path, own_cache: Path) -> None:
    clips = save(tmp_path / "in")
    adoption = prepare_adoption(tmp_path / "in", own_cache)
    sha256 = encode(clips, adoption, LOCAL).contents[clips[3]]
    store = FeatureStore(own_cache)
    entry = store.path(sha256, adoption.recipe)
    data = bytearray(entry.read_bytes())
    data[-3] ^= 1
    entry.write_bytes(data)
    assert read_features(store, clips[3], sha256, adoption).feats_TD[0, 0] == 3


def msrvtt(folder: Path) -> None:
    """Six videos of MSR-VTT as published, with their captions and no video file."""
    parts = ["train", "train", "validate", "validate", "test", "test"]
    videos = [
        {"video_id": f"video{n}", "split": part, "url": f"https://youtu.be/{n}", "category": 1}
        for n, part in enumerate(parts)
    ]
    sentences = [
        {"video_id": f"video{n}", "sen_id": 2 * n + k, "caption": f"a dog number {n % 2} runs"}
        for n in range(6)
        for k in range(2)
    ]
    folder.mkdir()
    for name, mine in (("train_val", videos[:4]), ("test", videos[4:])):
        ids = {video["video_id"] for video in mine}
        text = json.dumps(
            {"videos": mine, "sentences": [s for s in sentences if s["video_id"] in ids]}
        )
        (folder / f"{name}_videodatainfo.json").write_text(text)


@pytest.mark.parametrize("form", ["npy", "h5"])
def test_captions_are_trained_without_a_video(
    tmp_path: Path, reelscribe: Reelscribe, form: str
) -> None:
    """Complaint 22: people have features of MSR-VTT and no videos any more."""
    rng = np.random.default_rng(0)
    place = tmp_path / ("c3d" if form == "npy" else "c3d.h5")
    if form == "npy":
        place.mkdir()
        for n in range(6):
            np.save(place / f"video{n}.npy", rng.normal(size=(5, 8)).astype(np.float32))
    else:
        with h5py.File(place, "w") as file:
            for n in range(6):
                file[f"video{n}"] = rng.normal(size=(5, 8)).astype(np.float32)
    msrvtt(tmp_path / "notes")
    (tmp_path / "c.yaml").write_text(
        "data: {dataset: msrvtt, annotations: notes}\n"
        f"encoder: {{precomputed: {place}}}\n"
        "head: {task: caption, hidden: 8, embed: 8, min_count: 1}\n"
        "training: {epochs: 1}\noutput: run\n"
    )
    trained = reelscribe("train", "c.yaml", "--local")
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "scores.json").is_file()
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    planned = reelscribe("plan", "c.yaml")
    assert "6 videos in the store" in planned.stdout
    # A video that has features by its name is described with them; no frame of it is decoded.
    for name in ("video4.mp4", "other.mp4"):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / name).write_text("not a video")
    asked = reelscribe("describe", "new", "--caption", "run", "--out", "out", "--local")
    assert asked.returncode == 3, asked.stderr
    other, fourth = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert (fourth["status"], fourth["path"]) == ("ok", "new/video4.mp4")
    assert isinstance(fourth["caption"], str)
    assert (other["status"], other["reason"]) == ("failed", f"no features named 'other' in {place}")


def test_actions_are_trained_from_folders_of_features(
    tmp_path: Path, reelscribe: Reelscribe
) -> None:
    rng = np.random.default_rng(0)
    for label, mean in (("up", 1.0), ("down", -1.0)):
        for n in range(12):
            (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
            feats_TD = rng.normal(0, 0.1, size=(4 + n % 3, 6))
            feats_TD[:, ::2] += mean
            np.save(tmp_path / "in" / label / f"{n}.npy", feats_TD.astype(np.float32))
    (tmp_path / "a.yaml").write_text(
        "data: {dataset: folder}\nencoder: {precomputed: in}\n"
        "head: {task: action, hidden: 8}\noutput: run\n"
        "training: {epochs: 40, lr: 0.02, patience: 40}\n"
    )
    trained = reelscribe("train", "a.yaml", "--local")
    assert trained.returncode == 0, trained.stderr
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["top1"] == 1.0, scores


def test_a_cnn_and_features_exclude_each_other(tmp_path: Path, reelscribe: Reelscribe) -> None:
    save(tmp_path / "in")
    both = reelscribe(
        "encode", "in", "--set", "encoder.precomputed=in", "--set", "encoder.pool=grid2"
    )
    assert both.returncode == 2
    assert "encoder.precomputed: is instead of a CNN; take encoder.pool out" in both.stderr
    gone = reelscribe("encode", "in", "--set", "encoder.precomputed=nowhere")
    assert "encoder.precomputed: nowhere does not exist" in gone.stderr


def test_what_is_exported_comes_back(
    tmp_path: Path, own_cache: Path, reelscribe: Reelscribe, make_video: MakeVideo
) -> None:
    make_video(tmp_path / "my videos" / "a b" / "one.mp4", frames=12)
    make_video(tmp_path / "my videos" / "two.mp4", frames=9, grey=lambda i: 200 - 9 * i)
    made = reelscribe(
        *("encode", "my videos", "--local", "--export", "out dir", "--set", "frames.count=3")
    )
    assert made.returncode == 0, made.stderr
    assert sorted(
        p.relative_to(tmp_path / "out dir") for p in (tmp_path / "out dir").rglob("*.*")
    ) == [
        Path("a b/one.json"),
        Path("a b/one.npy"),
        Path("two.json"),
        Path("two.npy"),
    ]
    said = json.loads((tmp_path / "out dir" / "a b" / "one.json").read_text())
    feats_TD = np.load(tmp_path / "out dir" / "a b" / "one.npy", allow_pickle=False)
    assert said["shape"] == list(feats_TD.shape) == [3, 1280]
    assert said["pts"] == pytest.approx([0.2, 0.6, 1.0])
    assert said["recipe"]["frames"] == {"count": 3}
    (ours,) = [e for e in FeatureStore(own_cache).entries() if e.sha256 == said["sha256"]]

    adoption = prepare_adoption(tmp_path / "out dir", own_cache)
    video = tmp_path / "my videos" / "a b" / "one.mp4"
    report = encode([video], adoption, LOCAL)
    features = FeatureStore(own_cache).read(report.contents[video], adoption.recipe)
    first = FeatureStore(own_cache).recipes()[ours.fingerprint]
    before = FeatureStore(own_cache).read(said["sha256"], first)
    assert features is not None
    assert before is not None
    np.testing.assert_array_equal(features.feats_TD, before.feats_TD)
    np.testing.assert_array_equal(features.pts_T, before.pts_T)
    assert features.about["duration"] == pytest.approx(1.2)


def test_names_of_exports_stay_inside_and_apart(tmp_path: Path) -> None:
    """Complaint 4: two folders, one stem, one file."""
    one, other = "ab" * 32, "cd" * 32
    videos = {
        tmp_path / "x" / "a.mp4": one,
        tmp_path / "y" / "A.avi": other,
        tmp_path / "x" / "b" / "c.mp4": one,
        tmp_path / "z" / ("n" * 251 + ".mp4"): other,
    }
    names = names_of(videos, [tmp_path / "x", tmp_path / "y", tmp_path / "q" / ".." / "z"])
    assert list(names.values()) == ["a.mp4", "A.avi", "b/c", "z/" + "n" * 180 + "-cdcdcdcd"]
    alone = tmp_path / "elsewhere" / "d.mp4"
    assert names_of({alone: one}, [Path("nowhere"), alone]) == {alone: "d"}


def test_a_name_of_an_export_is_no_folder_of_another(tmp_path: Path) -> None:
    videos = {tmp_path / "a.mp4": "ab" * 32, tmp_path / "a.npy" / "b.mp4": "cd" * 32}
    assert list(names_of(videos, [tmp_path]).values()) == ["a.mp4", "a.npy/b"]
    twins = {tmp_path / "X.mp4": "ab" * 32, tmp_path / "x.mp4": "ab" * 32}
    first, second = names_of(twins, [tmp_path]).values()
    assert first.startswith(f"{tmp_path.name}/X-abababab-")
    assert second.startswith(f"{tmp_path.name}/x-abababab-")
    assert first[-8:] != second[-8:]


def test_exports_of_one_name_are_found_again(
    tmp_path: Path, own_cache: Path, reelscribe: Reelscribe, make_video: MakeVideo
) -> None:
    """Complaint 4: videos of one name, in two folders or two containers, never swap features."""
    videos = [tmp_path / name for name in ("a/x.mp4", "b/x.mp4", "b/y.mp4", "b/y.mov")]
    for number, video in enumerate(videos):
        make_video(video, frames=9, grey=lambda i, n=number: 30 + 50 * n + i)
    set_ = ("--local", "--export", "out", "--set", "frames.count=2")
    assert reelscribe("encode", "a", "b", *set_).returncode == 0
    out = tmp_path / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npy")) == [
        *("a/x.npy", "b/x.npy", "y.mov.npy", "y.mp4.npy")
    ]
    adoption = prepare_adoption(out, own_cache)
    report = encode(videos, adoption, LOCAL)
    assert not report.failed
    for video in videos:
        taken = FeatureStore(own_cache).read(report.contents[video], adoption.recipe)
        name = adoption.folder.find(video).path.with_suffix(".json")
        assert json.loads(name.read_text())["video"] == str(video.relative_to(tmp_path))
        assert taken is not None


def test_a_later_export_overwrites_no_other_video(
    tmp_path: Path, own_cache: Path, reelscribe: Reelscribe, make_video: MakeVideo
) -> None:
    for folder, grey in (("a", 40), ("b", 200)):
        make_video(tmp_path / folder / "x.mp4", frames=9, grey=lambda i, g=grey: g)
        for _ in range(2):  # The same again is the same file.
            made = reelscribe("encode", folder, "--local", "--export", "out")
            assert made.returncode == 0, made.stderr
    said = {
        path.name: json.loads(path.read_text())["video"]
        for path in (tmp_path / "out").rglob("*.json")
    }
    assert said == {"x.json": "a/x.mp4", "x.mp4.json": "b/x.mp4"}


def test_an_export_says_by_what_it_was_made(tmp_path: Path, own_cache: Path) -> None:
    """Two folders of one name and width, made by two networks, are two recipes."""
    found = []
    for maker in ("aaaa", "bbbb"):
        save(tmp_path / maker / "features", count=1)
        beside = tmp_path / maker / "features" / "v0.json"
        beside.write_text(json.dumps({"fingerprint": maker}))
        found.append(prepare_adoption(tmp_path / maker / "features", own_cache).recipe)
    assert found[0].settings["encoder"]["made_by"] == "aaaa"
    assert found[0].fingerprint != found[1].fingerprint


def test_an_export_that_cannot_be_written_says_so(
    tmp_path: Path, reelscribe: Reelscribe, make_video: MakeVideo
) -> None:
    make_video(tmp_path / "in" / "a.mp4")
    (tmp_path / "file").write_text("x")
    refused = reelscribe("encode", "in", "--local", "--export", "file")
    assert refused.returncode == 2
    assert "--export 'file' is not a folder" in refused.stderr
    assert "Traceback" not in refused.stderr
