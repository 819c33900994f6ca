"""The threshold of merging, tuned on training images: the paper and OverFeat do not give theirs.

All thresholds of a grid are tried, of each distance of boxes. What is looked at is test 2 with the
true class alone, so that no classifier's errors are in the way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.files import InputError
from .box_files import BoxedImage
from .guesses import Clipping, united
from .many_images import found_of_each
from .merging import Merging, merged_at
from .scoring import Scoring, wrong
from .true_boxes import of_images, pixels_of

STEPS = 40  # of a grid, which has both ends
# By distance, how far a grid goes from 0: overlap is a share, and all else seldom exceeds it.
ENDS = {"centres-and-overlap": 2.0, "overlap-only": 1.0, "literal": 0.5}


def grid(distance: str) -> list[float]:
    """The thresholds that are tried of a distance."""
    return np.round(np.linspace(0, ENDS[distance], STEPS + 1), 4).tolist()


def best_of(errors: Sequence[float]) -> tuple[int, int, int]:
    """Which of ascending thresholds is best, and the first and last of its plateau.

    The best have the smallest error. Of these, the middle of the longest run without a gap is
    taken, as the one that is least by chance: the first such run, and the lower of two in the
    middle.
    """
    is_best = np.array(errors) == min(errors)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_best, [False]]).astype(int)))
    firsts, ends = edges[::2], edges[1::2]
    longest = int((ends - firsts).argmax())
    first, last = int(firsts[longest]), int(ends[longest]) - 1
    return (first + last) // 2, first, last


def wrong_at(
    boxes: Sequence[str | Path],
    truth: str | Path,
    thresholds: Mapping[str, Sequence[float]],
    merging: Merging,
    clipping: Clipping,
    scoring: Scoring,
    threads: int = 1,
) -> dict[str, np.ndarray]:
    """Whether each image is wrong at each threshold, by distance: bool [thresholds, images].

    boxes: files of the true classes' boxes. truth: the true boxes. thresholds: by distance,
    ascending. merging: its own distance and threshold have no part in it. threads: processes.
    Raises InputError if a file does not fit, or an image has no true box.
    """
    find = functools.partial(
        best_boxes, thresholds=thresholds, merging=merging, clipping=clipping
    )  # fmt: skip
    ids, sizes, found = [], [], []
    for image, best in found_of_each(boxes, find, threads):
        if image.predicted.classes.tolist() != [image.label]:
            raise InputError(
                f"{boxes[0]}: {image.id} has boxes of other classes than its own; make it without "
                "--posteriors"
            )
        ids.append(image.id)
        sizes.append((image.width, image.height))
        found.append(best)
    true = of_images(truth, ids)
    if not true.boxed.all():
        raise InputError(f"{truth}: {ids[int(true.boxed.argmin())]} has no true box")
    corners = true.in_pixels(np.array(sizes))
    labels = np.zeros(len(ids), np.int64)
    outcomes = {}
    for distance, own in thresholds.items():
        guessed = np.stack([best[distance] for best in found]).astype(np.float64)
        outcomes[distance] = np.stack(
            [
                wrong(labels, labels[:, None], guessed[:, [at]], true.starts, corners, scoring)
                for at in range(len(own))
            ]
        )
    return outcomes


def best_boxes(
    images: Sequence[BoxedImage],
    thresholds: Mapping[str, Sequence[float]],
    merging: Merging,
    clipping: Clipping,
) -> dict[str, np.ndarray]:
    """The best rated box of an image's one class at each threshold, by distance: [thresholds, 4].

    They are first and last pixels, int64, as `guess` gives them. images: as for `guess`.
    """
    first = images[0]
    size = np.array([[first.width, first.height]])
    boxes, scores = united(images, 0)
    found = {}
    for distance, own in thresholds.items():
        by_distance = dataclasses.replace(merging, merge_distance=distance)
        at_each = merged_at(own, boxes, scores, by_distance, unit=int(size.max()))
        corners = np.array([merged.best()[0] for merged in at_each])
        sizes = size.repeat(len(corners), 0) if clipping.box_clipping == "clipped" else None
        found[distance] = pixels_of(corners, sizes)
    return found
