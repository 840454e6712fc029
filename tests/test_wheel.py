"""The wheel holds what the editable install has, and runs where the repository is not."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_is_whole_and_its_command_answers(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("pipeline", "encoders", "decoders", "datasets", "configs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (
                ".py",
                ".yaml",
                ".html",
                ".css",
                ".js",
                ".typed",
                ".json",
                ".safetensors",
                ".md",
                ".png",
            ):
                assert f"reelscribe/{path.relative_to(ROOT).as_posix()}" in inside
    assert "reelscribe/datasets/__init__.py" not in inside

    # A venv of its own for the wheel; what it depends on is borrowed from this one.
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    lend = next(Path(sys.executable).parents[1].glob("lib/python*/site-packages"))
    # Without this repository's editable finder: only folders named in a .pth are added.
    (site / "lend.pth").write_text(f"import sys; sys.path.append({str(lend)!r})\n")
    ask = [python, "-c", "import reelscribe.pipeline.cli as cli; print(cli.__file__)"]
    found = subprocess.check_output(ask, text=True, cwd=tmp_path).strip()
    assert Path(found).is_relative_to(tmp_path)
    helped = subprocess.run(
        [tmp_path / "venv" / "bin" / "reelscribe", "train", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert helped.returncode == 2
    assert "theatre_captions" in helped.stderr, "the recipes that ship are listed"
