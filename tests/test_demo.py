"""The demo, whole: what `make demo` promises, on a store of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]


def scores(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "scores.json").read_text())
    return found


@pytest.mark.slow
def test_the_demo_keeps_its_promises(tmp_path: Path, reelscribe: Reelscribe) -> None:
    """Held-out made clips: lstm >= 0.90, order pairs >= 0.85 where mean pooling is <= 0.60."""
    ended = reelscribe("demo", "--out", "demo", timeout=900)
    assert ended.returncode == 0, ended.stderr
    out = tmp_path / "demo"
    action, caption = scores(out / "action"), scores(out / "caption")
    assert action["videos"] == caption["videos"] == 120
    assert action["top1"] >= 0.90
    assert action["order_pairs"] >= 0.85
    cells = json.loads((out / "action" / "compare" / "compare.json").read_text())
    by_cell = {row["cell"]: row for row in cells["rows"]}
    assert by_cell["none"]["order_pairs"] <= 0.60
    assert caption["CIDEr"] >= 2.0
    assert caption["floor"] < caption["CIDEr"]
    rows = [
        json.loads(line) for line in (out / "described" / "results.jsonl").read_text().splitlines()
    ]
    assert [Path(row["path"]).name for row in rows if row["status"] == "failed"] == ["cut off.mp4"]
    assert sum(row["status"] == "ok" for row in rows) == 12
    assert str(Path("demo") / "index.html") in ended.stdout
    assert "lstm" in ended.stdout
    page = (out / "index.html").read_text()
    for slot, share in caption["slots"].items():
        assert f"{slot} named rightly" in ended.stdout
        assert f"{slot} named rightly" in page
        assert slot == "count" or share >= 0.6
    assert (out / "index.html").is_file()
