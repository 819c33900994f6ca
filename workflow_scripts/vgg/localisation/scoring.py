"""ILSVRC's localisation error, as eval_localization_flat.m and compute_overlap.m of its devkit have
it, and boxes that need no net, to compare with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.declarations import declared
from ..data.boxes import PIXELS, common_and_united

MOST_GUESSES = 5
OVERLAP_BOUNDS = ("at-least-half", "more-than-half")
BLACKLISTED = ("left-out", "kept")


@dataclass(frozen=True)
class Scoring:
    """When a guessed box is right.

    overlap_bound: of intersection over union; "at-least-half" is ILSVRC's, "more-than-half" the
        paper's words. They differ for exactly a half.
    overlap_pixels: as for `boxes.areas`; ILSVRC's are "inclusive".
    blacklisted: images on ILSVRC's blacklist are "left-out", or "kept".
    """

    overlap_bound: str = declared("at-least-half", values=OVERLAP_BOUNDS, choice=True)
    overlap_pixels: str = declared("inclusive", values=PIXELS, choice=True)
    blacklisted: str = declared("left-out", values=BLACKLISTED, choice=True)


def wrong(
    labels: np.ndarray,
    guessed_labels: np.ndarray,
    guessed_boxes: np.ndarray,
    starts: np.ndarray,
    true_boxes: np.ndarray,
    scoring: Scoring,
) -> np.ndarray:
    """Whether each image is wrong, bool [images]: no guess has both its class and one of its boxes.

    labels: int [images]. guessed_labels: int [images, k]; −1 for a guess that is not made; those
        after the fifth are ignored.
    guessed_boxes: float [images, k, 4], corners in pixels, of whole ones the areas are exact.
    starts: int64 [images + 1]; true_boxes[starts[i]:starts[i + 1]] are those of image i.
    true_boxes: float [boxes, 4], corners in pixels.
    Raises ValueError if an image has no label or no true box, or `starts` are not of `true_boxes`.
    """
    counts = np.diff(starts)
    if len(counts) != len(labels) or starts[0] != 0 or starts[-1] != len(true_boxes):
        raise ValueError("the true boxes are not those of the labelled images")
    for bad, what in ((labels < 0, "label"), (counts < 1, "true box")):
        if bad.any():
            raise ValueError(f"image {bad.argmax()} has no {what}, so it has no localisation error")
    # Each true box beside the guesses for its image: [boxes, k]
    image = np.repeat(np.arange(len(labels)), counts)
    guesses = guessed_boxes[image, :MOST_GUESSES]
    common, united = common_and_united(guesses, true_boxes[:, None], scoring.overlap_pixels)
    # Without a quotient, so that a half is a half
    if scoring.overlap_bound == "at-least-half":
        right = (2 * common >= united) & (common > 0)
    else:
        right = 2 * common > united
    right &= (guessed_labels[:, :MOST_GUESSES] == labels[:, None])[image]
    return ~np.logical_or.reduceat(right.any(1), starts[:-1])


def central_box() -> np.ndarray:
    """The box [4] in the middle of an image that has half of its area; corners, relative to it."""
    margin = (1 - math.sqrt(1 / 2)) / 2
    return np.array([margin, margin, 1 - margin, 1 - margin])


def mean_box(boxes: np.ndarray) -> np.ndarray:
    """The box [4] with the mean centre, width and height of boxes float64 [n, 4]; all are corners.

    Its corners are the mean corners: centres and sides are sums and differences of those.
    Raises ValueError if there are no boxes.
    """
    if not len(boxes):
        raise ValueError("no boxes to take the mean of")
    return boxes.mean(0)
