"""Frames as an image network wants them: timm's transform for evaluation, without torch.

Reads and writes nothing. The shorter side is resized with PIL's antialiased filter, the centre is
cut out, values are scaled to [0, 1] and normalised.

Shapes: T frames, H x W pixels, C = 3 channels (red, green, blue), S x S pixels of the crop.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reelscribe.encoders.backbone import Backbone

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


def prepare(frames_THWC: NDArray[np.uint8], backbone: Backbone) -> NDArray[np.float32]:
    """Return (T, 3, S, S) normalised images.

    Raises:
        ValueError: the frames are not (T, H, W, 3) bytes.
    """
    crops_TSSC = crop(frames_THWC, backbone)
    mean_C = np.array(backbone.mean, dtype=np.float32)
    std_C = np.array(backbone.std, dtype=np.float32)
    images_TSSC = crops_TSSC.astype(np.float32)
    images_TSSC /= 255
    images_TSSC -= mean_C
    images_TSSC /= std_C
    return np.ascontiguousarray(images_TSSC.transpose(0, 3, 1, 2))


def crop(frames_THWC: NDArray[np.uint8], backbone: Backbone) -> NDArray[np.uint8]:
    """Return (T, S, S, 3) crops, still bytes: a quarter of what the images take.

    Raises:
        ValueError: the frames are not (T, H, W, 3) bytes.
    """
    if frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or frames_THWC.dtype != np.uint8:
        raise ValueError(
            f"expected frames (T, H, W, 3) of uint8, got {frames_THWC.shape} of {frames_THWC.dtype}"
        )
    size = backbone.size
    crops_TSSC = np.empty((len(frames_THWC), size, size, 3), dtype=np.uint8)
    for i, frame_HWC in enumerate(frames_THWC):
        crops_TSSC[i] = _crop(frame_HWC, backbone)
    return crops_TSSC


def _crop(frame_HWC: NDArray[np.uint8], backbone: Backbone) -> NDArray[np.uint8]:
    """Resize one frame and cut out its centre, rounding as torchvision does."""
    height, width = frame_HWC.shape[:2]
    shorter = math.floor(backbone.size / backbone.crop_pct)
    if width <= height:
        wide, high = shorter, int(shorter * height / width)
    else:
        wide, high = int(shorter * width / height), shorter
    # timm's "random" is for training; it evaluates such networks with bilinear.
    resample = FILTERS.get(backbone.interpolation, Image.Resampling.BILINEAR)
    # A copy of the frame, if it is a view of others, is what PIL needs.
    image = Image.fromarray(np.ascontiguousarray(frame_HWC))
    if (wide, high) != (width, height):
        image = image.resize((wide, high), resample)
    left, top = round((wide - backbone.size) / 2), round((high - backbone.size) / 2)
    # Outside of a frame that is smaller than the crop (crop_pct over 1), PIL gives black.
    box = (left, top, left + backbone.size, top + backbone.size)
    return np.asarray(image.crop(box))
