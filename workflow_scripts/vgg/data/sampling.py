"""The batch sequence: which images an iteration sees and how each is augmented (paper §3.1).

Everything here is a pure function of (seed, iteration). A resumed training needs no loader state,
and the number of workers or processes does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..core.declarations import declared
from ..core.files import InputError
from ..core.randomness import Stream, generator

COLOUR_SHIFTS = ("pca-root-eigenvalues", "pca-eigenvalues", "none")
COLOUR_SHIFT_STD = 0.1
SCALE_SAMPLING = ("uniform-integer", "uniform-real")
LAST_BATCH = ("wrap", "drop")
VALIDATION_SETS = ("reported", "held-out")
HELD_OUT_SHARE = 0.04  # of ILSVRC's training set 51,247 images, about as many as its validation set


@dataclass(frozen=True)
class Sampling:
    """Readings of how training images are visited and augmented (§3.1).

    colour_shift: as for `colour_axes`. scale_sampling, last_batch: as for `batch_at`.
    validation_set: "reported", or "held-out" for a part of the training set, as in `held_out`.
    """

    colour_shift: str = declared("pca-root-eigenvalues", values=COLOUR_SHIFTS, choice=True)
    scale_sampling: str = declared(
        "uniform-integer",
        "how each image's S is drawn if jittered",
        values=SCALE_SAMPLING,
        choice=True,
    )
    last_batch: str = declared(
        "wrap",
        "at an epoch's end, wrap into the next one or drop the images left over",
        values=LAST_BATCH,
        choice=True,
    )
    validation_set: str = declared(
        "reported",
        "where plateaus are seen: on the validation shards, or on a part of the training set",
        values=VALIDATION_SETS,
        choice=True,
    )


@dataclass(frozen=True)
class Batch:
    """The images to read and how to augment each, one entry a sample.

    images: int64, places in the training set.
    scales: S in the paper's units, int64, or float64 if sampled as real numbers.
    tops, lefts: float64 in [0, 1), the crop's place.
    flips: bool, whether the crop is mirrored.
    shifts: float32 [samples, 3], to be added to RGB in 0–255 units.
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
    scale_sampling: str = "uniform-integer",
    last_batch: str = "wrap",
) -> Batch:
    """The batch of an iteration, counted from 0; always full.

    scales: smallest and largest S.
    colour_axes: float [3, 3] from `colour_axes`.
    scale_sampling: each image's S is drawn uniformly from the integers between, both ends included
        ("uniform-integer"), or from the real numbers between ("uniform-real").
    last_batch: "wrap" goes on with the next epoch's images where an epoch does not fill a batch;
        "drop" skips the images left over at an epoch's end.
    Raises InputError if no batch is full under "drop".
    """
    epochs, offsets = _visits(iteration, batch_size, images, last_batch)
    draw = generator(seed, Stream.AUGMENTATION, iteration)
    return Batch(
        images=np.array(
            [
                epoch_order(seed, int(epoch), images)[offset]
                for epoch, offset in zip(epochs, offsets, strict=True)
            ]
        ),
        scales=_draw_scales(draw, scales, batch_size, scale_sampling),
        tops=draw.random(batch_size),
        lefts=draw.random(batch_size),
        flips=draw.random(batch_size) < 0.5,
        shifts=(
            draw.normal(0, COLOUR_SHIFT_STD, size=(batch_size, 3)) @ np.asarray(colour_axes)
        ).astype(np.float32),
    )


def epochs_done(iterations: int, batch_size: int, images: int, last_batch: str = "wrap") -> float:
    """Epochs, whole and in part, that so many iterations make; skipped images count as passed."""
    if last_batch == "drop":
        return iterations / _full_batches(batch_size, images)
    return iterations * batch_size / images


def held_out(seed: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the training images to train on and of those to validate on, int64, ascending.

    A random 4% is held out, at least one image. seed: the run's, not a model's, so that no model
    trains on images that its parent was validated on.
    """
    order = generator(seed, Stream.HELD_OUT, 0).permutation(images)
    count = max(1, round(HELD_OUT_SHARE * images))
    return np.sort(order[count:]), np.sort(order[:count])


def _full_batches(batch_size: int, images: int) -> int:
    if images < batch_size:
        raise InputError(
            f"batches of {batch_size} cannot be filled from {images} training images; "
            "lower train.batch_size or set choices.last_batch: wrap"
        )
    return images // batch_size


def _visits(
    iteration: int, batch_size: int, images: int, last_batch: str
) -> tuple[np.ndarray, np.ndarray]:
    """Epoch, and place in its order, of each of a batch's samples."""
    match last_batch:
        case "wrap":
            first = iteration * batch_size
        case "drop":
            epoch, batch = divmod(iteration, _full_batches(batch_size, images))
            first = epoch * images + batch * batch_size
        case _:
            raise ValueError(f"unknown choice of the last batch {last_batch!r}")
    return np.divmod(np.arange(first, first + batch_size), images)


def _draw_scales(
    draw: np.random.Generator, scales: tuple[int, int], size: int, method: str
) -> np.ndarray:
    match method:
        case "uniform-integer":
            return draw.integers(scales[0], scales[1], size=size, endpoint=True)
        case "uniform-real":
            return draw.uniform(scales[0], scales[1], size=size)
    raise ValueError(f"unknown sampling of scales {method!r}")


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
