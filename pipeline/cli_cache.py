"""``reelscribe cache``: list, why, verify, prune."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from reelscribe.pipeline.options import Cache, Json, Set, default_cache

app = typer.Typer(
    help="The feature store: what it holds, why, and whether it is whole.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _made_by(encoder: dict[str, Any]) -> str:
    if "precomputed" in encoder:
        return f"precomputed {encoder['precomputed']} ({encoder['dim']} a frame)"
    side = [f"{encoder['size']} px"] if "size" in encoder else []
    return " ".join(
        [*(str(encoder[k]) for k in ("name", "pool", "precision") if k in encoder), *side]
    )


@app.command("list")
def list_(cache: Cache = None, as_json: Json = False) -> None:
    """What the store holds, by recipe.

    Example: `reelscribe cache list`
    """
    from reelscribe.pipeline.cache import FeatureStore
    from reelscribe.pipeline.housekeeping import holdings

    store = FeatureStore(cache or default_cache())
    held = holdings(store)
    if as_json:
        typer.echo(json.dumps([vars(holding) for holding in held], indent=2))
        return
    for holding in held:
        typer.echo(
            f"{holding.fingerprint}  {holding.videos:6} videos  {holding.bytes / 1e6:9.1f} MB  "
            f"{json.dumps(holding.settings['frames'])} {_made_by(holding.settings['encoder'])}"
        )
    typer.echo(f"{sum(h.videos for h in held)} entries in {store.root}")


@app.command()
def why(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    config: Annotated[Path | None, typer.Option(help="A hit or a miss for this config?")] = None,
    overrides: Set = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """What a hit or a miss is made of, in words.

    Example: `reelscribe cache why clip.mp4 --config ucf101 --set frames.count=32`
    """
    from reelscribe.pipeline.cache import FeatureStore
    from reelscribe.pipeline.housekeeping import why as explain

    root = cache or default_cache()
    recipe = None
    if config is not None or overrides:
        from reelscribe.pipeline.encoding import encoding_of

        recipe = encoding_of(config, overrides or [], root).recipe
    lines = explain(video, FeatureStore(root), recipe)
    typer.echo(json.dumps(lines, indent=2) if as_json else "\n".join(lines))


@app.command()
def verify(cache: Cache = None, as_json: Json = False) -> None:
    """Read every entry against its checksum; remove what is not whole.

    Example: `reelscribe cache verify`
    """
    from reelscribe.pipeline.cache import FeatureStore
    from reelscribe.pipeline.housekeeping import verify as check

    whole, broken = check(FeatureStore(cache or default_cache()))
    if as_json:
        typer.echo(json.dumps({"whole": whole, "removed": broken}, indent=2))
    else:
        for line in broken:
            typer.echo(f"removed: {line}")
        typer.echo(f"{whole} entries are whole, {len(broken)} were not and will be made again")
    if broken:
        raise typer.Exit(3)


@app.command()
def prune(
    recipe: Annotated[
        list[str] | None, typer.Option(help="Remove all features of this recipe; repeatable.")
    ] = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="Remove features of videos that are no longer there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Remove what killed runs left behind, and what you name.

    Example: `reelscribe cache prune --gone --dry-run`
    """
    from reelscribe.pipeline.cache import FeatureStore
    from reelscribe.pipeline.housekeeping import prune as remove

    store = FeatureStore(cache or default_cache())
    removed = remove(store, recipes=recipe or [], gone=gone, dry_run=dry_run)
    if as_json:
        paths = [str(path) for path in removed.paths]
        typer.echo(json.dumps({"bytes": removed.bytes, "removed": paths}, indent=2))
        return
    verb = "would remove" if dry_run else "removed"
    typer.echo(f"{verb} {len(removed.paths)} files, {removed.bytes / 1e6:.1f} MB")
