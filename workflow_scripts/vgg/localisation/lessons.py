"""What a training of a net of boxes learns from, and on what its plateaus are seen (appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    train_boxes, val_boxes: the files that they come from, for errors.
    """

    targets: BoxTargets
    validation: TrueBoxes
    train_boxes: str
    val_boxes: str

    def trained_on(self, places: np.ndarray | None) -> np.ndarray:
        """Those of the training images, by their places, that have a box; None stands for all."""
        boxed = self.targets.boxed
        return boxed if places is None else np.intersect1d(places, boxed)

    def validated_on(self, places: np.ndarray) -> np.ndarray:
        """Which validation images, by their places, ILSVRC tests localisation on: bool [places].

        Raises InputError if there is none.
        """
        scored = (self.validation.boxed & ~self.validation.blacklisted)[places]
        if not scored.any():
            raise InputError(f"{self.val_boxes}: no validation image has a box to test on")
        return scored

    def check_classes(self, labels: np.ndarray, classes: int) -> None:
        """Raise InputError unless each class has an image to learn a box of its own from.

        labels: int [images], of the images trained on.
        """
        if missing := sorted(set(range(classes)) - set(labels.tolist())):
            raise InputError(
                f"{self.train_boxes}: {len(missing)} of {classes} classes have no training image "
                f"with a box, first label {missing[0]}, so their boxes would stay random; give "
                "boxes of every class, or train one box for all, head: box-scr"
            )

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
    train_boxes: str | None,
    train_shards: Sequence[str],
    val_boxes: str | None,
    val_shards: Sequence[str],
    crop: int,
    readings: BoxReadings,
) -> Lessons:
    """The lessons of a training, from the files that `read_boxes` wrote.

    val_boxes, val_shards: those of training again, if a part of these images is held out.
    Raises InputError if boxes are not given, or no training image has one.
    """
    if not train_boxes:
        raise InputError("a net of boxes needs --train-boxes, which read_boxes writes")
    if not val_boxes:
        raise InputError("give --val-boxes, or --validation-set held-out")
    true = of_shards(train_boxes, Shards(train_shards))
    if not true.boxed.any():
        raise InputError(f"{train_boxes}: no training image has a box")
    targets = BoxTargets(true.starts, true.boxes, crop, readings)
    validation = true if val_boxes == train_boxes else of_shards(val_boxes, Shards(val_shards))
    return Lessons(targets, validation, train_boxes, val_boxes)
