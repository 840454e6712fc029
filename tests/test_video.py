"""Frames come by presentation time, the same from both decoders, and a damaged file says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numbered import CLOSED, FRAMES, OPEN, REFRESH, TICK, make, number_of, numbers, picture, uneven

from reelscribe.datasets.by_pyav import Count, read_pyav
from reelscribe.datasets.packets import read_index
from reelscribe.datasets.reading import Reading
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import Frames, VideoError, probe, read_frames

# name -> (codec, options, pts, the decoder that "auto" must settle on)
KINDS: dict[str, tuple[str, dict[str, str], Callable[[int], int], str]] = {
    "closed.mp4": ("libx264", CLOSED, lambda i: 3 * i, "decord"),
    "uneven.mp4": ("libx264", CLOSED, uneven, "decord"),
    "uneven.mkv": ("libx264", CLOSED, uneven, "decord"),
    "late.mp4": ("libx264", CLOSED, lambda i: 3 * i + 5000, "decord"),
    "late.mkv": ("libx264", CLOSED, lambda i: 3 * i + 5000, "decord"),
    "vp9.webm": ("libvpx-vp9", {"g": "30", "cpu-used": "8"}, lambda i: 3 * i, "decord"),
    "open.mp4": ("libx264", OPEN, lambda i: 3 * i, "pyav"),
    "refresh.mp4": ("libx264", REFRESH, lambda i: 3 * i, "pyav"),
    "late.ts": ("libx264", CLOSED, lambda i: 3 * i + 5000, "pyav"),
    "bframes.mov": ("mpeg4", {"g": "12", "bf": "2"}, uneven, "pyav"),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    return {
        name: make(folder / name, codec, options, pts=pts)
        for name, (codec, options, pts, _) in KINDS.items()
    }


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_frames_are_those_on_screen(kinds: dict[str, Path], name: str, decoder: Any) -> None:
    """Complaint 10 (dmlc/decord#26, #52, #365): wrong frames for VFR and B-frames."""
    _, _, pts, settled = KINDS[name]
    times = [float((pts(i) - pts(0)) * TICK) for i in range(FRAMES)]
    frames = read_frames(kinds[name], Sampling(count=16), decoder=decoder)

    moments = (np.arange(16) + 0.5) * frames.duration / 16
    expected = [max(i for i in range(FRAMES) if times[i] <= t + 1e-3) for t in moments]
    assert numbers(frames) == expected
    np.testing.assert_allclose(frames.pts_T, [times[i] for i in expected], atol=1.1e-3)
    assert frames.duration == pytest.approx(times[-1] + 1 / 30, abs=0.04)
    if decoder == "auto":
        assert frames.decoder == settled


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind[3] == "decord"])
def test_both_decoders_give_the_same_pixels(kinds: dict[str, Path], name: str) -> None:
    sampling = Sampling(fps=7.0)
    decord = read_frames(kinds[name], sampling, decoder="decord")
    pyav = read_frames(kinds[name], sampling, decoder="pyav")
    assert (decord.decoder, pyav.decoder) == ("decord", "pyav")
    np.testing.assert_array_equal(decord.frames_THWC, pyav.frames_THWC)
    np.testing.assert_array_equal(decord.pts_T, pyav.pts_T)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind[3] == "pyav"])
def test_decord_is_refused_where_it_would_miscount(kinds: dict[str, Path], name: str) -> None:
    with pytest.raises(VideoError, match="decord would miscount"):
        read_frames(kinds[name], Sampling(count=4), decoder="decord")


def test_what_decord_is_refused_for_is_real(kinds: dict[str, Path]) -> None:
    """Complaint 10 (dmlc/decord PR#77): counting on from open key frames finds others."""
    import decord

    batch = decord.VideoReader(str(kinds["open.mp4"])).get_batch([33, 61, 91]).asnumpy()
    frames = Frames(frames_THWC=batch, pts_T=np.zeros(3), duration=4.0, decoder="decord")
    assert numbers(frames) == [33, 62, 92]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_has_the_right_frames(tmp_path: Path, codec: str) -> None:
    """Complaint 9 (dmlc/decord#195): get_batch differs between calls, for AVI."""
    options = {"g": "12", "bf": "2"}
    path = make(tmp_path / "b.avi", codec, options, pts=lambda i: i, tick=Fraction(1, 30))
    first = read_frames(path, Sampling(count=40))
    assert numbers(first) == [3 * i + 1 for i in range(40)]
    np.testing.assert_allclose(first.pts_T, [(3 * i + 1) / 30 for i in range(40)], atol=1e-9)
    again = read_frames(path, Sampling(count=40))
    np.testing.assert_array_equal(first.frames_THWC, again.frames_THWC)
    # Few frames far apart: nothing may depend on how they are asked for.
    assert numbers(read_frames(path, Sampling(count=2))) == [30, 90]


