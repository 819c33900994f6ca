"""Time and disk that localisation takes besides its nets: true boxes, merging, files (appendix A).

Rates are of one core, measured once (docs/cost.md).
"""

from __future__ import annotations

import numpy as np

CLASSES = 5  # of an image that are boxed and guessed, if not the true one alone
XML_RATE = 8_000  # annotations read a second
BOXED = {"train": 544_546 / 1_281_167, "val": 1.0, "test": 1.0}  # share of ILSVRC's images
# Milliseconds to merge the boxes of a class, by their number
MERGING = {1: 0.05, 8: 0.3, 24: 1.0, 60: 2.4, 108: 5.0, 216: 14.0}
MERGERS = 16  # processes that merge at full size, as rules/localisation.smk has them

# Bytes: of a box, four numbers and its score; of what else stands beside an image's; of a guess.
BOX, BESIDE, GUESS = 20, 60, 18


def merging_seconds(boxes) -> np.ndarray:
    """Core-seconds to merge so many boxes of a class: int or float [...], and float64 [...].

    Linear through the measured points; beyond the last, with the square.
    """
    last, most = list(MERGING.items())[-1]
    boxes = np.asarray(boxes, float)
    between = np.interp(boxes, list(MERGING), list(MERGING.values()))
    return np.where(boxes > last, most * (boxes / last) ** 2, between) / 1000


def reading_hours(split: str, images: int) -> float:
    """Core-hours to read the true boxes of a split of so many images."""
    return images * BOXED[split] / XML_RATE / 3600


def true_bytes(split: str, images: int) -> float:
    """Bytes of the true boxes of a split of so many images."""
    return images * (8 + 32 * BOXED[split])
