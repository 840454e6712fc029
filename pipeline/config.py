"""The config of a run: one YAML file, read safely and checked whole.

Reads a YAML file (or the name of one that ships in ``configs/``) and ``--set key.path=value``
overrides; writes nothing. Every mistake is found in one go and said in one line of its own.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from reelscribe.pipeline.blame import mistakes
from reelscribe.pipeline.files import read_yaml
from reelscribe.pipeline.head_settings import CATEGORY as CATEGORY
from reelscribe.pipeline.head_settings import ActionConfig as ActionConfig
from reelscribe.pipeline.head_settings import CaptionConfig as CaptionConfig
from reelscribe.pipeline.names import guess
from reelscribe.pipeline.overrides import override as override
from reelscribe.pipeline.recipe import Precision
from reelscribe.pipeline.settings import (
    AugmentConfig,
    Count,
    NotNegative,
    Positive,
    Seed,
    Settings,
    Share,
    a_number,
)
from reelscribe.pipeline.settings import DataConfig as DataConfig
from reelscribe.pipeline.settings import EncoderConfig as EncoderConfig
from reelscribe.pipeline.settings import FramesConfig as FramesConfig

SHIPPED = Path(__file__).resolve().parents[1] / "configs"
"""Where the recipes of this repository lie, installed or not."""


CAPTIONS_ALONE = ("scheduled_sampling", "by_length", "scst_epochs", "scst_lr", "scst_temperature")
"""Settings of the training that an action head does not know. The ``scst_baseline`` that runs kept
as a default was another once, so it is not held against them."""


class TrainingConfig(AugmentConfig):
    """How the head is trained."""

    epochs: Count = 30
    batch: Count = 64
    """Clips a step (for captions: pairs of clip and caption)."""
    lr: Positive = 1e-3
    weight_decay: NotNegative = 1e-2
    label_smoothing: Share = 0.0
    ema: Share = 0.0
    """Decay of the moving average of the weights that is validated and kept, 0.99 for example;
    0 keeps the weights themselves."""
    warmup: Share = 0.1
    """Share of the steps in which the rate rises from 0; after it, it falls as a cosine."""
    refit: bool = False
    """Train once more on training and validation clips, for the whole schedule, and keep that
    head: where clips are few. The validation score is that of the first pass."""
    seed: Seed = 0
    patience: Count = 6
    """Epochs without a better validation score before the training stops."""
    clip_norm: NotNegative = 5.0
    """The gradient's norm is cut to this, and what it was is logged; 0 cuts nothing."""
    precision: Precision = "float32"
    """``bf16``: for a GPU, and another head; weights and validation stay float32."""
    compile: bool = False
    """Compile the head's kernels, for long trainings on a GPU; draws other dropout."""
    memory: NotNegative | None = None
    """GiB of features that are held in memory, and as many on a GPU; half of what is free where
    nothing is given. The others are read again for each batch. Only speed depends on it."""
    scheduled_sampling: Share = 0.0
    """For captions: the share of words that the head reads as it would have written them itself."""
    by_length: bool = False
    """For captions: batches of captions of like length, which pads less and so is faster."""
    scst_epochs: Annotated[int, BeforeValidator(a_number), Field(ge=0, le=1_000_000)] = 0
    """For captions: epochs of self-critical training on CIDEr-D behind those on the loss."""
    scst_lr: Positive = 1e-4
    """Its rate: about a tenth of ``lr``."""
    scst_baseline: Literal["greedy", "samples"] = "samples"
    """What a caption is held against: the greedy one, or the mean of the others drawn."""
    scst_temperature: Annotated[float, BeforeValidator(a_number), Field(ge=0.01, le=100)] = 0.5
    """What the logits are divided by where captions are drawn and learnt from: below 1 the drawn
    captions are nearer to those that the head gives when it is asked."""

    def refuse_for_actions(self) -> None:
        """Raise where a setting is on that only a caption head has.

        Raises:
            ValueError: names the first of them.
        """
        for name in CAPTIONS_ALONE:
            value, default = getattr(self, name), TrainingConfig.model_fields[name].default
            if value != default:
                raise ValueError(
                    f"training.{name} is {value} and head.task is action: it is for captions; "
                    f"leave it at {default}"
                )


class Config(Settings):
    """All of one run."""

    data: DataConfig
    frames: FramesConfig = FramesConfig(count=16)
    encoder: EncoderConfig = EncoderConfig()
    head: ActionConfig | CaptionConfig = Field(discriminator="task")
    training: TrainingConfig = TrainingConfig()
    output: Path
    """The folder of the run."""

    def refuse_apart(self) -> None:
        """Refuse settings that need one of another section, or do not go with it.

        Raises:
            ValueError: names both.
        """
        if getattr(self.head, "both_ways", False) and not self.data.reversed:
            raise ValueError("head.both_ways is true and data.reversed is not; set both or neither")
        if self.data.trim and self.encoder.precomputed is not None:
            raise ValueError(
                f"data.trim is {self.data.trim:g} and features of encoder.precomputed may have no "
                "times; leave one of the two out"
            )

    @model_validator(mode="before")
    @classmethod
    def _root_of_features(cls, values: Any) -> Any:
        # With features there need be no videos; their folder names the clips.
        if not isinstance(values, dict):
            return values
        data, encoder = values.get("data"), values.get("encoder")
        if isinstance(data, dict) and isinstance(encoder, dict) and encoder.get("precomputed"):
            place = encoder["precomputed"]
            root = data.get("root", place)
            if isinstance(root, str | Path) and not os.path.exists(root):
                root = place
            values = {**values, "data": {**data, "root": root}}
        return values


SECTIONS: dict[str, type[BaseModel]] = {
    "": Config,
    "data": DataConfig,
    "frames": FramesConfig,
    "encoder": EncoderConfig,
    "training": TrainingConfig,
    "action": ActionConfig,
    "caption": CaptionConfig,
}
"""Where the keys of a section are listed: for a message about one that is not among them."""


def resolved_yaml(config: Config) -> str:
    """Return the config with every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config and check all of it.

    Args:
        path: a YAML file, or the name of one that ships with Reelscribe (``ucf101``).
        overrides: ``key.path=value``, the value as YAML.

    Raises:
        ValueError: one line for each mistake, all at once.
    """
    values = read_yaml(_find(path))
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no sections ({', '.join(Config.model_fields)})")
    values = override(values, overrides)
    values.setdefault("output", f"runs/{path.stem}")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ValueError(mistakes(str(path), error, SECTIONS)) from None


def parse_section(
    model: type[Settings], values: Mapping[str, object], *, where: str = "--set"
) -> Any:
    """Check one section by itself; ``where`` says in messages where it stands.

    Raises:
        ValueError: one line for each mistake.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(mistakes(where, error, SECTIONS | {"": model})) from None


def _find(path: Path) -> Path:
    if os.path.isfile(path):
        return path
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    if str(path) in shipped:
        return shipped[str(path)]
    raise ValueError(
        f"no config {str(path)!r}: give a YAML file, or one of those that ship: "
        f"{', '.join(shipped)}{guess(path.stem, shipped)}"
    )
