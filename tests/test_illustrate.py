"""Illustrate: the pictures of a run's page come from its own clips, and are left out without."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reelscribe.pipeline.files import read_jsonl


@pytest.mark.slow
def test_runs_have_a_lens_over_validation_clips_and_a_strip_for_each_quoted_clip(
    trained: Any,
) -> None:
    lens = json.loads((trained.action / "lens.json").read_text())["clips"]
    test = {row["path"] for row in read_jsonl(trained.action / "predictions.jsonl")}
    assert len({clip["true"] for clip in lens}) == 3
    assert not test & {clip["path"] for clip in lens}
    assert not (trained.caption / "lens.json").exists()
    for run in (trained.action, trained.caption):
        strips = json.loads((run / "report" / "strips.json").read_text())
        page = (run / "report" / "index.html").read_text()
        assert len(strips) > 6
        assert set(re.findall(r'src="(strips/\w+\.jpg)"', page)) == set(strips.values())
        assert all((Path(run) / "report" / name).is_file() for name in strips.values())
