"""The batch sequence: which images an iteration sees and how each is augmented (paper §3.1).

Everything here is a pure function of (seed, iteration). A resumed training needs no loader state,
and the number of workers or processes does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .randomness import Stream, generator

COLOUR_SHIFTS = ("pca-root-eigenvalues", "pca-eigenvalues", "none")
COLOUR_SHIFT_STD = 0.1


@dataclass(frozen=True)
class Batch:
    """What to read and how to augment it, one entry a sample.

    images: int64, places in the training set. scales: int64, S in the paper's units.
    tops, lefts: float64 in [0, 1), the crop's place. flips: bool. shifts: float32 [samples, 3], to
    be added to RGB in 0–255 units.
    """

    images: np.ndarray
    scales: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    flips: np.ndarray
    shifts: np.ndarray


@lru_cache(maxsize=2)  # 1.28 million int64 take 10 MB and 20 ms; a batch may span two epochs
def epoch_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order in which an epoch visits the training set: a permutation, int64 [images]."""
    return generator(seed, Stream.ORDER, epoch).permutation(images)


def batch_at(
    seed: int,
    iteration: int,
    batch_size: int,
    images: int,
    scales: tuple[int, int],
    colour_axes: np.ndarray,
) -> Batch:
    """The batch of an iteration, counted from 0; always full, since batches wrap over epoch ends.

    scales: smallest and largest S; each image's is drawn uniformly from the integers between, both
        ends included.
    colour_axes: float [3, 3] from `colour_axes`.
    """
    places = np.arange(iteration * batch_size, (iteration + 1) * batch_size)
    epochs, offsets = np.divmod(places, images)
    draw = generator(seed, Stream.AUGMENTATION, iteration)
    return Batch(
        images=np.array(
            [
                epoch_order(seed, int(epoch), images)[offset]
                for epoch, offset in zip(epochs, offsets, strict=True)
            ]
        ),
        scales=draw.integers(scales[0], scales[1], size=batch_size, endpoint=True),
        tops=draw.random(batch_size),
        lefts=draw.random(batch_size),
        flips=draw.random(batch_size) < 0.5,
        shifts=(
            draw.normal(0, COLOUR_SHIFT_STD, size=(batch_size, 3)) @ np.asarray(colour_axes)
        ).astype(np.float32),
    )


def colour_axes(statistics: dict, method: str) -> np.ndarray:
    """RGB shifts of one unit along each principal axis of the training pixels, float64 [3, 3].

    method: "pca-root-eigenvalues" scales the axes by the square roots of the eigenvalues (standard
        deviations, as Krizhevsky et al. must have meant), "pca-eigenvalues" by the eigenvalues as
        their paper says; "none" shifts nothing.
    """
    vectors = np.array(statistics["eigenvectors"])
    values = np.maximum(statistics["eigenvalues"], 0)
    match method:
        case "pca-root-eigenvalues":
            return vectors * np.sqrt(values)[:, None]
        case "pca-eigenvalues":
            return vectors * values[:, None]
        case "none":
            return np.zeros((3, 3))
    raise ValueError(f"unknown colour shift {method!r}")
