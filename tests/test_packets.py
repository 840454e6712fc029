"""Files that are no video, are cut short, or are damaged: each a VideoError with its reason."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from reelscribe.datasets.packets import VideoError, opened, read_index
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames

MOVIE = {"movflags": "faststart"}


def make(path: Path, *, options: dict[str, str] | None = None, frames: int = 120) -> Path:
    """A moving pattern whose packets are large enough to be damaged."""
    y, x = np.mgrid[0:96, 0:128]
    with av.open(str(path), "w", options=options or {}) as file:
        codec = "libvpx" if path.suffix == ".webm" else "libx264"
        stream: Any = file.add_stream(codec, rate=30, options={"g": "30"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(frames):
            image_HW = 128 + 100 * np.sin((x + 3 * i) / 7) * np.cos((y + 2 * i) / 5)
            image_HWC = np.repeat(image_HW[..., None], 3, axis=2).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image_HWC, format="rgb24")))
        file.mux(stream.encode())
    return path


def packets(path: Path) -> list[tuple[int, int]]:
    """Where each packet lies in the file: (position, size)."""
    with av.open(str(path)) as file:
        return [(p.pos or 0, p.size) for p in file.demux(video=0) if p.size]


def refused(path: Path, **kwargs: Any) -> str:
    with pytest.raises(VideoError) as caught:
        read_frames(path, Sampling(count=16), **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_a_video_says_why(tmp_path: Path) -> None:
    """Complaint 16 (pytorchvideo#237): "failed to fetch video", the real error hidden."""
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("this is not a video\n" * 50)
    assert refused(tmp_path / "none.mp4") == "not found"
    assert refused(tmp_path) == "not a file"
    assert refused(empty) == "empty file"
    assert refused(text).startswith("FFmpeg cannot open it: Invalid data")


def test_sound_alone_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<800h", *range(800)))
    assert refused(path) == "no video stream"


def test_a_stream_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.start_encoding()
    assert refused(path) in ("no frames in its video stream", "no video stream")


@pytest.mark.parametrize("name", ["a.mp4", "b.avi", "c.mkv", "d.webm"])
def test_a_file_that_was_cut_says_where(tmp_path: Path, name: str) -> None:
    """Complaint 13 (dmlc/decord#156): a cut file makes the reader try again without end."""
    whole = make(tmp_path / name, options=MOVIE if name == "a.mp4" else None)
    assert len(read_frames(whole, Sampling(count=16)).pts_T) == 16
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert refused(whole).startswith("the file ends")


def test_a_cut_mp4_without_its_index_cannot_be_opened(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refused(path).startswith("FFmpeg cannot open it")


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_lost_frames_are_never_replaced_by_others(tmp_path: Path, decoder: str) -> None:
    """Complaint 12 (decord PR#119): corrupt frames silently replaced by the previous frame."""
    path = make(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    position, size = packets(path)[70]
    data[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(data)
    assert "damaged: the decoder stopped after" in refused(path, decoder=decoder)


def test_pyav_notices_bits_that_decord_conceals(tmp_path: Path) -> None:
    """Complaint 12: FFmpeg's strict detection finds most files with one broken packet."""
    path = make(tmp_path / "a.mp4")
    whole, places, noticed = path.read_bytes(), packets(path), 0
    rng = random.Random(0)
    for _ in range(20):
        data = bytearray(whole)
        position, size = places[rng.randrange(5, len(places) - 5)]
        first = rng.randrange(8, size - 4)
        data[position + first : position + size] = bytes(size - first)
        path.write_bytes(data)
        try:
            read_frames(path, Sampling(count=120), decoder="pyav")
        except VideoError:
            noticed += 1
    assert noticed >= 16


def test_a_frame_of_more_than_100_megapixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.mov"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 10_100, 10_000, "monob"
        file.mux(stream.encode(av.VideoFrame(10_100, 10_000, "monob")))
        file.mux(stream.encode())
    assert refused(path) == "frames of 10100 x 10000 are over 100,000,000 pixels"


def test_odd_file_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.mp4", "concat:b.mp4", "100%d.mp4", "a b'\"c.mp4"):
        path = Path(name)
        make(tmp_path / "plain.mp4", frames=4).rename(path)
        assert read_frames(path, Sampling(count=2)).frames_THWC.shape == (2, 96, 128, 3)


def test_nothing_is_printed_about_a_broken_file(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    position, size = packets(path)[40]
    data[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(data)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from reelscribe.datasets.video import VideoError, read_frames\n"
        "from reelscribe.datasets.sampling import Sampling\n"
        "try: read_frames(Path(sys.argv[1]), Sampling(count=8))\n"
        "except VideoError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("refused\n", "", 0)


def test_a_key_frame_must_reset_the_decoder(tmp_path: Path) -> None:
    index = read_index(make(tmp_path / "a.mp4"))
    assert index.clean
    assert index.timed
    assert index.keys.tolist() == [0, 30, 60, 90]
    with opened(tmp_path / "a.mp4") as (_, stream):
        assert stream.codec_context.thread_count == 1
