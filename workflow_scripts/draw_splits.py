"""Draw the random splits of a data set: which images are learned from, chosen by, and tested on.

They are a function of the seed and of images' names alone, and are written down (appendix B).

Example:

    python -m workflow_scripts.draw_splits --splits 3 --train-per-class 12 \\
        --examples results/miniature/examples/caltech101.parquet --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.randomness import Stream, generator
from workflow_scripts.vgg.data.examples import read_examples
from workflow_scripts.vgg.transfer.splits import drawn_split, write_splits


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--examples", required=True, help="the data set's (parquet)")
    parser.add_argument("--splits", type=int, required=True, help="number of splits")
    parser.add_argument(
        "--train-per-class",
        type=int,
        required=True,
        help="images to learn from, a fifth of them to choose C by",
    )
    parser.add_argument(
        "--test-per-class", type=int, help="at most; all that are left if not given"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the splits")
    parser.add_argument("--output", required=True, help="splits to write (parquet)")
    given = parser.parse_args(arguments)
    if given.splits < 1 or given.train_per_class < 2:
        parser.error("--splits is at least 1, and --train-per-class 2, to learn from and choose by")
    if given.test_per_class is not None and given.test_per_class < 1:
        parser.error("--test-per-class is at least 1")
    examples = read_examples(given.examples)
    if any(examples.parts):
        raise InputError(f"{given.examples}: its parts are drawn already; it has no random splits")
    classes = [examples.classes[place] for place in examples.labels.argmax(1)]
    generators = partial(generator, given.seed, Stream.SPLITS)
    sizes = given.train_per_class, given.test_per_class
    try:
        splits = [
            drawn_split(examples.ids, classes, number, generators, *sizes)
            for number in range(given.splits)
        ]
    except InputError as error:
        raise InputError(f"{given.examples}: {error}") from error
    drawn_from = {"seed": given.seed, "train_per_class": given.train_per_class}
    write_splits(
        given.output, examples.ids, splits, {**drawn_from, "test_per_class": given.test_per_class}
    )
    for number, split in enumerate(splits):
        logging.info(
            "split %d: %d to learn from, %d to choose by, %d to test on",
            number,
            *map(len, (split.learn, split.validate, split.test)),
        )


if __name__ == "__main__":
    command.run(main)
