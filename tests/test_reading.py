"""A video is read in chunks, in pieces or by its key frames alone, and no frame changes by it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered import CLOSED, OPEN, REFRESH, TICK, make, number_of, numbers, uneven

from reelscribe.datasets import video
from reelscribe.datasets.by_decord import read_decord
from reelscribe.datasets.by_pyav import Count, Shown, read_pyav
from reelscribe.datasets.reading import Reading, plan_reading
from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import VideoError, read_frames, stream_frames

VP9 = {"g": "30", "cpu-used": "8"}
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "closed.mp4": ("libx264", CLOSED),
    "closed.mkv": ("libx264", CLOSED),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=30:bframes=3:open-gop=0:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", VP9),
    "open.mp4": ("libx264", OPEN),
    "late.ts": ("libx264", CLOSED),
    "bframes.mov": ("mpeg4", {"g": "12", "bf": "2"}),
    "mjpeg.mov": ("mjpeg", {}),
}
CUT = {"closed.mp4", "closed.mkv", "hevc.mp4", "vp9.webm", "bframes.mov", "mjpeg.mov"}
"""Those that have key frames from which a decoder can start."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    late = {"late.ts": lambda i: 3 * i + 5000}
    return {
        name: make(
            folder / name,
            codec,
            options,
            pts=late.get(name, uneven),
            pixels="yuvj420p" if codec == "mjpeg" else "yuv420p",
        )
        for name, (codec, options) in KINDS.items()
    }


def image_of(reading: Reading, decoder: Any = "auto") -> list[np.ndarray[Any, Any]]:
    return [
        image_HWC
        for frames in stream_frames(reading, decoder=decoder, chunk=7)
        for image_HWC in frames.frames_THWC
    ]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_pieces_give_the_frames_of_the_whole(
    kinds: dict[str, Path], name: str, seconds: float
) -> None:
    """Complaint 3 (v-iashin/video_features#134): a long video must fit memory, and one process."""
    reading = plan_reading(kinds[name], Sampling(fps=12.0))
    pieces = reading.pieces(seconds)
    assert (len(pieces) > 1) == (name in CUT)
    assert np.concatenate([piece.rows_T for piece in pieces]).tolist() == reading.rows_T.tolist()
    np.testing.assert_array_equal(np.concatenate([piece.pts_T for piece in pieces]), reading.pts_T)
    assert sum(piece.decodes for piece in pieces) <= reading.decodes + 24 * len(pieces)
    whole = image_of(reading, "pyav")
    # Each arrives in another process as it was sent.
    parts = [image_of(pickle.loads(pickle.dumps(piece))) for piece in pieces]
    joined = [image_HWC for part in parts for image_HWC in part]
    np.testing.assert_array_equal(joined, whole)


def test_a_piece_holds_no_more_of_the_list_than_it_needs(kinds: dict[str, Path]) -> None:
    reading = plan_reading(kinds["closed.mp4"], Sampling(fps=15.0))
    pieces = reading.pieces(0.05)
    assert len(pieces) == 4
    assert [piece.index.first for piece in pieces] == [0, 30, 60, 90]
    assert sum(len(piece.index.ticks_N) for piece in pieces) <= 120
    assert all(piece.index.probe == reading.index.probe for piece in pieces)
    with pytest.raises(VideoError, match="scan the whole file for a part"):
        list(stream_frames(pieces[1], decoder="decord"))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_pieces_take_time(kinds: dict[str, Path], seconds: float) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        plan_reading(kinds["closed.mp4"], Sampling(count=4)).pieces(seconds)


@pytest.mark.parametrize("decoder", ["auto", "decord", "pyav"])
@pytest.mark.parametrize("chunk", [1, 5, 16, 100])
def test_chunks_change_nothing(kinds: dict[str, Path], decoder: Any, chunk: int) -> None:
    reading = plan_reading(kinds["closed.mp4"], Sampling(count=33))
    some = list(stream_frames(reading, decoder=decoder, chunk=chunk))
    assert all(len(frames.pts_T) <= chunk for frames in some)
    whole = read_frames(kinds["closed.mp4"], Sampling(count=33), decoder="pyav")
    np.testing.assert_array_equal(np.concatenate([f.frames_THWC for f in some]), whole.frames_THWC)
    np.testing.assert_array_equal(np.concatenate([f.pts_T for f in some]), whole.pts_T)
    np.testing.assert_array_equal(reading.pts_T, whole.pts_T)


def test_a_chunk_has_a_frame(kinds: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="chunk is 0; it must be at least 1"):
        stream_frames(plan_reading(kinds["closed.mp4"], Sampling(count=2)), chunk=0)


def test_a_frame_that_repeats_may_cross_chunks(tmp_path: Path) -> None:
    path = make(tmp_path / "short.mp4", frames=2)
    some = list(stream_frames(plan_reading(path, Sampling(count=8)), chunk=3))
    assert [numbers(frames) for frames in some] == [[0, 0, 0], [0, 1, 1], [1, 1]]


