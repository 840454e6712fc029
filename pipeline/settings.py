"""The sections of a config that say what is read and decide a feature, and what all are made of.

Reads and writes nothing but to look whether a file that is named is there.
"""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from reelscribe.datasets.catalog import DATASETS
from reelscribe.datasets.grouping import check
from reelscribe.datasets.sampling import Sampling
from reelscribe.pipeline.names import among
from reelscribe.pipeline.recipe import Precision


def a_number(value: object) -> object:
    """Return the value, if it is no yes or no.

    Raises:
        ValueError: it is.
    """
    # YAML reads `yes` as true, which pydantic would take for a 1.
    if isinstance(value, bool):
        raise ValueError(f"takes no yes or no, got {value}")
    return value


# The upper ends are beyond any machine: they catch a slip of the keyboard before hours of encoding.
Count = Annotated[int, BeforeValidator(a_number), Field(ge=1, le=1_000_000)]
Width = Annotated[int, BeforeValidator(a_number), Field(ge=1, le=65_536)]
Side = Annotated[int, BeforeValidator(a_number), Field(ge=32, le=1024)]
Few = Annotated[int, BeforeValidator(a_number), Field(ge=1, le=100)]
Seed = Annotated[int, BeforeValidator(a_number), Field(ge=0, lt=2**32)]
Share = Annotated[float, BeforeValidator(a_number), Field(ge=0, lt=1)]
Positive = Annotated[float, BeforeValidator(a_number), Field(gt=0, le=1e6)]
NotNegative = Annotated[float, BeforeValidator(a_number), Field(ge=0, le=1e6)]


