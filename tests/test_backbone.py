"""Backbones: the weights, the transform and the graph compute what timm itself computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data.transforms_factory import create_transform

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.encoders.backbone import (
    DEFAULT,
    Backbone,
    check_backbone,
    find_backbone,
    load_model,
    weights_file,
)
from reelscribe.encoders.engine import OnnxEngine, TorchEngine
from reelscribe.encoders.transform import prepare

# Small networks with random weights: what is tested is ours, not what they were taught.
SMALL = "test_resnet"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def lite0(graphs: Path) -> tuple[Backbone, Path]:
    return find_backbone(graphs=graphs)


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(timm.create_model(SMALL).state_dict(), path)
    return path


def made_frames(count: int = 3, height: int = 240, width: int = 320) -> np.ndarray[Any, Any]:
    """Smooth gradients with edges and some noise, the same on every run."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    frames = []
    for i in range(count):
        red, green = 255 * x / width, 255 * ((y + 20 * i) // 40 % 2)
        blue = 127 + 120 * np.sin((x + y) / (5 + i))
        noise = rng.normal(0, 6, (height, width, 3))
        frames.append(np.clip(np.stack([red, green, blue], axis=-1) + noise, 0, 255))
    return np.stack(frames).astype(np.uint8)


def timm_transform(backbone: Backbone) -> Any:
    return create_transform(
        input_size=(3, backbone.size, backbone.size),
        interpolation=backbone.interpolation,
        mean=backbone.mean,
        std=backbone.std,
        crop_pct=backbone.crop_pct,
        is_training=False,
    )


def timm_features(frames_THWC: Any, backbone: Backbone) -> Any:
    """The reference: timm's transform and the torch model, nothing of the engine."""
    transform = timm_transform(backbone)
    images = torch.stack([transform(Image.fromarray(frame)) for frame in frames_THWC])
    with torch.inference_mode():
        return load_model(backbone.name, backbone.weights, backbone.pool)(images).numpy()


def cosines(a_TD: Any, b_TD: Any) -> Any:
    norms = np.linalg.norm(a_TD, axis=1) * np.linalg.norm(b_TD, axis=1)
    return (a_TD * b_TD).sum(axis=1) / norms


def test_the_bundled_backbone_is_what_it_says(lite0: tuple[Backbone, Path]) -> None:
    backbone, graph = lite0
    assert (backbone.name, backbone.size, backbone.dim) == (DEFAULT, 224, 1280)
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (backbone.interpolation, backbone.crop_pct) == ("bicubic", 0.875)
    # The file's name in its package ends with the first 8 digits.
    assert backbone.weights_sha256.startswith("57934424")
    assert graph.is_file()


def test_the_features_are_timms_own(lite0: tuple[Backbone, Path]) -> None:
    """Complaint 18 (pytorch/vision#8382): the same model name gives other features."""
    backbone, graph = lite0
    frames_THWC = made_frames()
    got = OnnxEngine(graph, backbone).encode(frames_THWC)
    assert got.shape == (3, 1280)
    assert cosines(got, timm_features(frames_THWC, backbone)).min() > 0.99999


def test_the_features_of_real_frames_are_timms_own(
    lite0: tuple[Backbone, Path], real_data: Path
) -> None:
    backbone, graph = lite0
    for clip in sorted((real_data / "ucf101").rglob("*.avi"))[::150]:
        frames_THWC = read_frames(clip, Sampling(count=3)).frames_THWC
        got = OnnxEngine(graph, backbone).encode(frames_THWC)
        assert cosines(got, timm_features(frames_THWC, backbone)).min() > 0.99999


def scores(frames_THWC: Any, lite0: tuple[Backbone, Path]) -> Any:
    """Probabilities of ImageNet's 1,000 classes, by the classifier in the bundled file."""
    backbone, graph = lite0
    path = weights_file(DEFAULT, "bundled")
    assert path is not None
    *_, weight, bias = torch.load(path, weights_only=True).values()
    feats_TD = torch.from_numpy(OnnxEngine(graph, backbone).encode(frames_THWC))
    return (feats_TD @ weight.T + bias).softmax(1).mean(0)


def test_the_bundled_weights_know_a_photo(lite0: tuple[Backbone, Path]) -> None:
    """Rear Admiral Hopper in 652, military uniform; matplotlib ships the photo."""
    from matplotlib import get_data_path

    photo = Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg")
    assert 652 in scores(np.asarray(photo.convert("RGB"))[None], lite0).topk(3).indices


def test_the_bundled_weights_know_real_clips(lite0: tuple[Backbone, Path], real_data: Path) -> None:
    """Of bow (456), balance beam (416) and ballplayer (981), a clip's own is likeliest."""
    numbers = {"Archery": 456, "BalanceBeam": 416, "BaseballPitch": 981}
    right = []
    for action, number in numbers.items():
        for clip in sorted((real_data / "ucf101" / "UCF-101" / action).glob("*.avi"))[::5]:
            seen = scores(read_frames(clip, Sampling(count=4)).frames_THWC, lite0)
            right.append(max(numbers.values(), key=lambda k: seen[k]) == number)
    assert len(right) == 30
    assert np.mean(right) >= 0.8


@pytest.mark.parametrize(
    ("height", "width"), [(240, 320), (320, 240), (257, 259), (100, 411), (224, 224), (256, 256)]
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.95, 1.0])
def test_the_transform_is_timms(
    height: int, width: int, interpolation: str, crop_pct: float
) -> None:
    backbone = Backbone(
        name=SMALL,
        weights="hub",
        weights_sha256="",
        pool="avg",
        size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation=interpolation,
        crop_pct=crop_pct,
        dim=1,
    )
    frames_THWC = made_frames(2, height, width)
    transform = timm_transform(backbone)
    expected = np.stack([transform(Image.fromarray(frame)).numpy() for frame in frames_THWC])
    np.testing.assert_allclose(prepare(frames_THWC, backbone), expected, rtol=0, atol=1e-6)


