"""timm's networks in torch: load weights, pool the last feature map, export to ONNX.

Reads weights; writes nothing that stays. Imports torch and timm, so only backbone.py imports it,
and only when a graph is built or an engine runs torch.

Shapes: B images, C channels, H x W cells of the last map, N x N cells after pooling, D features.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from reelscribe.encoders.backbone import Backbone, check_pool, weights_file

StateDict = dict[str, Tensor]

TOLERANCE = 1e-3
"""The largest difference between the graph and torch, over the largest feature."""

BUNDLED_DATA = {
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "crop_pct": 0.875,
}
"""What the bundled weights were trained with; 11 of 12 photos are right with these."""


class Pooled(nn.Module):
    """Normalised images (B, 3, S, S) in, features (B, D) out."""

    def __init__(self, model: Any, pool: str) -> None:
        super().__init__()
        # Any: timm's networks have methods that nn.Module does not.
        self.model: Any = model
        self.pool, self.cells = pool, check_pool(pool)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the network's own global pooling, C maxima too, or N x N x C averages by row."""
        maps_BCHW: Tensor = self.model.forward_features(images_BCHW)
        if self.cells == 1:
            feats_BD: Tensor = self.model.forward_head(maps_BCHW, pre_logits=True).flatten(1)
            peaks = [maps_BCHW.amax((2, 3))] if self.pool == "avgmax" else []
            return torch.cat([feats_BD, *peaks], dim=1) if peaks else feats_BD
        rows_NH = _cells(self.cells, maps_BCHW.shape[2]).to(maps_BCHW)
        columns_WN = _cells(self.cells, maps_BCHW.shape[3]).T.to(maps_BCHW)
        cells_BCNN = rows_NH @ maps_BCHW @ columns_WN
        return cells_BCNN.permute(0, 2, 3, 1).flatten(1)


def _cells(cells: int, length: int) -> Tensor:
    """Return (N, length) weights of averages: those of adaptive pooling, in a form ONNX has."""
    weights_NL = torch.zeros(cells, length)
    for i in range(cells):
        first, end = i * length // cells, -(-(i + 1) * length // cells)
        weights_NL[i, first:end] = 1 / (end - first)
    return weights_NL


def load(
    name: str, weights: str, pool: str, size: int | None = None
) -> tuple[Pooled, dict[str, Any], str | None]:
    """Return the network, timm's data settings, and the tensors' sha256 where no file has one.

    Raises:
        ValueError: the weights cannot be had or do not fit, or the pooling or size does not.
    """
    check_pool(pool)
    file, sha256 = weights_file(name, weights), None
    if file is None:
        model = _from_hub(name)
        sha256 = _sha256(model.state_dict())
    else:
        model = timm.create_model(name, pretrained=False, num_classes=0)
        fit = _by_order if weights == "bundled" else _by_name
        model.load_state_dict(fit(_read_tensors(file), model, file), strict=False)
    data: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    if weights == "bundled":
        data |= BUNDLED_DATA
    pooled = Pooled(model, pool).eval().requires_grad_(False)
    _check_shape(pooled, name, data, size)
    if size is not None:
        data["input_size"] = (3, size, size)
    return pooled, data, sha256


def load_whole(name: str, weights: str) -> Any:
    """Return timm's network with its classifier, ready to answer.

    Raises:
        ValueError: the weights cannot be had or do not fit, or hold no classifier.
    """
    file = weights_file(name, weights)
    if file is None:
        return _from_hub(name, classifier=True).eval()
    model = timm.create_model(name, pretrained=False)
    fit = _by_order if weights == "bundled" else _by_name
    model.load_state_dict(fit(_read_tensors(file), model, file), strict=False)
    return model.eval()


def build(
    name: str, weights: str, pool: str, size: int | None = None, *, file_sha256: str | None
) -> tuple[Backbone, bytes]:
    """Return a backbone's description and its ONNX graph, compared with torch.

    Raises:
        ValueError: the weights cannot be had or do not fit, or the pooling or size does not.
        RuntimeError: the graph and torch disagree.
    """
    model, data, tensors_sha256 = load(name, weights, pool, size)
    sha256 = file_sha256 or tensors_sha256
    assert sha256 is not None
    side = int(data["input_size"][1])
    generator = torch.Generator().manual_seed(0)
    images_BCHW = torch.randn(3, 3, side, side, generator=generator)
    # A smooth image too: noise alone leaves much of a network silent.
    images_BCHW[0] = torch.linspace(-1, 1, side).expand(3, side, side)
    with torch.inference_mode():
        feats_BD = model(images_BCHW).numpy()
    graph = _export(model, images_BCHW)
    _compare(graph, images_BCHW.numpy(), feats_BD, name)
    backbone = Backbone(
        name=name,
        weights=weights,
        weights_sha256=sha256,
        pool=pool,
        size=side,
        mean=tuple(float(value) for value in data["mean"]),
        std=tuple(float(value) for value in data["std"]),
        interpolation=str(data["interpolation"]),
        crop_pct=float(data["crop_pct"]),
        dim=feats_BD.shape[1],
    )
    return backbone, graph


