"""Mirrored views: features of their own, drawn in training and nowhere else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from reelscribe.decoders.action import ActionHead
from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.config import Config, EncoderConfig, FramesConfig, load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place, gather, load_split
from reelscribe.pipeline.jobs import Cropped, VideoJob
from reelscribe.pipeline.plan import plan
from reelscribe.pipeline.recipe import differences
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.stages.encode import Encoding, encode, prepare
from reelscribe.pipeline.tasks import ActionTask, Example
from reelscribe.pipeline.worker import do

LOCAL = Runner(workers=1, local=True)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A lossless clip whose left and right differ, and the same of frames that are mirrored."""
    ramp_W = np.linspace(0, 255, 64).astype(np.uint8)
    frame_HWC = np.repeat(np.repeat(ramp_W[None, :, None], 64, 0), 3, 2)
    frame_HWC[10:20, 5:30] = (200, 40, 90)
    paths = []
    for name, image_HWC in (("as it is", frame_HWC), ("mirrored", frame_HWC[:, ::-1])):
        path = tmp_path / f"{name}.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264rgb", rate=10, options={"crf": "0"})
            stream.width = stream.height = 64
            stream.pix_fmt = "rgb24"
            for _ in range(4):
                shown = np.ascontiguousarray(image_HWC)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
            file.mux(stream.encode())
        paths.append(path)
    return paths[0], paths[1]


def encoding(cache: Path, *, mirrored: bool) -> Encoding:
    made = prepare(FramesConfig(count=3), EncoderConfig(), cache)
    return replace(made, mirrored=mirrored)


def features(video: Path, cache: Path, *, mirrored: bool) -> NDArray[np.float32]:
    made = encoding(cache, mirrored=mirrored)
    report = encode([video], made, LOCAL)
    found = FeatureStore(cache).read(report.contents[video], made.recipe)
    assert found is not None
    return found.feats_TD


def test_they_are_the_features_of_the_mirrored_frames(
    pair: tuple[Path, Path], own_cache: Path
) -> None:
    clip, mirror = pair
    wanted_TD = features(mirror, own_cache, mirrored=False)
    np.testing.assert_allclose(features(clip, own_cache, mirrored=True), wanted_TD, atol=1e-5)
    assert np.abs(features(clip, own_cache, mirrored=False) - wanted_TD).max() > 0.01


def test_crops_for_a_gpu_are_mirrored_as_well(pair: tuple[Path, Path], own_cache: Path) -> None:
    found = []
    for path, mirrored in zip(pair, (True, False), strict=True):
        made = replace(encoding(own_cache, mirrored=mirrored), crops=True)
        cropped = do(made, VideoJob(path=path))
        assert isinstance(cropped, Cropped)
        found.append(cropped.crops_TSSC)
    assert np.array_equal(found[0], found[1])


def test_they_have_a_recipe_of_their_own_and_change_no_other(own_cache: Path) -> None:
    plain, mirrored = (encoding(own_cache, mirrored=value).recipe for value in (False, True))
    assert differences(plain.settings, mirrored.settings) == ["frames.mirrored (none) -> true"]
    assert "mirrored" not in plain.text


class Watched(ActionHead):
    """Keeps the first value of every clip that it is asked about."""

    def __init__(self) -> None:
        super().__init__(dim=2, classes=2, cell="none")
        self.seen: list[float] = []

    def forward(self, feats_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        self.seen += feats_BTD[:, 0, 0].tolist()
        return super().forward(feats_BTD, lengths_B)


def test_training_draws_one_of_the_two_and_validation_sees_the_clip() -> None:
    def example(value: float, mirror: Example | None = None) -> Example:
        return Example(feats_TD=torch.full((3, 2), value), label=0, mirror=mirror)

    both, alone = example(1.0, example(-1.0)), example(5.0)
    head = Watched()
    task = ActionTask(head, [both, alone], [both, alone], batch=2)
    torch.manual_seed(0)
    for _ in range(400):
        task.loss([both, alone])
    assert set(head.seen[::2]) == {1.0, -1.0}
    assert sum(head.seen[::2]) / 400 == pytest.approx(0, abs=0.1)
    assert set(head.seen[1::2]) == {5.0}
    head.seen.clear()
    with torch.inference_mode():
        task.validate()
    assert head.seen == [1.0, 5.0]


@pytest.fixture
def config(trained: Any, tmp_path: Path) -> Config:
    settings = [*trained.settings("action"), f"output={tmp_path / 'run'}"]
    return load_config(Path("theatre"), [*settings, "training.mirrored=true"])


@pytest.mark.slow
def test_a_run_makes_them_and_trains_on_them(trained: Any, tmp_path: Path, config: Config) -> None:
    cache = Path(shutil.copytree(trained.cache, tmp_path / "cache", symlinks=True))
    split = load_split(config)
    learnt_from = len(split.train)  # Of validation clips there are none: nothing is refitted.
    first = plan(config, split, cache)[0]
    assert first.why == f"{learnt_from} of {learnt_from} videos not yet seen mirrored"
    before = len(list(FeatureStore(cache).entries()))
    place = Place(cache=cache, runner=Runner(workers=2, local=True))
    train_run(config, place)
    assert all(step.fresh for step in plan(config, split, cache))
    material = gather(config, split, place)
    assert all(one.mirror is not None for one in material.examples(split.train, mirrors=True))
    assert all(one.mirror is None for one in material.examples(split.test))
    assert len(list(FeatureStore(cache).entries())) == before + learnt_from


@pytest.mark.parametrize("name", ["mirrored=true", "mixup=0.2", "class_weights=balanced"])
def test_captions_have_none_of_it(trained: Any, name: str) -> None:
    settings = [*trained.settings("caption"), f"training.{name}"]
    key = name.partition("=")[0]
    with pytest.raises(ValueError, match=rf"^training\.{key} is .* caption: it is for actions"):
        load_split(load_config(Path("theatre_captions"), settings))


def test_features_that_others_made_have_no_mirror_image(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for n in range(6):
            np.save(tmp_path / label / f"{n}.npy", np.full((3, 2), n, dtype=np.float32))
    path = tmp_path / "given.yaml"
    path.write_text(
        f"data: {{dataset: folder, leaks: allow}}\nencoder: {{precomputed: {tmp_path}}}\n"
        "head: {task: action}\ntraining: {mirrored: true}\n"
    )
    config = load_config(path)
    place = Place(cache=tmp_path / "cache", runner=LOCAL)
    with pytest.raises(ValueError, match=r"^training.mirrored needs features of mirrored videos"):
        gather(config, load_split(config), place)
