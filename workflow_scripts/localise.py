"""Guess a label and a box, up to five times for each image, from the boxes of one or more nets.

The boxes of all nets and scales are united; of each class, the closest two are merged, and again,
until none are close; the merged box of the highest rating is taken (appendix A of the paper, and
§4.3 of OverFeat's).

Example:

    python -m workflow_scripts.localise --merge-threshold 0.65 \\
        --boxes results/miniature/boxes/val/*/dense_*.parquet --output mine.parquet
"""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Sequence

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, choices_of, from_options
from workflow_scripts.vgg.core.files import code_fingerprint
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.localisation.guesses import (
    Clipping,
    Guesses,
    guess,
    of_rows,
    write_guesses,
)
from workflow_scripts.vgg.localisation.many_images import count_images, found_of_each
from workflow_scripts.vgg.localisation.merging import Merging


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--boxes", nargs="+", required=True, help="that evaluate_boxes wrote, of the same images"
    )
    for declaration in (Merging, Clipping):
        add_options(parser, declaration)
    parser.add_argument("--threads", type=int, default=1, help="processes that merge")
    parser.add_argument("--output", required=True, help="guesses to write (parquet)")
    given = parser.parse_args(arguments)
    with costs.working_on(count_images(given.boxes[0])):
        guesses = localised(given)
    write_guesses(
        given.output,
        guesses,
        {
            "boxes": [(path, read_metadata(path)) for path in given.boxes],
            "choices": {name: getattr(given, name) for name in choices_of(Merging, Clipping)},
            "merge_threshold": given.merge_threshold,
            "code_fingerprint": code_fingerprint(),
        },
    )
    logging.info("%d images, %d guesses each", len(guesses.ids), guesses.classes.shape[1])


def localised(given: argparse.Namespace) -> Guesses:
    """The guesses of all images, by one process or several: they are the same."""
    find = functools.partial(
        guess, merging=from_options(Merging, given), clipping=from_options(Clipping, given)
    )
    return of_rows(
        (
            image.id,
            image.label,
            (image.width, image.height),
            image.predicted.classes,
            boxes,
            ratings,
        )
        for image, (boxes, ratings) in found_of_each(given.boxes, find, given.threads)
    )


if __name__ == "__main__":
    command.run(main)
