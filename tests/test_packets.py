"""Files that are no video, are cut short, or are damaged: each a VideoError with its reason."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import wave
from fractions import Fraction
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
    assert refused(tmp_path) == "not a file but a folder"
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


def test_decord_is_not_believed_where_pyav_notices_damage(tmp_path: Path) -> None:
    """Complaint 12: one broken packet; decord itself gave concealed frames for most such files."""
    path = make(tmp_path / "a.mp4")
    whole, places = path.read_bytes(), packets(path)
    noticed = {"auto": 0, "decord": 0, "pyav": 0}
    rng = random.Random(0)
    for turn in range(20):
        data = bytearray(whole)
        position, size = places[rng.randrange(5, len(places) - 5)]
        first = rng.randrange(8, size - 4)
        if turn % 2:
            data[position + first : position + size] = bytes(size - first)
        else:
            for _ in range(8):
                data[position + rng.randrange(8, size)] ^= rng.randrange(1, 256)
        path.write_bytes(data)
        for decoder in noticed:
            try:
                read_frames(path, Sampling(count=120), decoder=decoder)  # type: ignore[arg-type]
            except VideoError:
                noticed[decoder] += 1
    assert noticed["auto"] == noticed["decord"] == noticed["pyav"] >= 16


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_damage_where_nobody_looks_costs_nothing(tmp_path: Path, decoder: Any) -> None:
    """And says so each time: decord decodes ahead, and may or may not come across it."""
    path = make(tmp_path / "a.mp4")
    whole = read_frames(path, Sampling(count=4), decoder="pyav")
    data = bytearray(path.read_bytes())
    # Of the positions 15, 45, 75 and 105, and key frames 0, 30, 60 and 90: none needs 20 to 29.
    for position, size in packets(path)[22:28]:
        data[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(data)
    for _ in range(10):
        got = read_frames(path, Sampling(count=4), decoder=decoder)
        np.testing.assert_array_equal(got.frames_THWC, whole.frames_THWC)
    assert "damaged" in refused(path)


def test_what_other_threads_say_is_passed_on(tmp_path: Path) -> None:
    """While decord is listened to, stderr belongs to it; a warning of someone else is not lost."""
    path = make(tmp_path / "a.mp4")
    program = (
        "import os, sys, threading\nfrom pathlib import Path\n"
        "from reelscribe.datasets.video import read_frames\n"
        "from reelscribe.datasets.sampling import Sampling\n"
        "done = threading.Event()\n"
        "def talk():\n"
        "    while not done.is_set(): os.write(2, b'hello\\n'); done.wait(0.001)\n"
        "thread = threading.Thread(target=talk); thread.start()\n"
        "print({read_frames(Path(sys.argv[1]), Sampling(count=30)).decoder for _ in range(9)})\n"
        "done.set(); thread.join()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("{'decord'}\n", 0)
    assert set(ran.stderr.split()) == {"hello"}


def test_a_frame_of_more_than_100_megapixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.mov"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 10_100, 10_000, "monob"
        file.mux(stream.encode(av.VideoFrame(10_100, 10_000, "monob")))
        file.mux(stream.encode())
    assert refused(path) == "frames of 10100 x 10000 are over 100,000,000 pixels"


@pytest.mark.parametrize("size", [(1, 1), (20_000, 16), (16, 20_000)])
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_odd_sizes_of_frames(tmp_path: Path, size: tuple[int, int], decoder: Any) -> None:
    """Complaint 25: 1 x 1 pixel and 20,000 pixels wide are pictures like others."""
    path, (width, height) = tmp_path / "odd.mkv", size
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for i in range(6):
            image_HWC = np.full((height, width, 3), 40 * i, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image_HWC, format="rgb24")))
        file.mux(stream.encode())
    frames = read_frames(path, Sampling(count=2), decoder=decoder)
    assert frames.frames_THWC.shape == (2, height, width, 3)
    found = frames.frames_THWC.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, [40, 160], atol=2)


def test_a_length_of_years_is_a_mistake(tmp_path: Path) -> None:
    """The last frame claims to appear in some decades: nobody samples these one by one."""
    path = tmp_path / "years.mkv"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for pts in (0, 33, 1_000_000_000_000):
            frame = av.VideoFrame(64, 48, "yuvj420p")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    reason = refused(path)
    assert reason.startswith("its frames' times span 1,000,000,0"), reason
    assert reason.endswith("seconds; at most 2,592,000 are read")


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """Complaint 16: a pipe would block, a loop has no end, a folder is no file."""
    pipe, loop, gone = tmp_path / "p.mp4", tmp_path / "l.mp4", tmp_path / "g.mp4"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    gone.symlink_to(tmp_path / "nothing")
    assert refused(pipe) == "not a file but a pipe, a socket or a device"
    assert refused(loop) == "cannot be opened: Too many levels of symbolic links"
    assert refused(gone) == "a link to a file that is not there"


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
