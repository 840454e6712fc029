"""``reelscribe encode``: fill the feature store from a config, or from videos and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.config import (
    EncoderConfig,
    FramesConfig,
    load_config,
    override,
    parse_section,
)
from reelscribe.pipeline.finding import find_videos
from reelscribe.pipeline.inputs import Place, encode_mirrored, load_split
from reelscribe.pipeline.settings import Settings
from reelscribe.pipeline.stages.encode import (
    Origin,
    Report,
    encode_with_progress,
    origin,
    read_features,
)
from reelscribe.pipeline.stages.export import export, is_of_another, names_of


class RecipeSections(Settings):
    """The two sections that decide a feature, for commands that take no config."""

    frames: FramesConfig = FramesConfig(count=16)
    encoder: EncoderConfig = EncoderConfig()


def encoding_of(config: Path | None, overrides: Sequence[str], cache: Path) -> Origin:
    """Return the encoding of a config, or of the defaults where there is none.

    Raises:
        ValueError: one line for each mistake.
    """
    if config is not None:
        settings = load_config(config, overrides)
        return origin(settings.frames, settings.encoder, cache)
    values = override({"frames": {"count": 16}}, overrides)
    recipe: RecipeSections = parse_section(RecipeSections, values)
    return origin(recipe.frames, recipe.encoder, cache)


def encode_command(
    what: Sequence[Path], overrides: Sequence[str], place: Place, out: Path | None = None
) -> Report:
    """Encode the clips of one config, or all videos among ``what``.

    Args:
        what: one config, or videos and folders.
        overrides: ``key.path=value``.
        place: where to work.
        out: a folder to write the features to as well, for other tools; None for none.

    Raises:
        ValueError: configs and videos are mixed, or a mistake in either.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--export {str(out)!r} is not a folder; give one to write to")
    configs = [path for path in what if _is_config(path)]
    if configs and len(what) > 1:
        raise ValueError("encode takes one config, or videos and folders, not both")
    encoding = encoding_of(configs[0] if configs else None, overrides, place.cache)
    if configs:
        split = load_split(load_config(configs[0], overrides))
        videos = [clip.path for clip in split.clips()]
    else:
        videos = find_videos(what)
    report = encode_with_progress(videos, encoding, place.runner, what="encode", unit="videos")
    if configs:
        config = load_config(configs[0], overrides)
        encode_mirrored(config, split, encoding, report.contents, place.runner)
    if out is not None:
        roots = [load_config(configs[0], overrides).data.root] if configs else what
        store = FeatureStore(place.cache)

        def taken(name: str, path: Path) -> bool:
            return is_of_another(out / name, path, report.contents[path])

        names = names_of(report.contents, roots, taken=taken)
        for path, sha256 in report.contents.items():
            features = read_features(store, path, sha256, encoding, device=place.runner.device)
            export(path, sha256, features, report.recipe, out / names[path])
    return report


def _is_config(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") or (not path.suffix and not path.exists())
