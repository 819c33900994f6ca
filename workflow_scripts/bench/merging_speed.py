"""Merging the boxes of an image's five classes: ours beside a search of all pairs at each merge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from workflow_scripts.vgg.localisation.merging import Merging, distances, merged

from .measuring import Growth, Line, alternate, fixed, stopwatch

CLASSES = 5
# Rows and columns of places, from a central crop's few to the union of nets and scales
GRIDS = ((2, 4), (4, 6), (6, 10), (9, 12), (12, 18))
IMAGES = 10
FEWER_IMAGES, FEW_RUNS = 1, 2  # where the rival takes seconds for an image
FEW_FROM, JUDGED, MOST_MS = 200, 108, 50  # places; and milliseconds for an image of 108
CROP, STRIDE, NOISE = 224, 32, 0.08
MERGING = Merging(1.0)  # by which most boxes around an object are merged


def predictions(generator: np.random.Generator, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float64 [classes, places, 4], as nets predict them, and scores [classes, places].

    Each place has a window; the more of the object it shows, the nearer its box is to the object's,
    and otherwise it is in the middle of the window. Noise is a share of the window's side.
    """
    rows, columns = next((r, c) for r, c in GRIDS if r * c == places)
    down, across = np.divmod(np.arange(places), columns) * np.array(STRIDE)
    windows = np.stack([across, down, across + CROP, down + CROP], 1).astype(float)
    extent = np.array([(columns - 1) * STRIDE + CROP, (rows - 1) * STRIDE + CROP])
    sides = extent * generator.uniform(0.3, 0.9, 2)
    first = generator.uniform(0, 1, 2) * (extent - sides)
    thing = np.concatenate([first, first + sides])
    inner = np.maximum(0, np.minimum(windows[:, 2:], thing[2:]) - np.maximum(windows[:, :2], first))
    seen = inner.prod(1) / min(sides.prod(), CROP**2)
    middle = windows + CROP / 4 * np.array([1, 1, -1, -1])
    clean = seen[:, None] * thing + (1 - seen[:, None]) * middle
    boxes = clean + generator.normal(size=(CLASSES, places, 4)) * NOISE * CROP
    return boxes, seen * generator.random((CLASSES, places))


def all_pairs_each_time(
    boxes: np.ndarray, scores: np.ndarray, merging: Merging, unit: float
) -> tuple[np.ndarray, np.ndarray]:
    """The straightforward way: all distances in numpy, the smallest merged, and again.

    Merged boxes and their summed scores, for the weighted mean.
    """
    order = np.lexsort((scores, *boxes.T[::-1]))
    boxes, ratings, counts = boxes[order], scores[order], np.ones(len(boxes))
    while len(boxes) > 1:
        table = distances(boxes.T[:, :, None], boxes.T[:, None], merging.merge_distance, unit)
        np.fill_diagonal(table, np.inf)
        one, other = np.unravel_index(table.argmin(), table.shape)
        if table[one, other] > merging.merge_threshold:
            break
        pair = [one, other]
        boxes[one] = np.average(boxes[pair], axis=0, weights=counts[pair])
        ratings[one], counts[one] = ratings[pair].sum(), counts[pair].sum()
        boxes, ratings, counts = (np.delete(a, other, axis=0) for a in (boxes, ratings, counts))
    return boxes, ratings


def milliseconds(merge: Callable, images: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Milliseconds an image, on one core."""

    def work() -> None:
        for boxes, scores in images:
            for own, rated in zip(boxes, scores, strict=True):
                merge(own, rated, MERGING, 500.0)

    return 1000 * stopwatch(work) / len(images)


def images_of(places: int, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes and scores of some images, the same at each call."""
    generator = np.random.default_rng(places)
    return [predictions(generator, places) for _ in range(number)]


def lines() -> list[Line]:
    """The lines on merging."""
    found = []
    for rows, columns in GRIDS:
        places = rows * columns
        few = places >= FEW_FROM
        images = images_of(places, FEWER_IMAGES if few else IMAGES)
        measured = alternate(
            {
                "ours": partial(milliseconds, merged, images),
                "all pairs at each merge": partial(milliseconds, all_pairs_each_time, images),
            },
            seconds=True,
            runs=FEW_RUNS if few else None,
        )
        judged = places == JUDGED
        found.append(
            Line(
                "merging",
                f"{CLASSES} classes of an image × {places} places",
                "ms/image",
                ours=measured["ours"],
                rival=measured["all pairs at each merge"],
                limit=fixed("at most", MOST_MS, seconds=True) if judged else None,
                least_over_limit=1.0 if judged else None,
            )
        )
    return found


def growth() -> list[Growth]:
    """Seconds for an image as its places become more."""
    sizes = [rows * columns for rows, columns in GRIDS]
    seconds = []
    for places in sizes:
        images = images_of(places, IMAGES)
        seconds.append(min(milliseconds(merged, images) for _ in range(3)) / 1000)
    return [
        Growth(
            "merging",
            f"{CLASSES} classes of an image",
            "places",
            sizes=sizes,
            seconds=seconds,
            note="one core",
        )
    ]
