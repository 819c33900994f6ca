"""True boxes in the order in which shards hold the images: to train on, and to test against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.checksums import checksum
from ..core.files import InputError
from ..data.shards import Shards
from ..data.truth import read_truth
from .scoring import Scoring, wrong


@dataclass(frozen=True)
class TrueBoxes:
    """The true boxes of some images, in their order.

    starts: int64 [images + 1]; boxes[starts[i]:starts[i + 1]] are those of image i.
    boxes: float64 [boxes, 4], corners as shares of the image's width and height.
    blacklisted: bool [images], whether ILSVRC leaves the image out of localisation's test.
    """

    starts: np.ndarray
    boxes: np.ndarray
    blacklisted: np.ndarray

    @property
    def boxed(self) -> np.ndarray:
        """Which images have a box, bool [images]."""
        return np.diff(self.starts) > 0

    def at(self, places: np.ndarray) -> TrueBoxes:
        """Those of some of the images, in the order given."""
        counts = np.diff(self.starts)[places]
        starts = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.starts[places] - starts[:-1], counts) + np.arange(starts[-1])
        return TrueBoxes(starts, self.boxes[rows], self.blacklisted[places])

    def in_pixels(self, sizes: np.ndarray) -> np.ndarray:
        """The boxes as ILSVRC has them, float64 [boxes, 4]: their first and last pixels.

        sizes: int [images, 2], (width, height) of the images.
        """
        edges = np.rint(self.boxes * np.tile(sizes, 2)[self.images_of_boxes])
        return edges - np.array([0, 0, 1, 1])

    @property
    def images_of_boxes(self) -> np.ndarray:
        """The image that each box is of, int64 [boxes]."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def checksum(self) -> str:
        """Of all that is here."""
        return f"{checksum(self.starts, self.boxes, self.blacklisted):016x}"


def of_images(path: str | Path, ids: Sequence[str]) -> TrueBoxes:
    """The true boxes of images, in the order of `ids`, from the file that `read_boxes` wrote.

    Raises InputError if the file is damaged or lacks one of the images.
    """
    truth = read_truth(path)
    place_of = {name: place for place, name in enumerate(truth.ids)}
    try:
        places = np.array([place_of[name] for name in ids], np.int64)
    except KeyError as error:
        raise InputError(
            f"{path}: lacks {error.args[0]}; it is of other images, delete it and run again"
        ) from None
    return TrueBoxes(truth.starts, truth.boxes, truth.blacklisted).at(places)


def of_shards(path: str | Path, shards: Shards) -> TrueBoxes:
    """The same for all images of some shards."""
    return of_images(path, list(shards.ids()))


def pixels_of(corners: np.ndarray, sizes: np.ndarray | None) -> np.ndarray:
    """Predicted boxes as ILSVRC takes them, int64 [..., 4]: their first and last pixels.

    corners: float [images, ..., 4], coordinates in the image. sizes: int [images, 2], (width,
    height); boxes are clipped to the image, unless None. Each has a pixel at least.
    """
    first, end = np.rint(corners[..., :2]), np.rint(corners[..., 2:])
    if sizes is not None:
        limits = sizes.reshape(len(sizes), *[1] * (corners.ndim - 2), 2)
        first, end = first.clip(0, limits - 1), end.clip(1, limits)
    return np.concatenate([first, np.maximum(end - 1, first)], axis=-1).astype(np.int64)


def wrong_boxes(
    true: TrueBoxes, found: np.ndarray, sizes: np.ndarray, scoring: Scoring
) -> np.ndarray:
    """Whether the box of each image's own class is wrong (test 1), bool [images].

    found: float [images, 4], corners in pixels of images of `sizes`, (width, height) [images, 2].
    """
    labels = np.zeros(len(found), np.int64)
    return wrong(
        labels,
        labels[:, None],
        pixels_of(found, sizes)[:, None].astype(np.float64),
        true.starts,
        true.in_pixels(sizes),
        scoring,
    )
