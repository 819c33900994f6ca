"""Guess the same box for every image of a split, to hold localisation against.

The box is the middle half of the image, or the mean of the training boxes; its classes are the five
likeliest by some posteriors, or the true one.

Example:

    python -m workflow_scripts.guess_one_box --shards results/miniature/shards/val/*.arrow \\
        --mean-of results/miniature/truth/train.parquet --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.files import InputError, code_fingerprint
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.data.truth import read_truth
from workflow_scripts.vgg.localisation.guesses import Guesses, guessed_classes, write_guesses
from workflow_scripts.vgg.localisation.scoring import central_box, mean_box
from workflow_scripts.vgg.localisation.true_boxes import pixels_of


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--mean-of", help="true boxes whose mean is guessed; the image's middle half if not given"
    )
    parser.add_argument(
        "--posteriors", nargs="+", help="whose mean names five classes; the true one if not given"
    )
    parser.add_argument("--shards", nargs="+", required=True, help="the split's shards")
    parser.add_argument("--output", required=True, help="guesses to write (parquet)")
    given = parser.parse_args(arguments)
    box = central_box()
    if given.mean_of:
        boxes = read_truth(given.mean_of).boxes
        if not len(boxes):
            raise InputError(f"{given.mean_of}: has no box, so no mean")
        box = mean_box(boxes)
    shards = Shards(given.shards)
    ids = np.array(list(shards.ids()))
    order = np.argsort(ids)
    ids, labels = ids[order].tolist(), shards.labels[order]
    sizes = np.stack([shards.widths, shards.heights], 1)[order]
    classes = guessed_classes(given.posteriors, ids, labels, given.shards[0])
    corners = box * np.tile(sizes, 2)
    pixels = np.repeat(pixels_of(corners, sizes)[:, None], classes.shape[1], axis=1)
    write_guesses(
        given.output,
        Guesses(ids, labels, sizes, classes, pixels, np.ones(classes.shape)),
        {"boxes": [], "box": box.tolist(), "code_fingerprint": code_fingerprint()},
    )
    costs.note(images=len(ids))
    logging.info("%d images, the box %s of each", len(ids), np.round(box, 3).tolist())


if __name__ == "__main__":
    command.run(main)
