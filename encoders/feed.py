"""Feed GPUs: crops of many videos become full batches, and nobody waits for anybody.

Reads and writes nothing. Whoever decodes puts crops in and blocks only when much waits already; a
thread a device takes what is there, as full batches across videos, with one batch always on its way
while the next is put together; features come out video by video.

Shapes: T frames of a video, B frames of a batch, S x S pixels, D features.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)

WAITING = 4
"""Batches a device that may wait; more would be memory and no speed."""

PAUSE = 0.02
"""Seconds that a batch which is not full waits for more."""


class CropEngine(Protocol):
    """What encodes crops on one device; see :class:`TorchEngine`."""

    batch: int

    def start(self, crops_BSSC: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """Begin; the function that comes back waits for the (B, D) features."""
        ...


@dataclass(eq=False)
class _Video(Generic[Key]):
    key: Key
    crops_TSSC: NDArray[np.uint8]
    taken: int = 0
    """Crops that are in a batch already."""
    left: int = 0
    """Crops whose features are not there yet."""
    feats_TD: NDArray[np.float32] | None = None


class Feeder(Generic[Key]):
    """Crops in, features out, in the order in which they are ready."""

    def __init__(
        self, engines: Sequence[CropEngine], *, done: Callable[[Key, NDArray[np.float32]], None]
    ) -> None:
        """Start a thread for each engine.

        Args:
            engines: one a device.
            done: called with the features of a video, in an engine's thread; should be quick.
        """
        self._done = done
        self._todo: deque[_Video[Key]] = deque()
        self._waiting = self._inside = 0
        self._most = sum(engine.batch for engine in engines) * WAITING
        self._changed = threading.Condition()
        self._hurry = self._closed = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(engine,), daemon=True) for engine in engines
        ]
        for thread in self._threads:
            thread.start()

    def put(self, key: Key, crops_TSSC: NDArray[np.uint8]) -> None:
        """Hand over a video's crops, (T, S, S, 3) and T at least 1; blocks while much waits.

        Raises:
            BaseException: whatever an engine or ``done`` raised; nothing is encoded any more.
        """
        assert len(crops_TSSC), "a video without frames has no features"
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._waiting < self._most)
            self._check()
            self._todo.append(_Video(key, crops_TSSC, left=len(crops_TSSC)))
            self._waiting += len(crops_TSSC)
            self._inside += 1
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything that was put in has come out.

        Raises:
            BaseException: as :meth:`put`.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error or not self._inside)
            self._hurry = False
            self._check()

    def close(self) -> None:
        """End the threads; what has not come out does not."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self, engine: CropEngine) -> None:
        try:
            for feats_BD, parts in self._batches(engine):
                self._scatter(feats_BD, parts)
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _batches(
        self, engine: CropEngine
    ) -> Iterator[tuple[NDArray[np.float32], list[tuple[_Video[Key], slice]]]]:
        """Yield the features of each batch; the next is begun before the last is waited for."""
        begun = None
        while True:
            parts = self._take(engine.batch, patient=begun is None)
            if parts is None:
                return
            following = None
            if parts:
                crops = [video.crops_TSSC[rows] for video, rows in parts]
                crops_BSSC = crops[0] if len(crops) == 1 else np.concatenate(crops)
                following = (engine.start(crops_BSSC), parts)
            if begun is not None:
                yield begun[0](), begun[1]
            begun = following

    def _take(self, batch: int, *, patient: bool) -> list[tuple[_Video[Key], slice]] | None:
        """Return which crops make the next batch, none if there are none now; None at the end."""
        with self._changed:
            if patient:
                self._changed.wait_for(lambda: self._is_due(1))
            if not self._is_due(batch) and self._waiting:
                self._changed.wait_for(lambda: self._is_due(batch), timeout=PAUSE)
            if self._closed or self._error:
                return None
            if patient and not self._waiting:
                # Hurried with nothing to do: wait for what comes, or for the end.
                self._changed.wait(timeout=PAUSE)
            parts: list[tuple[_Video[Key], slice]] = []
            while batch and self._todo:
                video = self._todo[0]
                count = min(batch, len(video.crops_TSSC) - video.taken)
                parts.append((video, slice(video.taken, video.taken + count)))
                video.taken += count
                batch -= count
                self._waiting -= count
                if video.taken == len(video.crops_TSSC):
                    self._todo.popleft()
            self._changed.notify_all()
            return parts

    def _is_due(self, crops: int) -> bool:
        """Whether there are so many crops, or a reason not to wait for them."""
        stopped = self._closed or self._error is not None
        return stopped or self._hurry or self._waiting >= crops

    def _scatter(
        self, feats_BD: NDArray[np.float32], parts: list[tuple[_Video[Key], slice]]
    ) -> None:
        first = 0
        for video, rows in parts:
            count = rows.stop - rows.start
            with self._changed:  # Two devices may hold parts of one video.
                if video.feats_TD is None:
                    shape = (len(video.crops_TSSC), feats_BD.shape[1])
                    video.feats_TD = np.empty(shape, dtype=np.float32)
                video.feats_TD[rows] = feats_BD[first : first + count]
                video.left -= count
                whole = not video.left
            first += count
            if whole:
                self._done(video.key, video.feats_TD)
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()
