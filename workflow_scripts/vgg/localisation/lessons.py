"""What a training of a net of boxes learns from, and on what its plateaus are seen (appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..data.box_targets import BoxReadings, BoxTargets
from ..data.rescaled_images import RescaledImages
from ..data.shards import Shards
from .scoring import Scoring
from .true_boxes import TrueBoxes, of_shards, wrong_boxes
from .windows import sizes_of


@dataclass(frozen=True)
class Lessons:
    """The true boxes of a training's images and of those that it is validated on.

    targets: of the training shards. validation: of the shards that hold the validation images.
    """

    targets: BoxTargets
    validation: TrueBoxes

    def trained_on(self, places: np.ndarray | None) -> np.ndarray:
        """Those of the training images, by their places, that have a box; None stands for all."""
        boxed = self.targets.boxed
        return boxed if places is None else np.intersect1d(places, boxed)

    def validated_on(self, places: np.ndarray) -> np.ndarray:
        """Which validation images, by their places, ILSVRC tests localisation on: bool [places]."""
        return (self.validation.boxed & ~self.validation.blacklisted)[places]

    def wrong(self, images: RescaledImages, found: np.ndarray) -> np.ndarray:
        """Whether the box found of each of the validation images is wrong, bool [images]."""
        sizes, _ = sizes_of(images)
        return wrong_boxes(self.validation.at(images.wanted), found, sizes, Scoring())

    def checksum(self) -> str:
        """Of all that the training's result depends on."""
        trained = TrueBoxes(
            self.targets.starts, self.targets.boxes, np.zeros(len(self.targets.starts) - 1, bool)
        )
        return trained.checksum() + self.validation.checksum()


def read_lessons(
    train_boxes: str | Path | None,
    train_shards: Sequence[str],
    val_boxes: str | Path | None,
    val_shards: Sequence[str],
    crop: int,
    readings: BoxReadings,
) -> Lessons:
    """The lessons of a training.

    val_boxes: None if the validation images are a part of the training shards.
    Raises InputError if boxes are not given, or no training image has one.
    """
    if not train_boxes:
        raise InputError("a net of boxes needs --train-boxes, which read_boxes writes")
    true = of_shards(train_boxes, Shards(train_shards))
    if not true.boxed.any():
        raise InputError(f"{train_boxes}: no training image has a box")
    targets = BoxTargets(true.starts, true.boxes, crop, readings)
    return Lessons(targets, of_shards(val_boxes, Shards(val_shards)) if val_boxes else true)
