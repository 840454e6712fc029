"""The shape of the house: which way imports point, and that no folder hides another package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "datasets": {"datasets"},
    "encoders": {"encoders", "datasets"},
    "decoders": {"decoders"},
    "pipeline": {"pipeline", "encoders", "decoders", "datasets", "configs"},
}
MODULES = [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    for name, line in imports(path):
        ours = name.split(".")[1] if name.startswith("reelscribe.") else folder
        assert ours in MAY_IMPORT[folder], f"{path}:{line}"


def test_one_module_alone_imports_ray() -> None:
    with_ray = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if any(name.split(".")[0] == "ray" for name, _ in imports(path))
    }
    assert with_ray == {"pipeline/execute.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_screen(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    assert text.isascii(), "English, ASCII"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it reads and writes"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            # The training loop alone is one function from top to bottom, its docstring included.
            assert lines <= (90 if node.name == "fit" else 60), f"{path}:{node.lineno} {node.name}"


def test_bare_datasets_is_never_ours(tmp_path: Path) -> None:
    # Ray puts the working directory on every worker's path. A folder with an __init__.py would
    # hide Hugging Face's `datasets` there; a folder without one gives way to it.
    (tmp_path / "datasets.py").write_text("")  # stands for Hugging Face's
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    env.pop("PYTHONSAFEPATH", None)
    code = "import datasets; print(datasets.__file__)"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=env, text=True)
    assert Path(found.strip()).parent == tmp_path


def test_every_package_is_in_the_wheel() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        p.parent for top in tool["package-dir"].values() for p in ROOT.glob(f"{top}/**/*.py")
    }
    assert set(tool["packages"]) == {
        "reelscribe." + ".".join(f.relative_to(ROOT).parts) for f in folders
    }


def test_help_and_a_worker_import_no_torch() -> None:
    """`reelscribe --help` answers at once; what a worker imports decides its memory."""
    for name in ("cli", "encoding", "stages.encode"):
        module = f"reelscribe.pipeline.{name}"
        heavy = "[m for m in ('torch', 'ray', 'timm') if m in sys.modules]"
        code = f"import sys, {module}; print({heavy})"
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
