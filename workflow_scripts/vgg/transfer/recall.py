"""Mean class recall, appendix B's measure for Caltech: the mean over classes of the share of a
class's test images that are given to it. It is accuracy only if all classes are of one size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.files import InputError

# A split's test images, int [tests], as places in the data set, and their predicted classes, alike
Predicted = tuple[np.ndarray, np.ndarray]


def predicted_classes(scores: np.ndarray) -> np.ndarray:
    """The class of the greatest score, int64 [examples]; the first of equal ones.

    scores: float [examples, classes]. Raises InputError for a score that is NaN.
    """
    if (missing := np.isnan(scores).any(1)).any():
        raise InputError(
            f"example {missing.argmax()} has a score that is no number (NaN), so it has no greatest"
            " one; describe the images and train the classifiers again"
        )
    return scores.argmax(1)


def class_recalls(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[float | None]:
    """Each class's recall in percent; None for a class without an example.

    labels, predicted: int [examples], labels from 0 to classes − 1.
    Raises ValueError for other labels, or numbers of examples that differ.
    """
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise ValueError(f"{labels.shape} labels and {predicted.shape} predictions do not match")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"a label is not among the {classes} classes")
    totals = np.bincount(labels, minlength=classes).tolist()
    rights = np.bincount(labels[labels == predicted], minlength=classes).tolist()
    return [
        100 * right / total if total else None for right, total in zip(rights, totals, strict=True)
    ]


def mean_class_recall(scores: np.ndarray, labels: np.ndarray) -> tuple[float, list[float | None]]:
    """The mean over classes that have an example, and each class's recall; all in percent.

    scores: float [examples, classes]. labels: int [examples]. A class without an example is None,
    for the caller to tell of.
    Raises InputError if there is no example, and what `predicted_classes`, `class_recalls` raise.
    """
    recalls = class_recalls(labels, predicted_classes(scores), scores.shape[1])
    return _mean(recalls), recalls


@dataclass(frozen=True)
class SplitRecalls:
    """Mean class recalls on several random splits of a data set, in percent.

    mean, sd: of `per_split`; sd, the sample standard deviation, is None for one split. It is the
    number after "±" in Table 11, if that is what is usual, and no test-set interval: splits share
    images.
    per_class: [splits][classes]; None where a split tests no image of a class, which is then not
    in that split's mean.
    """

    mean: float
    sd: float | None
    per_split: list[float]
    per_class: list[list[float | None]]


def over_splits(splits: Sequence[Predicted], labels: np.ndarray, classes: int) -> SplitRecalls:
    """Mean class recall of each split, and over them.

    splits: pairs of test places and predicted classes, int [tests] each.
    labels: int [images], of the whole data set.
    Raises InputError if there is no split or one tests nothing; and what `class_recalls` raises.
    """
    if not splits:
        raise InputError("there is no split to measure recall on; the data set needs one or more")
    per_class = [class_recalls(labels[places], predicted, classes) for places, predicted in splits]
    per_split = [_mean(recalls) for recalls in per_class]
    spread = statistics.stdev(per_split) if len(per_split) > 1 else None
    return SplitRecalls(statistics.fmean(per_split), spread, per_split, per_class)


def _mean(recalls: list[float | None]) -> float:
    """The mean of those that there are. Raises InputError if there is none."""
    known = [recall for recall in recalls if recall is not None]
    if not known:
        raise InputError("no class has a test image, so there is no recall; add images to test on")
    return statistics.fmean(known)
