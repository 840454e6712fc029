"""CIDEr-D of batches, for self-critical training: the idf of the whole set, tokens as they come.

Rennie et al. 2017, https://arxiv.org/abs/1612.00563. Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reelscribe.pipeline.metrics.cider import CiderD
from reelscribe.pipeline.metrics.summands import Floats


class Rewards:
    """The references of a training set made ready; a call scores one batch of captions.

    The idf is that of the whole set. With the idf of a batch, as pycocoevalcap has it, a caption's
    reward depends on the other captions of its batch, and is 0 in a batch of one video.

    Args:
        references: id -> its references as tokens parted by spaces, as the decoder writes them.

    Raises:
        ValueError: there is no video, or a video has no reference.
    """

    def __init__(self, references: Mapping[Any, Sequence[str]]) -> None:
        self._number = {name: i for i, name in enumerate(references)}
        self._cider = CiderD([[text.split() for text in refs] for refs in references.values()])

    def __call__(self, ids: Sequence[Any], captions: Sequence[str]) -> Floats:
        """Return CIDEr-D of each caption against the references of its video.

        Args:
            ids: of the videos; a video may come any number of times.
            captions: one for each id, as tokens parted by spaces.

        Raises:
            ValueError: an id has no references, or there is not one caption for each id.
        """
        unknown = [name for name in ids if name not in self._number]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(ids)} ids have no references, first {unknown[0]!r}; "
                f"known are {len(self._number)} such as {next(iter(self._number))!r}"
            )
        which = [self._number[name] for name in ids]
        return self._cider.score([text.split() for text in captions], which)
