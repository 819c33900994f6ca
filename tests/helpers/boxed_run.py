"""Boxes of windows, true boxes and guesses for a run's validation images, one of them by hand."""

import numpy as np

from tests.helpers.pictured_run import WANTED, row_boxes
from workflow_scripts import localise
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.truth import Truth, write_truth
from workflow_scripts.vgg.localisation.box_files import BoxedImage, Predicted, write_boxes

THRESHOLD = 0.6
GRIDS = ((1, 2), (2, 2), (2, 3))  # rows and columns of windows, of one row's nets and scales
# Of the image made by hand: eight windows' boxes lie two pixels to either side of the true box,
# four in a corner.
TRUE, CORNER, SCORE, LOW_SCORE = (20.0, 16.0, 52.0, 48.0), (0.0, 0.0, 9.0, 7.0), 0.75, 0.125


def guesses_path(results):
    return results / f"localisation/val/{WANTED['boxes']['row'].partition('/')[2]}.parquet"


def truth_path(results):
    return results / "truth/val.parquet"


def boxes_paths(results):
    return [own.path(results, "val") for own in row_boxes()]


def words_of(results):
    """The options by which examine_boxes finds all that is here."""
    words = ["--guesses", guesses_path(results), "--truth", truth_path(results)]
    return [str(word) for word in [*words, "--boxes", *boxes_paths(results)]]


def write_boxed(results, shard_paths):
    """Write the truth, the boxes and what `localise` makes of them."""
    shards, draw = Shards(shard_paths("val")), np.random.default_rng(8)
    ids = sorted(shards.ids())
    place_of = {name: place for place, name in enumerate(shards.ids())}
    truth, boxed = [], [[] for _ in GRIDS]
    for number, name in enumerate(ids):
        place = place_of[name]
        label = int(shards.labels[place])
        size = np.array([shards.widths[place], shards.heights[place]])
        others = draw.permutation([k for k in range(10) if k != label])
        classes = others[:5] if number % 6 == 5 else draw.permutation([label, *others[:4]])
        own = [drawn_box(draw, size) for _ in range(1 + (number % 4 == 3))]
        if number == 0:
            own = [np.array(TRUE)]
        truth.append(np.array(own) / np.tile(size, 2))
        noise = 0.02 if number % 2 else 0.25  # so that some are right, and some are not
        for part, (rows, columns) in enumerate(GRIDS):
            shape = (5, rows, columns)
            jitter = draw.normal(0, noise, (*shape, 4)) * np.tile(size, 2)
            corners = np.array(own[-1]) + jitter
            corners = np.concatenate(
                [
                    np.minimum(corners[..., :2], corners[..., 2:]),
                    np.maximum(corners[..., :2], corners[..., 2:]) + 1,
                ],
                axis=-1,
            )
            scores = draw.uniform(0, 0.3, shape)
            if number == 0:
                corners[classes == label], scores[classes == label] = by_hand(part, rows, columns)
            predicted = Predicted(
                classes.astype(np.int32), corners.astype(np.float32), scores.astype(np.float32)
            )
            boxed[part].append(BoxedImage(name, label, *size.tolist(), predicted))
    counts = [len(own) for own in truth]
    sizes = [shards.widths, shards.heights]
    order = [place_of[name] for name in ids]
    blacklisted = np.arange(len(ids)) == 2
    write_truth(
        truth_path(results),
        Truth(
            ids,
            np.cumsum([0, *counts]),
            np.concatenate(truth),
            *(side[order].astype(np.int32) for side in sizes),
            blacklisted,
        ),
        {},
    )
    for own, path, images in zip(row_boxes(), boxes_paths(results), boxed, strict=True):
        write_boxes(path, images, {"model": own.model, "method": own.method, "Q": own.Q})
    words = ["--boxes", *boxes_paths(results), "--merge-threshold", str(THRESHOLD)]
    localise.main([*words, "--output", str(guesses_path(results))])


def drawn_box(draw, size):
    """A box of whole pixels within an image, of 30 to 90% of either side."""
    sides = np.rint(draw.uniform(0.3, 0.9, 2) * size)
    first = np.floor(draw.uniform(0, 1, 2) * (size - sides + 1))
    return np.concatenate([first, first + sides])


def by_hand(part, rows, columns):
    """Boxes [rows, columns, 4] and scores [rows, columns] of a net and scale.

    All in all there are four windows' boxes to the left, four to the right, and four in the corner.
    """
    kinds = {0: "LR", 1: "LRCC", 2: "LLRRCC"}[part]
    shift = {"L": -2.0, "R": 2.0}
    boxes = [
        CORNER if kind == "C" else (TRUE[0] + shift[kind], TRUE[1], TRUE[2] + shift[kind], TRUE[3])
        for kind in kinds
    ]
    scores = [LOW_SCORE if kind == "C" else SCORE for kind in kinds]
    return np.reshape(boxes, (rows, columns, 4)), np.reshape(scores, (rows, columns))