def test_a_few_frames_of_a_long_video_are_found_by_seeking(tmp_path: Path) -> None:
    """Complaint 3 (v-iashin/video_features#134): the whole of a long video is read first."""
    path = make(tmp_path / "long.mp4", options=CLOSED, frames=250)
    index = read_index(path)
    rows = np.array([41, 50, 125, 208])
    reading = Reading(path=path, index=index, rows_T=rows, keyframes=False)
    keys = [max(k for k in index.keys if k <= row) for row in (41, 125, 208)]
    wanted = [[41, 50], [125], [208]]
    assert reading.parts(rows) == list(zip(keys, wanted, strict=True))
    count = Count()
    shown = read_pyav(reading, rows, count)
    assert [number_of(one.image_HWC) for one in shown] == rows.tolist()
    # No more is decoded than lies between key frames and pictures, and what B-frames hold back.
    least = sum(last[-1] - key + 1 for key, last in zip(keys, wanted, strict=True))
    assert reading.decodes == least <= count.frames <= least + 3 * len(keys)
    assert read_index(make(tmp_path / "open.mp4", options=OPEN)).keys.tolist() == [0]


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("frames", [1, 2])
def test_fewer_frames_than_asked_are_repeated(tmp_path: Path, decoder: Any, frames: int) -> None:
    path = make(tmp_path / "short.mp4", frames=frames)
    got = read_frames(path, Sampling(count=4), decoder=decoder)
    assert numbers(got) == ([0, 0, 0, 0] if frames == 1 else [0, 0, 1, 1])
    assert got.duration == pytest.approx(frames / 30)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(66, 50), (130, 98)])
def test_pixel_formats_and_odd_sizes(tmp_path: Path, pixels: str, size: tuple[int, int]) -> None:
    path = make(tmp_path / "p.mp4", options={"crf": "0"}, pixels=pixels, frames=9, size=size)
    auto = read_frames(path, Sampling(count=3))
    pyav = read_frames(path, Sampling(count=3), decoder="pyav")
    assert numbers(auto) == [1, 4, 7]
    assert auto.decoder == ("pyav" if "10" in pixels else "decord")
    np.testing.assert_array_equal(auto.frames_THWC, pyav.frames_THWC)
    assert np.abs(auto.frames_THWC[1].astype(int) - picture(4, size[1], size[0])).mean() < 3