def _from_hub(name: str, *, classifier: bool = False) -> nn.Module:
    sizes: dict[str, Any] = {} if classifier else {"num_classes": 0}
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, **sizes)
    # What goes wrong between here and a hub has many types; all mean that there are no weights.
    except Exception as error:
        raise ValueError(
            f"weights 'hub' of {name} cannot be had: {_reason(error)}; without a network "
            "give weights: PATH of a .safetensors or .pth file, or 'bundled' with "
            "tf_efficientnet_lite0"
        ) from None
    return model


def _reason(error: Exception) -> str:
    """Return the first sentence of what went wrong."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".")[:160]


def _sha256(tensors: StateDict) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read_tensors(file: Path) -> StateDict:
    """Read a file of tensors; no code in it is run."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        with warnings.catch_warnings():
            # About files that no torch wrote; here they load or they do not.
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"weights {str(file)!r} cannot be read as tensors: {_reason(error)}"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise ValueError(f"weights {str(file)!r} hold no dictionary of tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _wanted(model: nn.Module) -> StateDict:
    # Files from before 2018 and exports leave the counters of batch norm out; nothing reads them.
    state = model.state_dict()
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _by_order(tensors: StateDict, model: nn.Module, file: Path) -> StateDict:
    """Give the file's tensors timm's names: both list them in the same order."""
    given = [value for key, value in tensors.items() if not key.endswith("num_batches_tracked")]
    wanted = _wanted(model)
    # After the network come the classifier's weight and bias.
    shapes = [tuple(value.shape) for value in given[: len(wanted)]]
    extra = len(given) - len(wanted)
    if extra not in (0, 2) or shapes != [tuple(value.shape) for value in wanted.values()]:
        raise ValueError(f"weights {str(file)!r} are not those of the bundled network")
    return dict(zip(wanted, given, strict=False))


def _by_name(tensors: StateDict, model: Any, file: Path) -> StateDict:
    """Check names and shapes; a classifier in the file is left out."""
    classifier = model.pretrained_cfg.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    wanted = _wanted(model)
    missing = [key for key in wanted if key not in tensors]
    strange = [
        key
        for key in tensors
        if key not in model.state_dict() and not any(key.startswith(f"{head}.") for head in heads)
    ]
    wrong = [key for key in wanted if key in tensors and tensors[key].shape != wanted[key].shape]
    for keys, what in (
        (missing, "miss"),
        (strange, "have more:"),
        (wrong, "have another shape of"),
    ):
        if keys:
            raise ValueError(
                f"weights {str(file)!r} do not fit the backbone: they {what} {keys[0]!r}"
                + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
            )
    return {key: tensors[key] for key in wanted}


def _check_shape(pooled: Pooled, name: str, data: dict[str, Any], size: int | None) -> None:
    _, height, width = data["input_size"]
    if data.get("crop_mode", "center") != "center" or height != width:
        raise ValueError(f"backbone {name!r} wants other crops than centred squares")
    side = height if size is None else size
    if pooled.pool == "avg" and side == height:
        return
    try:
        with torch.inference_mode():
            maps = pooled.model.forward_features(torch.zeros(1, 3, side, side))
    except Exception as error:
        raise ValueError(
            f"backbone {name!r} takes no images of {side} x {side} pixels ({_reason(error)}); "
            f"leave out the size, which is {height} then, or use a CNN"
        ) from None
    # Transformers give (B, tokens, C) or (B, H, W, C).
    if pooled.pool != "avg" and (maps.ndim != 4 or maps.shape[1] != pooled.model.num_features):
        raise ValueError(
            f"backbone {name!r} has no map of cells to pool (its output is {tuple(maps.shape)}); "
            "use pool 'avg', or a CNN"
        )


def _export(model: nn.Module, images_BCHW: Tensor) -> bytes:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # Those of the exporter are about itself.
        warnings.simplefilter("ignore")
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model,
            (images_BCHW,),
            str(path),
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        return path.read_bytes()


def _compare(
    graph: bytes, images_BCHW: NDArray[np.float32], feats_BD: NDArray[np.float32], name: str
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for count in (1, len(images_BCHW)):
        got_BD = session.run(None, {"images": images_BCHW[:count]})[0]
        worst = float(np.abs(got_BD - feats_BD[:count]).max() / np.abs(feats_BD).max())
        if not worst < TOLERANCE:
            raise RuntimeError(
                f"{name}: the ONNX graph is off by {worst:.1e} of the largest feature "
                f"(allowed {TOLERANCE:.0e}) with {count} images"
            )
