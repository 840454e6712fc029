"""Previews: a small copy with the same times, in a format that browsers play."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.report.previews import make_preview, preview_name
from reelscribe.pipeline.stages.strips import previews_of


def old_clip(path: Path, *, frames: int = 12, rate: int = 8, size: tuple[int, int]) -> Path:
    """Write an MPEG-4 .avi, as UCF101 is one; frame i is grey 20 i."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            image = np.full((size[1], size[0], 3), 20 * i, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


def test_a_preview_has_the_same_frames_at_the_same_times_and_is_small(tmp_path: Path) -> None:
    out = tmp_path / "report" / "x.mp4"
    make_preview(old_clip(tmp_path / "old.avi", size=(640, 482)), out)
    with av.open(str(out)) as file:
        (stream,) = file.streams.video
        frames = list(file.decode(stream))
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == (318, 240)
    assert [frame.time for frame in frames] == pytest.approx(
        [float(Fraction(i, 8)) for i in range(12)], abs=1e-3
    )
    greys = [frame.to_ndarray(format="gray").mean() for frame in frames]
    assert np.all(np.diff(greys) > 12)
    assert [path.name for path in out.parent.iterdir()] == ["x.mp4"]


def test_what_is_no_video_gives_a_reason_and_no_preview(tmp_path: Path) -> None:
    (tmp_path / "x.avi").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="Invalid data"):
        make_preview(tmp_path / "x.avi", tmp_path / "x.mp4")
    assert not (tmp_path / "x.mp4").exists()


def test_only_what_browsers_do_not_play_gets_one(tmp_path: Path) -> None:
    contents = {Path("a.mp4"): "a" * 64, Path("b.AVI"): "b" * 64}
    ready = tmp_path / preview_name("b" * 64)
    ready.parent.mkdir()
    ready.touch()
    found = previews_of(contents, tmp_path, Runner(workers=1, local=True))
    assert found == {Path("b.AVI"): f"previews/{'b' * 32}.mp4"}
