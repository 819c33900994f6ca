"""What a net learns to predict of an image's boxes (paper, appendix A): which one, in which crop.

Everything here is a pure function of (seed, iteration), as the batch sequence is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.declarations import declared
from ..core.randomness import Stream, generator
from .boxes import areas, centres_of, mirrored
from .images import pixels_at, rescaled_size
from .sampling import Batch

BOX_UNITS = ("crop-fractions", "crop-pixels")
BOX_OF_MANY = ("random", "largest")
BOX_CROPS = ("half-inside", "any")
BOX_EXTENTS = ("whole", "clipped")
CROPS_DRAWN = 10  # of which the first is taken that shows enough of the box
LEAST_INSIDE = 0.5  # of the box's area


@dataclass(frozen=True)
class BoxReadings:
    """Readings of how a box becomes a target (appendix A leaves them open)."""

    box_units: str = declared(
        "crop-fractions", "unit of the four numbers", values=BOX_UNITS, choice=True
    )
    box_of_many: str = declared(
        "random", "which of several boxes an image stands for", values=BOX_OF_MANY, choice=True
    )
    box_crops: str = declared(
        "half-inside",
        "crops that hold half of the box's area, or any crops",
        values=BOX_CROPS,
        choice=True,
    )
    box_extent: str = declared(
        "whole", "boxes that leave the crop: whole, or clipped", values=BOX_EXTENTS, choice=True
    )


def in_units(fractions: np.ndarray, crop: int, units: str) -> np.ndarray:
    """Numbers given as fractions of the crop's side, in `box_units`."""
    return fractions * crop if units == "crop-pixels" else fractions


def in_fractions(numbers: np.ndarray, crop: int, units: str) -> np.ndarray:
    """Numbers in `box_units` as fractions of the crop's side."""
    return numbers / crop if units == "crop-pixels" else numbers


@dataclass(frozen=True)
class BoxTargets:
    """The boxes of a training set's images, and how targets are made of them.

    starts: int64 [images + 1], so that boxes[starts[i]:starts[i + 1]] are those of image i, by its
        place in the shards.
    boxes: float64 [boxes, 4], corners relative to the image's width and height.
    """

    starts: np.ndarray
    boxes: np.ndarray
    crop: int
    readings: BoxReadings = BoxReadings()

    @property
    def boxed(self) -> np.ndarray:
        """Places of the images that have a box, int64, ascending."""
        return np.flatnonzero(np.diff(self.starts))

    def of_batch(
        self,
        seed: int,
        iteration: int,
        batch: Batch,
        images: np.ndarray,
        sizes: tuple[np.ndarray, np.ndarray],
    ) -> tuple[Batch, np.ndarray]:
        """The batch with crops that show the boxes, and the targets float32 [samples, 4].

        images: int64 [samples], places in the shards of the batch's images, all with a box.
        sizes: heights and widths, int32 [samples], of the images in the shards.
        A target is (x and y of the centre, width, height) in the crop's frame, mirrored with it.

        The numbers drawn have a stream of their own and are as many whatever becomes of them.
        """
        draw = generator(seed, Stream.BOXES, iteration)
        picked = draw.random(len(images))
        places = draw.random((len(images), CROPS_DRAWN, 2))  # top and left in [0, 1)
        boxes = self._picked(images, picked)
        scales = [pixels_at(scale, self.crop) for scale in batch.scales.tolist()]
        rescaled = np.array(
            [
                rescaled_size(height, width, scale)
                for height, width, scale in zip(*map(np.ndarray.tolist, sizes), scales, strict=True)
            ]
        )
        boxes = boxes * np.tile(rescaled[:, ::-1], 2)  # now in pixels of the rescaled image
        corners = (places * (rescaled - self.crop + 1)[:, None]).astype(np.int64)[..., ::-1]
        taken = self._shown(boxes, corners)
        samples = np.arange(len(images))
        fractions = (boxes - np.tile(corners[samples, taken], 2)) / self.crop
        if self.readings.box_extent == "clipped":
            fractions = fractions.clip(0, 1)
        fractions = np.where(batch.flips[:, None], mirrored(fractions), fractions)
        targets = in_units(centres_of(fractions), self.crop, self.readings.box_units)
        tops, lefts = places[samples, taken].T
        return replace(batch, tops=tops, lefts=lefts), targets.astype(np.float32)

    def _picked(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The box that each image stands for, float64 [samples, 4]; numbers in [0, 1) pick it."""
        first, end = self.starts[images], self.starts[images + 1]
        if self.readings.box_of_many == "largest":
            sizes = areas(self.boxes, "continuous")
            return self.boxes[[a + sizes[a:b].argmax() for a, b in zip(first, end, strict=True)]]
        return self.boxes[first + (numbers * (end - first)).astype(np.int64)]

    def _shown(self, boxes: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """Which crop is taken of each sample's, int64 [samples].

        boxes: [samples, 4], and corners: (left, top) [samples, crops, 2], in pixels.
        """
        if self.readings.box_crops == "any":
            return np.zeros(len(boxes), np.int64)
        first = np.maximum(boxes[:, None, :2], corners)
        last = np.minimum(boxes[:, None, 2:], corners + self.crop)
        common = areas(np.concatenate([first, last], axis=-1), "continuous")
        inside = common / areas(boxes, "continuous")[:, None]
        enough = inside >= LEAST_INSIDE
        return np.where(enough.any(1), enough.argmax(1), inside.argmax(1))
