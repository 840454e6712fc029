"""README names every command, recipe, encoder, head and dataset, and its config loads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from reelscribe.datasets.catalog import DATASETS
from reelscribe.decoders import CELLS, FAMILIES, HEADS
from reelscribe.encoders import ENGINES
from reelscribe.encoders.backbone import POOLS
from reelscribe.pipeline.config import SHIPPED, Config
from reelscribe.pipeline.execute import stop

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
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


@pytest.mark.slow
def test_the_python_in_readme_describes_a_folder(
    trained: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The very block, in a folder with two made clips; nothing else is set up."""
    block = next(one for one in BLOCKS if "import describe" in one)
    folder = tmp_path / "My Videos"
    folder.mkdir()
    for number, clip in enumerate(sorted(Path(trained.clips).rglob("*.mp4"))[:2]):
        shutil.copy(clip, folder / f"{number}.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    try:
        exec(block, names)
    finally:
        stop()
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["0.mp4", "1.mp4"]
    assert len(names["video"].objects) == 5
    assert names["video"].by["actions"] == "ready ucf101, 9 classes"
    assert (tmp_path / "found" / "report" / "index.html").is_file()


def test_every_target_of_the_makefile_that_readme_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in (
        "setup",
        "demo",
        "test",
        "test-all",
        "lint",
        "bench",
        "help",
        "wheel",
        "ready-heads",
    ):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target


def test_no_figure_is_left_open() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert "@@" not in path.read_text(), path


def test_links_of_readme_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
