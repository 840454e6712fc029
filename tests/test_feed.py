"""Batches across videos: every video gets its own features, whatever the batch and the devices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reelscribe.encoders.feed import WAITING, Feeder


class Sums:
    """An engine whose feature of a crop is its sum and its largest value."""

    def __init__(self, batch: int, seconds: float = 0.0) -> None:
        self.batch, self.seconds = batch, seconds
        self.sizes: list[int] = []
        self.under_way = self.most_under_way = 0

    def start(self, crops_BSSC: np.ndarray[Any, Any]) -> Callable[[], np.ndarray[Any, Any]]:
        self.sizes.append(len(crops_BSSC))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        feats_BD = features(crops_BSSC)

        def wait() -> np.ndarray[Any, Any]:
            time.sleep(self.seconds)
            self.under_way -= 1
            return feats_BD

        return wait


def features(crops_TSSC: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack(
        [crops_TSSC.sum(axis=(1, 2, 3)), crops_TSSC.max(axis=(1, 2, 3))], axis=1
    ).astype(np.float32)


def videos(count: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (1 + n * 7 % 23, 4, 4, 3), dtype=np.uint8) for n in range(count)]


@pytest.mark.parametrize("batches", [[1], [5], [64], [1000], [5, 8], [16, 16, 16]])
def test_every_video_gets_its_own_features(batches: list[int]) -> None:
    engines = [Sums(batch) for batch in batches]
    found: dict[int, Any] = {}
    feeder: Feeder[int] = Feeder(engines, done=found.__setitem__)
    wanted = videos(60)
    for n, crops_TSSC in enumerate(wanted):
        feeder.put(n, crops_TSSC)
    feeder.flush()
    assert sorted(found) == list(range(60))
    for n, crops_TSSC in enumerate(wanted):
        np.testing.assert_array_equal(found[n], features(crops_TSSC))
    # It goes on after a flush.
    feeder.put(60, wanted[3])
    feeder.flush()
    np.testing.assert_array_equal(found[60], features(wanted[3]))
    feeder.close()
    assert sum(sum(engine.sizes) for engine in engines) == sum(map(len, wanted)) + len(wanted[3])


def test_batches_are_full_across_videos_and_the_next_is_begun_early() -> None:
    """Complaint 5 (v-iashin/video_features#16): one video per GPU, low utilisation."""
    engine = Sums(32, seconds=0.002)
    feeder: Feeder[int] = Feeder([engine], done=lambda key, feats: None)
    wanted = videos(200)
    for n, crops_TSSC in enumerate(wanted):
        feeder.put(n, crops_TSSC)
    feeder.flush()
    feeder.close()
    frames = sum(map(len, wanted))
    assert len(engine.sizes) <= frames / 32 + 6
    assert engine.most_under_way == 2


def test_whoever_decodes_waits_where_the_device_is_slow() -> None:
    """Complaint 25 (Ray#33627): memory grows where decoding is faster than encoding."""
    gate = threading.Event()

    class Stuck(Sums):
        def start(self, crops_BSSC: np.ndarray[Any, Any]) -> Any:
            gate.wait()
            return super().start(crops_BSSC)

    engine = Stuck(4)
    feeder: Feeder[int] = Feeder([engine], done=lambda key, feats: None)
    put = 0

    def decode() -> None:
        nonlocal put
        for n in range(100):
            feeder.put(n, np.zeros((4, 2, 2, 3), dtype=np.uint8))
            put += 1

    thread = threading.Thread(target=decode)
    thread.start()
    time.sleep(0.3)
    assert WAITING <= put <= WAITING + 2
    gate.set()
    thread.join()
    feeder.flush()
    feeder.close()
    assert put == 100


@pytest.mark.parametrize("where", ["start", "wait", "done"])
def test_what_goes_wrong_is_raised_where_crops_are_put_in(where: str) -> None:
    class Broken(Sums):
        def start(self, crops_BSSC: np.ndarray[Any, Any]) -> Any:
            if where == "start":
                raise RuntimeError("out of memory")
            wait = super().start(crops_BSSC)
            if where == "done":
                return wait
            return lambda: done(0, None)

    def done(key: int, feats_TD: Any) -> None:
        raise RuntimeError("out of memory")

    feeder: Feeder[int] = Feeder([Broken(4)], done=done)
    with pytest.raises(RuntimeError, match="out of memory"):  # noqa: PT012 - which call, is open
        for n in range(100):
            feeder.put(n, np.zeros((4, 2, 2, 3), dtype=np.uint8))
        feeder.flush()
    with pytest.raises(RuntimeError, match="out of memory"):
        feeder.put(0, np.zeros((4, 2, 2, 3), dtype=np.uint8))
    feeder.close()


def test_closing_waits_for_nothing() -> None:
    """A batch that is not full would be waited for, if not for the close; its video is not done."""
    done: list[int] = []
    feeder: Feeder[int] = Feeder([Sums(64)], done=lambda key, feats: done.append(key))
    assert [thread.is_alive() for thread in feeder._threads] == [True]
    feeder.put(0, np.zeros((4, 2, 2, 3), dtype=np.uint8))
    feeder.close()
    assert [thread.is_alive() for thread in feeder._threads] == [False]
    assert done == []
