"""Batches on the device: padded, and on a GPU copied there once as far as they fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from reelscribe.pipeline.loading import GIB, Shelf, free_on, pad

CPU = torch.device("cpu")
CLIP = 4 * 3 * 4
"""Bytes of a clip of 4 frames of 3 float32."""


@dataclass(eq=False)
class Counted:
    """A clip that counts how often it is read."""

    value: float
    frames: int = 4
    reads: list[int] = field(default_factory=list)

    @property
    def feats_TD(self) -> Tensor:
        self.reads.append(1)
        return torch.full((self.frames, 3), float(self.value))


def test_shorter_clips_have_zeros_behind() -> None:
    feats_BTD, lengths_B = pad([torch.ones(3, 2), torch.ones(1, 2)], CPU)
    assert lengths_B.tolist() == [3, 1]
    assert feats_BTD[:, :, 0].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_cpu_keeps_nothing() -> None:
    assert free_on(CPU) == 0
    clip, shelf = Counted(1), Shelf.on(CPU, memory=1)
    for _ in range(3):
        shelf.batch([clip])
    assert len(clip.reads) == 3


def test_what_fits_is_read_once_and_the_rest_each_time() -> None:
    clips, shelf = [Counted(n) for n in range(5)], Shelf(CPU, room=2.5 * CLIP)
    for _ in range(3):
        for first in (0, 2):
            feats_BTD, lengths_B = shelf.batch(clips[first : first + 2])
            assert feats_BTD[:, 0, 0].tolist() == [first, first + 1]
            assert lengths_B.tolist() == [4] * 2
            feats_BTD.zero_()  # What stays is not what was handed out.
    assert [len(clip.reads) for clip in clips] == [1, 1, 3, 3, 0]
    assert shelf.left == 0.5 * CLIP
    # Some there, some not, one twice.
    feats_BTD, _ = shelf.batch([clips[n] for n in (1, 4, 0, 4)])
    assert feats_BTD[:, 3, 2].tolist() == [1, 4, 0, 4]
    assert [len(clip.reads) for clip in clips] == [1, 1, 3, 3, 1]


def test_what_a_validation_saw_first_can_be_learnt_from() -> None:
    shelf, clip = Shelf(CPU, room=CLIP), Counted(1)
    weight = torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        shelf.batch([clip])
    (shelf.batch([clip])[0] * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.tolist() == [4, 4, 4]
    assert not any(feats_TD.is_inference() for feats_TD in shelf._there.values())


def test_a_shelf_that_is_cleared_keeps_nothing() -> None:
    shelf, clip = Shelf(CPU, room=CLIP), Counted(1)
    for _ in range(2):
        shelf.batch([clip])
        shelf.clear()
    shelf.batch([clip])
    assert len(clip.reads) == 3


@pytest.mark.gpu
@pytest.mark.parametrize("memory", [None, 0, 2.5 * CLIP / GIB])
def test_a_gpu_gets_the_same_batches(memory: float | None) -> None:
    gpu = torch.device("cuda")
    assert free_on(gpu) > 1e9
    clips, shelf = [Counted(1), Counted(2, frames=2), Counted(3)], Shelf.on(gpu, memory)
    for _ in range(2):
        feats_BTD, lengths_B = shelf.batch(clips)
        assert feats_BTD.device.type == lengths_B.device.type == "cuda"
        assert feats_BTD[:, :, 0].tolist() == [[1] * 4, [2, 2, 0, 0], [3] * 4]
        assert lengths_B.tolist() == [4, 2, 4]
    assert len(clips[0].reads) == (1 if memory is None else 2)