def test_frames_of_another_shape_are_refused(lite0: tuple[Backbone, Path]) -> None:
    with pytest.raises(ValueError, match=r"expected frames \(T, H, W, 3\)"):
        prepare(np.zeros((2, 3, 8, 8), dtype=np.uint8), lite0[0])


def test_grid_pooling_is_torchs_row_by_row(small_weights: Path, graphs: Path) -> None:
    model: Any = timm.create_model(SMALL, num_classes=0).eval()
    backbone, graph = find_backbone(SMALL, weights=str(small_weights), pool="grid2", graphs=graphs)
    pooled = load_model(SMALL, str(small_weights), "grid2")
    model.load_state_dict(cast(torch.nn.Module, pooled.model).state_dict())
    frames_THWC = made_frames(2)
    images = torch.from_numpy(prepare(frames_THWC, backbone))
    with torch.inference_mode():
        maps = model.forward_features(images)
        cells_BCNN = torch.nn.functional.adaptive_avg_pool2d(maps, 2)
    channels = cells_BCNN.shape[1]
    got = OnnxEngine(graph, backbone).encode(frames_THWC)
    assert backbone.dim == 4 * channels
    for cell, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        part = got[:, cell * channels : (cell + 1) * channels]
        np.testing.assert_allclose(part, cells_BCNN[:, :, row, column], rtol=1e-3, atol=1e-4)


def test_avgmax_is_timms_catavgmax(small_weights: Path, graphs: Path) -> None:
    model: Any = timm.create_model(SMALL, num_classes=0, global_pool="catavgmax").eval()
    backbone, graph = find_backbone(SMALL, weights=str(small_weights), pool="avgmax", graphs=graphs)
    pooled = load_model(SMALL, str(small_weights), "avgmax")
    model.load_state_dict(cast(torch.nn.Module, pooled.model).state_dict())
    frames_THWC = made_frames(2)
    with torch.inference_mode():
        expected = model(torch.from_numpy(prepare(frames_THWC, backbone))).numpy()
    assert expected.shape == (2, backbone.dim)
    got = OnnxEngine(graph, backbone).encode(frames_THWC)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    own, _ = find_backbone(SMALL, weights=str(small_weights), graphs=graphs)
    assert backbone.dim == 2 * own.dim


@pytest.mark.parametrize(("cells", "length"), [(2, 7), (3, 7), (4, 7), (4, 10), (2, 8)])
def test_grid_cells_are_those_of_adaptive_pooling(cells: int, length: int) -> None:
    from reelscribe.encoders.network import _cells

    values = torch.arange(length, dtype=torch.float32) ** 2
    expected = torch.nn.functional.adaptive_avg_pool1d(values[None], cells)[0]
    torch.testing.assert_close(_cells(cells, length) @ values, expected)


