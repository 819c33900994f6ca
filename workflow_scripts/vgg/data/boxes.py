"""Boxes around objects: their corners, the four numbers that nets predict, and overlap.

Corners are (xmin, ymin, xmax, ymax), in the last axis of an array; x to the right and y down.
"""

from __future__ import annotations

import numpy as np

PIXELS = ("inclusive", "continuous")


def corners_of(centres: np.ndarray) -> np.ndarray:
    """Corners [..., 4] of boxes given as (x and y of the centre, width, height) [..., 4]."""
    middle, size = centres[..., :2], centres[..., 2:]
    return np.concatenate([middle - size / 2, middle + size / 2], axis=-1)


def centres_of(corners: np.ndarray) -> np.ndarray:
    """The paper's box vector (x and y of the centre, width, height) of corners, both [..., 4]."""
    first, last = corners[..., :2], corners[..., 2:]
    return np.concatenate([(first + last) / 2, last - first], axis=-1)


def mirrored(corners: np.ndarray, width: float | np.ndarray = 1.0) -> np.ndarray:
    """Corners [..., 4] in the mirror image of something `width` wide (a number, or [...])."""
    xmin, ymin, xmax, ymax = np.moveaxis(corners, -1, 0)
    return np.stack([width - xmax, ymin, width - xmin, ymax], axis=-1)


def areas(corners: np.ndarray, pixels: str = "inclusive") -> np.ndarray:
    """Areas float64 [...] of corners [..., 4]; a box that ends before it begins has none.

    pixels: "inclusive" if the corners name the first and the last pixel, so that xmin = xmax is one
        pixel wide, as in PASCAL VOC's and ILSVRC's routines; "continuous" if they are coordinates.
    Raises ValueError for an unknown one.
    """
    if pixels not in PIXELS:
        raise ValueError(f"unknown reading of pixels {pixels!r}")
    sides = corners[..., 2:].astype(float) - corners[..., :2] + (pixels == "inclusive")
    return np.maximum(sides, 0).prod(-1)


def overlaps(these: np.ndarray, those: np.ndarray, pixels: str = "inclusive") -> np.ndarray:
    """Intersection over union, float64 [...], of corners [..., 4] and [..., 4], as they broadcast.

    pixels: as for `areas`. Two boxes without area overlap by 0.
    """
    common, united = common_and_united(these, those, pixels)
    return np.divide(common, united, out=np.zeros_like(united), where=united > 0)


def common_and_united(
    these: np.ndarray, those: np.ndarray, pixels: str = "inclusive"
) -> tuple[np.ndarray, np.ndarray]:
    """Areas of intersection and union, as for `overlaps`; of whole pixels they are exact."""
    first = np.maximum(these[..., :2], those[..., :2])
    last = np.minimum(these[..., 2:], those[..., 2:])
    common = areas(np.concatenate([first, last], axis=-1), pixels)
    return common, areas(these, pixels) + areas(those, pixels) - common