def test_the_best_stream_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as file:
        streams: list[Any] = [file.add_stream("libx264", rate=30) for _ in range(2)]
        for stream, (width, height) in zip(streams, [(64, 48), (128, 96)], strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition.default
        for i in range(12):
            for stream in streams:
                image = picture(i, stream.height, stream.width)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream in streams:
            file.mux(stream.encode())
    for decoder in ("auto", "pyav"):
        frames = read_frames(path, Sampling(count=4), decoder=decoder)
        assert frames.frames_THWC.shape == (4, 96, 128, 3)
        assert numbers(frames) == [1, 4, 7, 10]


def test_names_that_are_no_text_are_read(kinds: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xe9.mp4")
    shutil.copy(kinds["closed.mp4"], path)
    found = read_frames(path, Sampling(count=4))
    assert found.decoder == "pyav"
    same = read_frames(kinds["closed.mp4"], Sampling(count=4), decoder="pyav")
    np.testing.assert_array_equal(found.frames_THWC, same.frames_THWC)
    with pytest.raises(VideoError, match="cannot open a name that is not UTF-8"):
        read_frames(path, Sampling(count=4), decoder="decord")


def test_probe_counts_without_decoding(kinds: dict[str, Path]) -> None:
    found = probe(kinds["closed.mp4"])
    assert (found.frames, found.width, found.height, found.codec) == (FRAMES, 128, 96, "h264")
    assert found.duration == pytest.approx(FRAMES / 30)
    assert found.rate == pytest.approx(30)


def test_a_repr_fits_a_terminal(kinds: dict[str, Path]) -> None:
    frames = read_frames(kinds["closed.mp4"], Sampling(count=2))
    assert repr(frames) == (
        "Frames(frames_THWC (2, 96, 128, 3), pts_T (2,), duration 4.000 s, decord)"
    )


def test_without_decord_pyav_reads(kinds: dict[str, Path]) -> None:
    """Complaint 15 (dmlc/decord#213, #297): no wheels for this machine."""
    program = (
        "import sys; sys.modules['decord'] = None\n"
        "from pathlib import Path\n"
        "from reelscribe.datasets.video import *\n"
        "from reelscribe.datasets.sampling import Sampling\n"
        "print(read_frames(Path(sys.argv[1]), Sampling(count=3)).decoder)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(kinds["closed.mp4"])], capture_output=True, text=True
    )
    assert done.stdout.strip() == "pyav", done.stderr


def test_real_times_of_a_real_video(real_data: Path) -> None:
    """Every frame's time as ffprobe listed it, from both decoders."""
    path = real_data / "hard" / "nasa_13013.mp4"
    listed = json.loads((real_data / "hard" / "nasa_13013.frames.json").read_text())
    expected = np.array([float(frame["pts_time"]) for frame in listed])
    for decoder in ("decord", "pyav"):
        frames = read_frames(path, Sampling(count=len(listed)), decoder=decoder)
        np.testing.assert_allclose(frames.pts_T, expected, atol=1e-6)
        assert frames.frames_THWC.shape == (390, 270, 480, 3)


@pytest.mark.slow
def test_real_avi_clips_give_the_frames_of_a_plain_decode(real_data: Path) -> None:
    """Complaint 9: decord alone is wrong on every one of these MSVD clips."""
    clips = sorted((real_data / "msvd" / "video").glob("*.avi"))[::6]
    clips += sorted((real_data / "ucf101").rglob("*.avi"))[::25]
    checked = 0
    for clip in clips:
        with av.open(str(clip)) as file:
            plain = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        if len(plain) != probe(clip).frames:
            continue
        frames = read_frames(clip, Sampling(count=16))
        for k, image_HWC in enumerate(frames.frames_THWC):
            row = int((k + 0.5) * len(plain) / 16 + 1e-9)
            np.testing.assert_array_equal(image_HWC, plain[row], err_msg=f"{clip.name} {k}")
        checked += 1
    assert checked >= 20


def test_a_skipped_picture_leaves_the_one_before_on_screen(real_data: Path) -> None:
    """Complaint 17: this UCF101 clip has 138 packets, of which 3 say "nothing changed"."""
    clip = real_data / "ucf101/UCF-101/BaseballPitch/v_BaseballPitch_g07_c02.avi"
    frames = read_frames(clip, Sampling(count=138))
    shown = np.round(frames.pts_T * 30000 / 1001).astype(int).tolist()
    assert [i for i in range(138) if shown[i] != i] == [27, 62, 121]
    assert [shown[i] for i in (27, 62, 121)] == [26, 61, 120]


def test_rotation_is_applied_by_both_decoders(real_data: Path) -> None:
    for angle, shape in [(0, (320, 568)), (90, (568, 320)), (180, (320, 568)), (270, (568, 320))]:
        path = real_data / "hard" / f"decord_video_{angle}.mov"
        decord = read_frames(path, Sampling(count=2), decoder="decord")
        pyav = read_frames(path, Sampling(count=2), decoder="pyav")
        assert pyav.frames_THWC.shape[1:3] == shape
        np.testing.assert_array_equal(decord.frames_THWC, pyav.frames_THWC)


def test_what_decord_cannot_open_pyav_reads(real_data: Path) -> None:
    frames = read_frames(real_data / "hard" / "av1_video.mkv", Sampling(count=4))
    assert (frames.decoder, frames.frames_THWC.shape) == ("pyav", (4, 360, 640, 3))
    with pytest.raises(VideoError, match="decoder stopped after 28 of 50 frames"):
        read_frames(real_data / "hard" / "decord_corrupted.mp4", Sampling(count=16))