def test_where_decord_stops_pyav_goes_on(
    kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = read_decord

    def gives_up(reading: Reading, wanted: Any, batch: int) -> Iterator[Shown]:
        for count, shown in enumerate(real(reading, wanted, batch)):
            if count == 45:
                raise VideoError("decord: it had enough")
            yield shown

    monkeypatch.setattr(video, "read_decord", gives_up)
    # Chunks that end where the groups of pictures do: nothing is decoded twice.
    reading = plan_reading(kinds["closed.mp4"], Sampling(fps=30.0))
    some = list(stream_frames(reading, chunk=30))
    assert [(frames.decoder, len(frames.pts_T)) for frames in some] == [
        ("decord", 30),
        ("decord", 15),
        *[("pyav", 30)] * 3,
        ("pyav", 16),
    ]
    whole = read_frames(kinds["closed.mp4"], Sampling(fps=30.0), decoder="pyav")
    np.testing.assert_array_equal(np.concatenate([f.frames_THWC for f in some]), whole.frames_THWC)
    # read_frames gives one answer all the same.
    mixed = read_frames(kinds["closed.mp4"], Sampling(fps=30.0))
    np.testing.assert_array_equal(mixed.frames_THWC, whole.frames_THWC)


@pytest.mark.parametrize("name", KINDS)
def test_key_frames_are_decoded_alone(kinds: dict[str, Path], name: str) -> None:
    reading = plan_reading(kinds[name], Sampling(keyframes=True))
    flagged = reading.index.flagged.tolist()
    assert reading.rows_T.tolist() == flagged
    assert len(flagged) == {"mjpeg.mov": 120, "bframes.mov": 11}.get(name, 4)
    count = Count()
    shown = list(read_pyav(reading, reading.rows_T, count))
    assert [number_of(one.image_HWC) for one in shown] == flagged
    assert count.frames == reading.decodes == len(flagged)
    every = read_frames(kinds[name], Sampling(count=500), decoder="pyav")
    for one in shown:
        np.testing.assert_array_equal(
            one.image_HWC, every.frames_THWC[int(np.searchsorted(every.pts_T, one.pts - 1e-9))]
        )


def test_key_frames_of_an_avi(tmp_path: Path) -> None:
    """Frames without times are counted, and have the time at which they come out."""
    options, tick = {"g": "12", "bf": "2"}, Fraction(1, 30)
    path = make(tmp_path / "b.avi", "mpeg4", options, pts=lambda i: i, tick=tick)
    got = read_frames(path, Sampling(keyframes=True))
    assert numbers(got) == [*range(0, 120, 12), 119]
    np.testing.assert_allclose(got.pts_T, [*np.arange(0, 4, 0.4), 119 / 30], atol=1e-9)


def test_at_most_so_many_key_frames(kinds: dict[str, Path]) -> None:
    got = read_frames(kinds["bframes.mov"], Sampling(keyframes=True, at_most=3))
    # The latest at 1/6, 1/2 and 5/6 of its 5 s, of which one is still, after picture 60.
    assert numbers(got) == [24, 60, 84]
    more = read_frames(kinds["closed.mp4"], Sampling(keyframes=True, at_most=99))
    assert len(more.pts_T) == 4


def test_without_idr_pictures_a_key_frame_may_not_stand_alone(tmp_path: Path) -> None:
    """With intra refresh only the first is whole; a picture in ruins is never given."""
    path = make(tmp_path / "refresh.mp4", options=REFRESH)
    reading = plan_reading(path, Sampling(keyframes=True))
    whole = read_frames(path, Sampling(count=120), decoder="pyav")
    try:
        got = list(read_pyav(reading, reading.rows_T))
    except VideoError as error:
        assert "key frame" in str(error)  # noqa: PT017 - either is right
    else:
        for one in got:
            np.testing.assert_array_equal(one.image_HWC, whole.frames_THWC[one.row])


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_rates_differ_in_time_not_in_number(tmp_path: Path, rate: Fraction, decoder: Any) -> None:
    """Complaint 10: 25 and 29.97 frames a second, each looked at twice a second."""
    path = make(tmp_path / "r.mp4", options=CLOSED, pts=lambda i: i, tick=1 / rate, frames=100)
    got = read_frames(path, Sampling(fps=2.0), decoder=decoder)
    times = [(k + 0.5) / 2 for k in range(int(100 / rate * 2 + Fraction(1, 2)))]
    assert numbers(got) == [int(t * rate) for t in times]
    np.testing.assert_allclose(got.pts_T, [float(int(t * rate) / rate) for t in times], atol=1e-4)


def test_work_grows_with_what_must_be_decoded(tmp_path: Path) -> None:
    path = make(tmp_path / "long.mp4", options=CLOSED, frames=250)
    every = plan_reading(path, Sampling(fps=30.0))
    few = plan_reading(path, Sampling(count=2))
    keys = plan_reading(path, Sampling(keyframes=True))
    assert (every.decodes, few.decodes, keys.decodes) == (250, 3 + 8, 9)
    assert keys.work < every.work
    assert few.duration == pytest.approx(float(3 * 250 * TICK))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("mpeg2video", {"g": "30", "bf": "2"}),
        ("libx265", {"x265-params": "keyint=30:open-gop=0:log-level=none"}),
    ],
)
def test_transport_streams_are_read_once(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    """They are searched by decoding time: a seek would miss, and each piece begin at the start."""
    pts, tick = (lambda i: i), Fraction(1, 25)
    path = make(tmp_path / "a.ts", codec, options, pts=pts, tick=tick, frames=240)
    reading = plan_reading(path, Sampling(fps=5.0))
    assert len(reading.pieces(0.01)) == 1
    count = Count()
    shown = list(read_pyav(reading, np.unique(reading.rows_T), count))
    assert [number_of(one.image_HWC) for one in shown] == [one.row for one in shown]
    assert count.frames <= 240
