"""Encoding on GPUs, on the driver's side: crops of workers -> features -> the feature store.

Writes entries and pieces into the feature store. Workers decode and crop; one thread a GPU encodes
full batches across videos (encoders/feed.py); a few threads write. None of them waits for another
until much waits for it. T = frames, D = features a frame, S = pixels of a crop's side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from reelscribe.encoders.engine import TorchEngine
from reelscribe.encoders.feed import Feeder
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.guard import Done, Failed, Hopeless, one_line
from reelscribe.pipeline.jobs import Cropped, Encoded, Job, JoinJob, PieceJob, Result
from reelscribe.pipeline.progress import say
from reelscribe.pipeline.worker import Encoding

WRITERS = 4
"""Threads that write: each waits for the disk most of the time."""


def engines_on(device: str, encoding: Encoding, *, batch: int = 64) -> list[TorchEngine]:
    """Load the network onto ``cuda`` (every GPU), ``cuda:N``, or ``torch:cpu``, to try this out.

    Raises:
        ValueError: there is no such device.
    """
    import torch

    bf16 = encoding.precision == "bf16"
    names = ["cpu"]
    if device != "torch:cpu":
        count = torch.cuda.device_count()
        number = device.removeprefix("cuda").removeprefix(":")
        if not count:
            raise ValueError(f"--device {device}: torch sees no CUDA device; take --device cpu")
        if int(number or 0) >= count:
            raise ValueError(f"--device {device}: there are {count} CUDA devices, numbered from 0")
        names = [f"cuda:{int(number)}"] if number else [f"cuda:{n}" for n in range(count)]
    return [TorchEngine(encoding.backbone, device=name, batch=batch, bf16=bf16) for name in names]


class Feed:
    """Takes what workers decoded; gives what is in the store. Idle where workers encode."""

    def __init__(self, encoding: Encoding, device: str) -> None:
        self._encoding, self._device = encoding, device
        self._store = FeatureStore(encoding.store)
        self._written: SimpleQueue[Encoded | Failed[Job]] = SimpleQueue()
        self._writes: SimpleQueue[Future[None]] = SimpleQueue()
        self._pool = ThreadPoolExecutor(WRITERS)
        self._feeder: Feeder[Cropped] | None = None

    def start(self) -> None:
        """Load the network onto the GPUs, the first time; call it once something is to be done.

        Raises:
            ValueError: there is no such device, or the recipe needs one.
        """
        if self._device == "cpu" and self._encoding.precision != "float32":
            raise ValueError(
                f"encoder.precision {self._encoding.precision} is for GPUs; add --device cuda, or "
                "take float32"
            )
        if self._device != "cpu" and self._feeder is None:
            engines = engines_on(self._device, self._encoding)
            if self._device != "torch:cpu" and not all(engine.recorded for engine in engines):
                say("encode: this network waits for the GPU within; it runs as it is, and slower")
            self._feeder = Feeder(engines, done=self._encoded)

    def take(self, outcome: Done[Job, Result] | Failed[Job]) -> None:
        """Take a video or a piece, if it is one that waits for a GPU; blocks while many do.

        Raises:
            Hopeless: a GPU or the store fails.
        """
        self._look()
        if self._feeder is None or isinstance(outcome, Failed):
            return
        if isinstance(outcome.result, Cropped):
            try:
                self._feeder.put(outcome.result, outcome.result.crops_TSSC)
            except Exception as error:
                raise _hopeless(error) from None

    def ready(self) -> Iterator[Encoded | Failed[Job]]:
        """Yield the videos that are done since the last call; waits for none."""
        while True:
            try:
                yield self._written.get_nowait()
            except Empty:
                return

    def flush(self) -> None:
        """Wait until all that was taken is in the store.

        Raises:
            Hopeless: a GPU or the store fails.
        """
        try:
            if self._feeder is not None:
                self._feeder.flush()
        except Exception as error:
            raise _hopeless(error) from None
        while not self._writes.empty():
            self._writes.get().result()

    def before_joins(
        self, more: Callable[[Done[Job, Result] | Failed[Job]], Iterable[Job]]
    ) -> Callable[[Done[Job, Result] | Failed[Job]], Iterable[Job]]:
        """Let pieces be joined only once all of them are in the store, and not on their way."""

        def then(outcome: Done[Job, Result] | Failed[Job]) -> Iterable[Job]:
            jobs = list(more(outcome))
            if any(isinstance(job, JoinJob) for job in jobs):
                self.flush()
            return jobs

        return then

    def rest(self) -> Iterator[Encoded | Failed[Job]]:
        """Wait for all that was taken; yield what was not told yet.

        Raises:
            Hopeless: a GPU or the store fails.
        """
        self.flush()
        yield from self.ready()

    def close(self) -> None:
        """Wait for nothing but what is being written."""
        if self._feeder is not None:
            self._feeder.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        """Raise what a write raised; forget those that are done."""
        while not self._writes.empty():
            write = self._writes.get()
            if not write.done():
                self._writes.put(write)
                return
            write.result()

    def _encoded(self, cropped: Cropped, feats_TD: NDArray[np.float32]) -> None:
        self._writes.put(self._pool.submit(self._write, cropped, feats_TD))

    def _write(self, cropped: Cropped, feats_TD: NDArray[np.float32]) -> None:
        features = Features(feats_TD=feats_TD, pts_T=cropped.pts_T, about=cropped.about)
        sha256, job = cropped.source.sha256, cropped.job
        try:
            if isinstance(job, PieceJob):
                self._store.write_piece(sha256, self._encoding.recipe, job.span, features)
                return
            self._store.write(sha256, self._encoding.recipe, features)
        except Hopeless:
            raise
        except ValueError as error:
            self._written.put(Failed(job=job, reason=one_line(error)))
        else:
            self._written.put(Encoded(source=cropped.source, fresh=True))


def _hopeless(error: Exception) -> Hopeless:
    if isinstance(error, Hopeless):
        return error
    return Hopeless(
        f"the GPU cannot go on ({one_line(error)}); what is done is kept, and the same command "
        "with --device cpu goes on"
    )