def test_a_transformer_has_no_cells_to_pool(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    for pool in ("grid2", "avgmax"):
        with pytest.raises(ValueError, match="use pool 'avg', or a CNN"):
            load_model("test_vit", str(path), pool)


def test_images_of_another_size_are_another_recipe(small_weights: Path, graphs: Path) -> None:
    model: Any = timm.create_model(SMALL, num_classes=0).eval()
    own, own_graph = find_backbone(SMALL, weights=str(small_weights), graphs=graphs)
    found = find_backbone(SMALL, weights=str(small_weights), size=192, graphs=graphs)
    larger, graph = found
    assert (own.size, larger.size) == (160, 192)
    assert larger.recipe() != own.recipe()
    assert graph != own_graph
    assert find_backbone(SMALL, weights=str(small_weights), size=192, graphs=graphs) == found
    assert find_backbone(SMALL, weights=str(small_weights), graphs=graphs) == (own, own_graph)

    pooled = load_model(SMALL, str(small_weights), "avg")
    model.load_state_dict(cast(torch.nn.Module, pooled.model).state_dict())
    frames_THWC = made_frames(2)
    transform = timm_transform(larger)
    images = torch.stack([transform(Image.fromarray(frame)) for frame in frames_THWC])
    assert images.shape == (2, 3, 192, 192)
    with torch.inference_mode():
        expected = model(images).numpy()
    onnx, by_torch = OnnxEngine(graph, larger), TorchEngine(larger, device="cpu")
    for engine in (onnx, by_torch):
        np.testing.assert_allclose(engine.encode(frames_THWC), expected, rtol=1e-3, atol=1e-4)


def test_a_size_that_a_network_cannot_take_is_refused(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224"
    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model(name).state_dict(), path)
    words = r"takes no images of 256 x 256 pixels \(.*\); leave out the size, which is 224"
    with pytest.raises(ValueError, match=words) as caught:
        find_backbone(name, weights=str(path), size=256, graphs=tmp_path)
    assert "\n" not in str(caught.value)
    assert find_backbone(name, weights=str(path), size=224, graphs=tmp_path)[0].size == 224


def test_a_second_call_reads_the_graph_without_torch(
    graphs: Path, lite0: tuple[Backbone, Path]
) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from reelscribe.encoders.backbone import find_backbone\n"
        "found = find_backbone(graphs=Path(sys.argv[1]))\n"
        "print(found[1], [m for m in ('torch', 'timm') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(graphs)], capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{lite0[1]} []", done.stderr
    assert find_backbone(graphs=graphs) == lite0


def test_a_damaged_graph_is_built_again(small_weights: Path, tmp_path: Path) -> None:
    _, graph = find_backbone(SMALL, weights=str(small_weights), graphs=tmp_path)
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-10])
    backbone, again = find_backbone(SMALL, weights=str(small_weights), graphs=tmp_path)
    assert len(again.read_bytes()) >= len(whole)
    OnnxEngine(again, backbone)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_changed_weights_are_another_backbone(small_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(small_weights.read_bytes())
    first, graph = find_backbone(SMALL, weights=str(path), graphs=tmp_path / "g")
    torch.manual_seed(1)
    save_file(timm.create_model(SMALL).state_dict(), path)
    os.utime(path, ns=(1, 1))
    second, other = find_backbone(SMALL, weights=str(path), graphs=tmp_path / "g")
    assert first.recipe() != second.recipe()
    assert graph != other
    frames_THWC = made_frames(1)
    near = cosines(
        OnnxEngine(graph, first).encode(frames_THWC), OnnxEngine(other, second).encode(frames_THWC)
    )
    assert near.max() < 0.999


def test_where_weights_lie_is_not_in_the_recipe(lite0: tuple[Backbone, Path]) -> None:
    backbone = lite0[0]
    recipe = backbone.recipe()
    assert replace(backbone, weights="elsewhere.pth").recipe() == recipe
    assert replace(backbone, crop_pct=1.0).recipe() != recipe
    assert json.loads(json.dumps(recipe)) == recipe
    assert recipe["version"] == 1


def test_weights_of_torch_and_with_a_prefix_are_read(small_weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    path = tmp_path / "w.pth"
    state = {f"module.{key}": value for key, value in load_file(small_weights).items()}
    torch.save({"state_dict": state}, path)
    images = torch.zeros(1, 3, 160, 160)
    with torch.inference_mode():
        expected = load_model(SMALL, str(small_weights), "avg")(images)
        torch.testing.assert_close(load_model(SMALL, str(path), "avg")(images), expected)


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match="cannot be read as tensors"):
        load_model(SMALL, str(path), "avg")


def test_weights_that_do_not_fit_are_refused(small_weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    path = tmp_path / "w.safetensors"
    state = load_file(small_weights)
    first = next(key for key in state if key.endswith("conv1.weight"))
    for change, words in (
        ({key: value for key, value in state.items() if key != first}, f"they miss '{first}'"),
        ({**state, "more.weight": torch.zeros(1)}, "they have more: 'more.weight'"),
        ({**state, first: torch.zeros(1, 2, 3)}, "another shape of"),
    ):
        save_file(change, path)
        with pytest.raises(ValueError, match=words) as caught:
            load_model(SMALL, str(path), "avg")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "resnet5", "weights": "hub"}, "did you mean 'resnet50'"),
        ({"name": "resnet18"}, "weights 'bundled' are those of tf_efficientnet_lite0"),
        ({"weights": "/no/such.pth"}, "no such file"),
        ({"pool": "max"}, "no pool 'max'; there are: avg, avgmax, grid2, grid3, grid4"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        find_backbone(graphs=tmp_path, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_without_a_network_the_hub_says_what_to_do(tmp_path: Path) -> None:
    """Complaint (timm#2061, #2067): offline weights end in a page of traceback."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from reelscribe.encoders.backbone import find_backbone\n"
        "try: find_backbone('resnet18', weights='hub', graphs=Path(sys.argv[1]))\n"
        "except ValueError as error: print(error)\n"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, env=offline
    )
    assert "without a network give weights: PATH" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


def test_the_default_is_checked_without_timm() -> None:
    program = (
        "import sys\nfrom reelscribe.encoders.backbone import check_backbone\n"
        "check_backbone('tf_efficientnet_lite0'); print('timm' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
    check_backbone("resnet50")
