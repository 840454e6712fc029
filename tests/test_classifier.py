"""Objects: ImageNet's classes from cached features, as timm's whole network names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from timm.data.transforms_factory import create_transform

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.encoders.backbone import Backbone, find_backbone
from reelscribe.encoders.classifier import Classifier, find_classifier
from reelscribe.encoders.engine import OnnxEngine
from reelscribe.encoders.network import load_whole

SMALL = "test_resnet"
EVEN = "resnet10t"
"""Ends in 6 x 6: two cells a side divide it, and three."""


@pytest.fixture(scope="module")
def lite0(graphs: Path) -> tuple[Backbone, Path]:
    return find_backbone(graphs=graphs)


def photos() -> list[Any]:
    """Two real photos that scikit-learn ships: a temple and a flower."""
    return list(load_sample_images().images)


def timms_own(backbone: Backbone, frames: list[Any]) -> Any:
    """Return the mean of softmax over the frames: timm's transform, timm's forward."""
    seen = create_transform(
        input_size=(3, backbone.size, backbone.size),
        interpolation=backbone.interpolation,
        mean=backbone.mean,
        std=backbone.std,
        crop_pct=backbone.crop_pct,
    )
    images = torch.stack([seen(Image.fromarray(frame)) for frame in frames])
    with torch.inference_mode():
        return load_whole(backbone.name, backbone.weights)(images).double().softmax(1).mean(0)


def named(found: Classifier, probability_K: Any) -> list[str]:
    return [found.labels[k] for k in np.argsort(-probability_K)[:3]]


def test_photos_are_named_as_timm_names_them(lite0: tuple[Backbone, Path], graphs: Path) -> None:
    backbone, graph = lite0
    found = find_classifier(backbone, graphs)
    engine = OnnxEngine(graph, backbone)
    temple, flower = (found.probabilities(engine.encode(photo[None])) for photo in photos())
    assert named(found, temple)[0] == "palace"
    assert "daisy" in named(found, flower)
    feats_TD = np.concatenate([engine.encode(photo[None]) for photo in photos()])
    theirs = timms_own(backbone, photos()).numpy()
    np.testing.assert_allclose(found.probabilities(feats_TD), theirs, atol=1e-4)
    # Kept beside the graphs, and the same from there.
    again = find_classifier(backbone, graphs)
    np.testing.assert_array_equal(again.weight_KC, found.weight_KC)
    assert again.labels == found.labels


def test_a_real_clip_is_named_as_timm_names_its_frames(
    real_data: Path, lite0: tuple[Backbone, Path], graphs: Path
) -> None:
    backbone, graph = lite0
    video = real_data / "ucf101" / "UCF-101" / "Archery" / "v_Archery_g01_c01.avi"
    frames_THWC = read_frames(video, Sampling(count=4)).frames_THWC
    found = find_classifier(backbone, graphs)
    ours = found.probabilities(OnnxEngine(graph, backbone).encode(frames_THWC))
    assert named(found, ours)[0] == "bow"
    np.testing.assert_allclose(ours, timms_own(backbone, list(frames_THWC)).numpy(), atol=1e-4)


def test_cells_that_overlap_are_said_to(lite0: tuple[Backbone, Path], tmp_path: Path) -> None:
    """lite0 ends in 7 x 7: two cells a side share a row, so their mean is not its pooling."""
    assert find_classifier(lite0[0], tmp_path).exact
    assert not find_classifier(replace(lite0[0], pool="grid2"), tmp_path).exact


def test_names_are_thousand_and_different(lite0: tuple[Backbone, Path], graphs: Path) -> None:
    labels = find_classifier(lite0[0], graphs).labels
    assert len(set(labels)) == 1000
    assert labels[0] == "tench"
    assert labels[134].startswith("crane (large long-necked wading bird")
    assert labels[517].startswith("crane (lifts")


def test_cells_are_averaged_first() -> None:
    """Two cells of two channels: (1, 3) and (3, 1) are (2, 2), whose classes are alike."""
    found = Classifier(
        weight_KC=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        bias_K=np.array([0.0, np.log(3)], np.float32),
        labels=("a", "b"),
    )
    cells = np.array([[1, 3, 3, 1]], np.float32)
    np.testing.assert_allclose(found.probabilities(cells), [0.25, 0.75], atol=1e-6)
    # The mean of probabilities, not of logits: 1/4 and 9/10 for b after 0 and log 3 more.
    twice = np.array([[2, 0, 0, 2], [0, np.log(3), 0, np.log(3)]], np.float32)
    np.testing.assert_allclose(found.probabilities(twice)[1], (0.75 + 0.9) / 2, atol=1e-6)


@pytest.mark.slow
def test_cells_of_a_map_that_they_divide_are_the_networks_own_pooling(
    graphs: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "small.safetensors"
    model = timm.create_model(EVEN)
    save_file(model.state_dict(), weights)
    frames_THWC = np.stack([np.asarray(photo)[:400, :600] for photo in photos()])
    for pool in ("avg", "avgmax", "grid2", "grid3"):
        backbone, graph = find_backbone(EVEN, weights=str(weights), pool=pool, graphs=graphs)
        found = find_classifier(backbone, graphs)
        assert found.exact
        ours = found.probabilities(OnnxEngine(graph, backbone).encode(frames_THWC))
        theirs = timms_own(backbone, list(frames_THWC)).numpy()
        # An untrained network finds all classes about as probable: what counts is the ratio.
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
        assert theirs.std() > 1e-2 * theirs.mean()


def test_what_has_no_such_layer_says_why(lite0: tuple[Backbone, Path], tmp_path: Path) -> None:
    backbone, _ = lite0
    bare = tmp_path / "bare.safetensors"
    model = timm.create_model(SMALL)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("fc.")}
    save_file(state, bare)
    small = replace(backbone, name=SMALL, weights=str(bare), weights_sha256="0" * 64)
    with pytest.raises(ValueError, match=r"they miss 'fc\.weight'"):
        find_classifier(small, tmp_path)
    torch.manual_seed(0)
    seven = tmp_path / "seven.safetensors"
    save_file(timm.create_model(SMALL, num_classes=7).state_dict(), seven)
    with pytest.raises(ValueError, match=r"another shape of 'fc\.weight'"):
        find_classifier(replace(small, weights=str(seven), weights_sha256="1" * 64), tmp_path)
