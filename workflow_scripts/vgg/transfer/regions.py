"""The part of an image that is described: all of it, or a person's box (appendix B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.declarations import declared

REGIONS = ("image", "box")
ACTION_BOXES = ("exact", "with-margin")
MARGIN = 0.1  # of a box's width and height, on each side


@dataclass(frozen=True)
class BoxReading:
    """The reading of what the features of a person's box are taken from (appendix B).

    action_box: "exact" cuts the box out, "with-margin" a tenth more on each side, where the image
    has it.
    """

    action_box: str = declared("exact", values=ACTION_BOXES, choice=True)


def regions_of(boxes: np.ndarray, sizes: np.ndarray, reading: BoxReading) -> np.ndarray:
    """The whole pixels that boxes cover, as edges, int64 [boxes, 4], inside their images.

    boxes: float64 [boxes, 4], xmin, ymin, xmax, ymax, edges in pixels. sizes: int [boxes, 2], width
    and height of each box's image.
    """
    margin = MARGIN if reading.action_box == "with-margin" else 0.0
    room = margin * (boxes[:, 2:] - boxes[:, :2])
    first = np.floor(boxes[:, :2] - room).astype(np.int64)
    last = np.ceil(boxes[:, 2:] + room).astype(np.int64)
    return np.concatenate([np.maximum(first, 0), np.minimum(last, sizes)], axis=1)
