"""Guess a label and a box, up to five times for each image, from the boxes of one or more nets.

The boxes of all nets and scales are united; of each class, the closest two are merged, and again,
until none are close; the merged box of the highest rating is taken (appendix A of the paper, and
§4.3 of OverFeat's).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, choices_of, from_options
from workflow_scripts.vgg.core.files import InputError, code_fingerprint
from workflow_scripts.vgg.core.parquet import read_metadata, rows_of
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.localisation.box_files import joined
from workflow_scripts.vgg.localisation.guesses import (
    Clipping,
    Guesses,
    guess,
    of_rows,
    write_guesses,
)
from workflow_scripts.vgg.localisation.merging import Merging

TOGETHER = 16  # images that a process is given at a time
IN_MEMORY = 4096  # images at a time


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
    if given.threads < 1:
        raise InputError(f"--threads {given.threads}: expected 1 or more")
    images = rows_of(given.boxes[0])
    if not images:
        raise InputError(f"{given.boxes[0]}: holds no images")
    with costs.working_on(images):
        guesses = localised(given, images)
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


def localised(given: argparse.Namespace, images: int) -> Guesses:
    """The guesses of all images, by one process or several: they are the same."""
    find = functools.partial(
        guess, merging=from_options(Merging, given), clipping=from_options(Clipping, given)
    )
    progress = Progress(images, "images")
    with contextlib.ExitStack() as stack:
        mapped: Callable = map
        if given.threads > 1:
            context = multiprocessing.get_context("forkserver")
            pool = stack.enter_context(ProcessPoolExecutor(given.threads, context))
            mapped = functools.partial(pool.map, chunksize=TOGETHER)
        rows = []
        images_left = joined(given.boxes)
        while some := list(islice(images_left, IN_MEMORY)):
            for own, (boxes, ratings) in zip(some, mapped(find, some), strict=True):
                first = own[0]
                size = (first.width, first.height)
                classes = first.predicted.classes
                rows.append((first.id, first.label, size, classes, boxes, ratings))
                progress.update(1)
    return of_rows(rows)


if __name__ == "__main__":
    command.run(main)
