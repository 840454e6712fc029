"""A part of ``make fuzz-encode`` that fits the slow tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_encode import fuzz

from reelscribe.pipeline.execute import stop


@pytest.mark.slow
@pytest.mark.parametrize("local", [True, False])
def test_damaged_videos_cost_themselves_alone(tmp_path: Path, own_cache: Path, local: bool) -> None:
    """Complaints 2, 11, 12, 13 and 25: zeros for failures, aborts, swapped frames, hangs."""
    try:
        report = fuzz(tmp_path, own_cache, count=120, seed=1 + local, local=local)
    finally:
        stop()
    assert len(report.failed) >= 40
    assert len(report.contents) >= 5
