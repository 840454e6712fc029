"""README names every command, recipe, encoder, head and dataset, and its config loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from reelscribe.datasets.catalog import DATASETS
from reelscribe.decoders import CELLS, FAMILIES, HEADS
from reelscribe.encoders import ENGINES
from reelscribe.encoders.backbone import POOLS
from reelscribe.pipeline.config import SHIPPED, Config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECIPES = [path.stem for path in SHIPPED.glob("*.yaml")]


@pytest.mark.parametrize("name", [*DATASETS, *CELLS, *FAMILIES, *HEADS, *ENGINES, *POOLS, *RECIPES])
def test_readme_names_it(name: str) -> None:
    assert f"`{name}`" in README


def test_the_config_in_readme_is_one(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block is not None
    values = yaml.safe_load(block[1])
    values["data"] |= {"root": str(tmp_path), "annotations": str(tmp_path)}
    assert Config.model_validate(values).head.cell == "lstm"


def test_every_target_of_the_makefile_that_readme_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("setup", "demo", "test", "test-all", "lint", "bench", "help", "wheel"):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target


def test_no_figure_is_left_open() -> None:
    for path in (README, (ROOT / "docs" / "decisions.md").read_text()):
        assert "@@" not in path


def test_links_of_readme_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
