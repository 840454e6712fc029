"""Sequences that are no video: the README's handwritten digits, read row by row."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
README = (Path(__file__).parents[1] / "README.md").read_text()


def block(kind: str) -> str:
    """The README's block of this kind about digits."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)
    found = [one for one in blocks if "digits" in one]
    assert len(found) == 1
    return str(found[0])


@pytest.mark.slow
def test_an_lstm_reads_handwritten_digits_row_by_row(
    tmp_path: Path, reelscribe: Reelscribe
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn, of the dev extra, holds the digits")
    subprocess.run([sys.executable, "-c", block("python")], cwd=tmp_path, check=True)
    assert len(list((tmp_path / "digits").rglob("*.npy"))) == 1797
    (tmp_path / "digits.yaml").write_text(block("yml"))
    ended = reelscribe("train", "digits.yaml", "--local", "--json")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads(ended.stdout)
    assert scores["videos"] == 270
    assert scores["top1"] >= 0.95
    page = (tmp_path / "runs" / "digits" / "report" / "index.html").read_text()
    assert "Which classes are taken for which" in page
