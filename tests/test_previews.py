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


def test_times_count_from_the_first_frame_and_pixels_are_square(tmp_path: Path) -> None:
    """A broadcast begins at any time, and its pixels are wider than high."""
    with av.open(str(tmp_path / "cut.ts"), "w") as file:
        stream = file.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(32, 27)  # 16:9 in all
        for i in range(10):
            image = np.full((64, 96, 3), 20 * i, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 2500 + i, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    make_preview(tmp_path / "cut.ts", tmp_path / "x.mp4")
    with av.open(str(tmp_path / "x.mp4")) as file:
        times = [frame.time for frame in file.decode(video=0)]
        assert times == pytest.approx([i / 25 for i in range(10)], abs=1e-3)
        assert (file.streams.video[0].width, file.streams.video[0].height) == (114, 64)


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
