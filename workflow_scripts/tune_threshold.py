"""Find the threshold of merging by which the fewest boxes are wrong, on images of the training set.

All thresholds of a grid are tried, of each distance of boxes. Of those with the smallest error, the
middle of the longest run is taken. Validation images have no part in it: the errors that are
reported are theirs. The nets have learned from the training images, so errors here are lower.
`snakemake threshold` makes the boxes, and runs this: the example runs after it.

Example:

    python -m workflow_scripts.tune_threshold --truth results/miniature/truth/train.parquet \\
        --boxes results/miniature/tuning/boxes/train/*/dense_*.parquet --output mine
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.declarations import add_options, choices_of, from_options
from workflow_scripts.vgg.core.files import code_fingerprint
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.localisation.guesses import Clipping
from workflow_scripts.vgg.localisation.many_images import count_images
from workflow_scripts.vgg.localisation.merging import MERGE_DISTANCES, Merging
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.localisation.tuning import grid, wrong_at
from workflow_scripts.vgg.results.tuned_threshold import (
    errors_as_text,
    tuned,
    tuned_as_text,
    write_tuned,
)

TRIED = ("merge_distance", "merge_threshold")  # all are, so they are no options


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--boxes",
        nargs="+",
        required=True,
        help="of the true classes, that evaluate_boxes wrote of the same training images",
    )
    parser.add_argument("--truth", required=True, help="true boxes of the training images")
    for field in dataclasses.fields(Merging):
        if field.name not in TRIED:
            name = f"--{field.name.replace('_', '-')}"
            values, default = field.metadata["values"], field.default
            parser.add_argument(name, choices=values, default=default, help="default: %(default)s")
    for declaration in (Clipping, Scoring):
        add_options(parser, declaration)
    parser.add_argument(
        "--configured",
        nargs="*",
        type=of_distance,
        default=[],
        metavar="DISTANCE=THRESHOLD",
        help="to try besides those of the grid, and to compare with",
    )
    parser.add_argument("--threads", type=int, default=1, help="processes that merge")
    parser.add_argument("--output", required=True, help="path without suffix: .csv, .json")
    given = parser.parse_args(arguments)

    configured = dict(given.configured)
    thresholds = {
        distance: sorted({*grid(distance), *filter(None, [configured.get(distance)])})
        for distance in MERGE_DISTANCES
    }
    merging = Merging(0, merge_mean=given.merge_mean, box_rating=given.box_rating)
    images = count_images(given.boxes[0])
    with costs.working_on(images):
        outcomes = wrong_at(
            given.boxes,
            given.truth,
            thresholds,
            merging,
            from_options(Clipping, given),
            from_options(Scoring, given),
            given.threads,
        )
    choices = [name for name in choices_of(Merging, Clipping, Scoring) if name not in TRIED]
    described = {
        "images": images,
        "choices": {name: getattr(given, name) for name in choices},
        "boxes": [[path, read_metadata(path)] for path in given.boxes],
        "code_fingerprint": code_fingerprint(),
    }
    found = tuned(thresholds, outcomes, configured)
    write_tuned(given.output, found, described)
    print(f"{errors_as_text(found)}\n\n{tuned_as_text({**described, 'distances': found})}")


def of_distance(text: str) -> tuple[str, float]:
    """A distance and its threshold, as DISTANCE=THRESHOLD."""
    distance, _, number = text.partition("=")
    if distance not in MERGE_DISTANCES:
        known = ", ".join(MERGE_DISTANCES)
        raise argparse.ArgumentTypeError(f"{text}: expected DISTANCE=THRESHOLD, of {known}")
    threshold = float(number)
    if not 0 <= threshold < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a finite threshold of at least 0")
    return distance, threshold


if __name__ == "__main__":
    command.run(main)
