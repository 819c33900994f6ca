"""Write a submission for the ILSVRC test server: up to five ILSVRC2012_IDs an image, best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workflow_scripts.vgg import command
from workflow_scripts.vgg.files import InputError, whole_file
from workflow_scripts.vgg.parquet import read_frame, rows_of
from workflow_scripts.vgg.posteriors import mean_posteriors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--posteriors", nargs="+", required=True, help="of the test set; averaged")
    parser.add_argument("--classes", required=True, help="classes.parquet")
    parser.add_argument("--images", type=int, help="that the test set has; others are refused")
    parser.add_argument("--output", required=True, help="text file to write")
    given = parser.parse_args(arguments)
    images = rows_of(given.posteriors[0])
    if given.images is not None and images != given.images:
        raise InputError(
            f"{given.posteriors[0]}: holds {images} images, but the test server wants a line for "
            f"each of {given.images}; packing.json lists images that were skipped"
        )
    classes = read_frame(given.classes).sort_values("label")
    ilsvrc2012_ids = classes["ilsvrc2012_id"].to_numpy()
    with whole_file(given.output) as temporary, open(temporary, "w") as file:
        for _, _, posteriors in mean_posteriors(given.posteriors):
            best = np.argsort(-posteriors, axis=1, kind="stable")[:, :5]
            np.savetxt(file, ilsvrc2012_ids[best], fmt="%d")


if __name__ == "__main__":
    command.run(main)
