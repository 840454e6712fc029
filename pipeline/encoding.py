"""``reelscribe encode``: fill the feature store from a config, or from videos and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelscribe.pipeline.config import (
    EncoderConfig,
    FramesConfig,
    Settings,
    load_config,
    override,
    parse_section,
)
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place, load_split
from reelscribe.pipeline.stages.encode import Encoding, Report, encode_with_progress, prepare


class RecipeSections(Settings):
    """The two sections that decide a feature, for commands that take no config."""

    frames: FramesConfig = FramesConfig(count=16)
    encoder: EncoderConfig = EncoderConfig()


def encoding_of(config: Path | None, overrides: Sequence[str], cache: Path) -> Encoding:
    """Return the encoding of a config, or of the defaults where there is none.

    Raises:
        ValueError: one line for each mistake.
    """
    if config is not None:
        settings = load_config(config, overrides)
        return prepare(settings.frames, settings.encoder, cache)
    values = override({"frames": {"count": 16}}, overrides)
    recipe: RecipeSections = parse_section(RecipeSections, values)
    return prepare(recipe.frames, recipe.encoder, cache)


def encode_command(what: Sequence[Path], overrides: Sequence[str], place: Place) -> Report:
    """Encode the clips of one config, or all videos among ``what``.

    Raises:
        ValueError: configs and videos are mixed, or a mistake in either.
    """
    configs = [path for path in what if _is_config(path)]
    if configs and len(what) > 1:
        raise ValueError("encode takes one config, or videos and folders, not both")
    encoding = encoding_of(configs[0] if configs else None, overrides, place.cache)
    if configs:
        split = load_split(load_config(configs[0], overrides))
        videos = [clip.path for clip in split.clips()]
    else:
        videos = find_videos(what)
    return encode_with_progress(videos, encoding, place.runner, what="encode", unit="videos")


def _is_config(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") or (not path.suffix and not path.exists())