class Settings(BaseModel):
    """A section of the config: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Settings):
    """Which clips, from where, in which split."""

    dataset: str
    root: Path = Field(validate_default=True, default=Path("data"))
    """The folder of the videos."""
    annotations: Path | None = None
    """Lists, labels or captions, where the dataset keeps them apart."""
    split: str = "1"
    seed: Seed = 0
    """Of splits drawn at random and of clips that are made; not of the training."""
    clips: Count | None = None
    """For made datasets: how many clips."""
    groups: str | None = None
    """For ``folder``: a regular expression, searched for in a clip's path without its suffix. Clips
    for which its first group is the same stay in one part: ``(.+)_c[0-9]+`` keeps a_c1.mp4 and
    a_c2.mp4 together."""
    missing: Literal["refuse", "skip"] = "refuse"
    """What to do where the lists name clips that the disk does not have."""
    leaks: Literal["refuse", "drop", "allow"] = "refuse"
    """What to do where one and the same file, byte for byte, is in two parts of the split: ``drop``
    leaves it out of the part that is learnt from. Either way the score card says so."""
    reversed: bool = False
    """Add every clip backwards, as a class of its own: can the head tell the arrow of time?"""
    trim: NotNegative = 0.0
    """With ``reversed``: seconds left out at both ends of a clip, where encoders leave marks that
    tell its start. At most a quarter of the clip each, counted from the first and the last frame
    that are read. What is learnt from, scored and looked at by ``lens``; ``describe`` reads all."""

    @field_validator("trim")
    @classmethod
    def _with_reversed(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("reversed") is False:
            raise ValueError(
                f"is {value:g} and data.reversed is not true; set that, or leave data.trim out"
            )
        return value

    @field_validator("split", mode="before")
    @classmethod
    def _number_is_a_name(cls, value: object) -> object:
        return str(value) if isinstance(a_number(value), int) else value

    @field_validator("dataset")
    @classmethod
    def _known(cls, value: str) -> str:
        return among(DATASETS, value, "dataset")

    @field_validator("groups")
    @classmethod
    def _pattern(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("dataset", "folder") != "folder":
            raise ValueError(
                f"is for the dataset folder; {info.data['dataset']} has groups of its own"
            )
        return None if value is None else check(value)

    @field_validator("root", "annotations")
    @classmethod
    def _there(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        made = info.data.get("dataset") == "theatre"
        if value is not None and not made and not os.path.exists(value):
            raise ValueError(
                f"{value} does not exist (looked from {Path.cwd()}); "
                f"give it in the config or with --set data.{info.field_name}=DIR"
            )
        return value


class FramesConfig(Settings):
    """Which frames of a video: ``count`` of them, ``fps`` a second, or its key frames."""

    count: Count | None = None
    keyframes: bool | None = None
    fps: Positive | None = Field(validate_default=True, default=None)
    at_most: Count | None = None
    """With ``fps`` or ``keyframes``: an upper limit, lest an hour become a sequence of an hour."""

    @field_validator("fps", "at_most", mode="before")
    @classmethod
    def _one_of_three(cls, value: object, info: ValidationInfo) -> object:
        # At its key, to be told beside what else is wrong; a wrong key is not in `info.data`.
        given = [info.data.get(name, 1) for name in ("count", "keyframes")]
        given = [other for other in given if other not in (None, False)]
        if info.field_name == "fps" and len(given) + (value is not None) != 1:
            raise ValueError(
                "give either count (frames a video), fps (frames a second) or keyframes: true"
            )
        if info.field_name == "at_most" and value is not None and info.data.get("count"):
            raise ValueError("goes with fps or keyframes; count is a limit already")
        return value

    def sampling(self) -> Sampling:
        """Return the same as the value that the decoder of videos takes."""
        keyframes = bool(self.keyframes)
        return Sampling(count=self.count, fps=self.fps, keyframes=keyframes, at_most=self.at_most)


class EncoderConfig(Settings):
    """Which CNN, with which weights, pooled how; or features that others made."""

    backbone: str = "tf_efficientnet_lite0"
    """Any timm CNN by name."""
    weights: str = "bundled"
    """``bundled``, ``hub`` (timm's own, needs a network once), or the path of a file."""
    pool: Literal["avg", "avgmax", "grid2", "grid3", "grid4"] = "avg"
    """``avg``: one vector a frame. ``avgmax``: the maxima of its map beside it. ``gridN``: N x N
    cells side by side, for heads that need to know where."""
    size: Side | None = None
    """The side of the square image in pixels; as the network was trained if not given. A somewhat
    larger one can tell more (Touvron et al. 2019, https://arxiv.org/abs/1906.06423), and costs
    with its square."""
    crop_pct: Annotated[float, BeforeValidator(a_number), Field(ge=0.1, le=1)] | None = None
    """timm's: the square's side over the shorter side of the resized frame; the network's own if
    not given. With 1 nothing is cut off there."""
    precision: Precision = "float32"
    """``bf16``: the network is faster on a GPU (``--device cuda``); other features."""
    precomputed: Path | None = None
    """A folder of .npy, .npz or .h5 by clip name, instead of a CNN (see datasets/features.py)."""

    @field_validator("backbone")
    @classmethod
    def _known(cls, value: str) -> str:
        from reelscribe.encoders.backbone import check_backbone

        check_backbone(value)
        return value

    @field_validator("weights")
    @classmethod
    def _there(cls, value: str) -> str:
        if value not in ("bundled", "hub") and not os.path.isfile(value):
            raise ValueError(f"no file {value!r}; allowed: bundled, hub, or the path of a file")
        return value

    @field_validator("precomputed")
    @classmethod
    def _instead(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        if not os.path.exists(value):
            raise ValueError(f"{value} does not exist (looked from {Path.cwd()})")
        for name in ("backbone", "weights", "pool", "size", "crop_pct", "precision"):
            if (
                info.data.get(name, cls.model_fields[name].default)
                != cls.model_fields[name].default
            ):
                raise ValueError(f"is instead of a CNN; take encoder.{name} out")
        return value


class AugmentConfig(Settings):
    """How training clips are changed each time they are seen, and how much a class counts.

    For actions; the part of ``training`` that a caption head does not know.
    """

    crop: Share = 0.0
    """The largest share of a clip's frames that is cut off, at random, at its two ends."""
    drop_frames: Share = 0.0
    """The share of a clip's frames that is left out, others each time."""
    mixup: NotNegative = 0.0
    """Mix every clip with another one, in shares drawn from Beta(mixup, mixup); 0 mixes none."""
    mirrored: bool = False
    """See every clip with left and right exchanged as often as it is: features of their own."""
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced``: every class counts as much as every other, however many clips it has."""

    def refuse_for_captions(self) -> None:
        """Raise where a setting is on that only an action head has.

        Raises:
            ValueError: names the first of them.
        """
        for name, field in AugmentConfig.model_fields.items():
            value = getattr(self, name)
            if value != field.default:
                raise ValueError(
                    f"training.{name} is {value} and head.task is caption: it is for actions; "
                    f"leave it at {field.default}"
                )
