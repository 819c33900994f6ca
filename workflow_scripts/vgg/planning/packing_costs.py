"""Time and disk that packing takes: rates of one core, and sizes of ILSVRC-2012's images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..data.images import pixels_at, rescaled_size

TYPICAL_SIZE = (375, 500)  # height and width of most of ILSVRC's images
# Of ILSVRC-2012's archives, bytes an image: 147.9 GB of 1,281,167 training images, 6.7 GB of 50,000
# validation images.
SOURCE_BYTES = {"train": 115_400, "val": 134_900, "test": 134_900}
# Measured by packing 3,000 photographs of that size on one core (docs/cost.md): images a second if
# they are kept as they are; by S, images a second and bytes an image if they are rescaled to it.
KEPT_RATE = 890
RESCALED = {256: (210, 46_000), 384: (135, 91_000)}


def typical_size(config: dict) -> tuple[int, int]:
    """Height and width assumed of an image before any is read; the miniature's are small."""
    return drawn_size(config) if config["data"]["source"] == "miniature" else TYPICAL_SIZE


def drawn_size(config: dict) -> tuple[int, int]:
    """Height and width of a drawn image, whatever it is to stand for."""
    height, width = (pixels_at(side, config["convnet"]["crop"]) for side in TYPICAL_SIZE)
    return height, width


def packed_image(
    split: str, height: int, width: int, side: int | None = None, only_shrink: bool = False
) -> tuple[float, float]:
    """Core-seconds to pack one image of `split`, and the bytes that it takes in its shard.

    side: smallest side in pixels that it is rescaled to, if at all; with `only_shrink`, unless it
    is no larger. Decoding and bytes kept are in proportion to the image's pixels; rescaling with
    encoding, and bytes written, are linear in the result's pixels through the measured points.
    """
    share = height * width / math.prod(TYPICAL_SIZE)
    decoding = share / KEPT_RATE
    if side is None or (only_shrink and min(height, width) <= side):
        return decoding, share * SOURCE_BYTES[split]
    points = [math.prod(rescaled_size(*TYPICAL_SIZE, S)) for S in RESCALED]
    seconds = [1 / rate - 1 / KEPT_RATE for rate, _ in RESCALED.values()]
    sizes = [size for _, size in RESCALED.values()]
    pixels = math.prod(rescaled_size(height, width, side))
    return decoding + _along(pixels, points, seconds), _along(pixels, points, sizes)


def _along(at: float, places: Sequence[float], values: Sequence[float]) -> float:
    """Linear from the origin through the points; beyond the last one, in its proportion."""
    if at > places[-1]:
        return values[-1] * at / places[-1]
    return float(np.interp(at, [0, *places], [0, *values]))
