"""Write a submission for the ILSVRC test server: up to five ILSVRC2012_IDs an image, best first.

The server takes the lines for the images in the order of their names. An image that packing left
out has no posteriors; its line is that of the first five classes, since it needs one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.parquet import read_frame
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.sources.devkit import as_file_name
from workflow_scripts.vgg.results.submissions import (
    check_complete,
    lines_of_labels,
    submitted_labels,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--posteriors", nargs="+", required=True, help="of the test set; averaged")
    parser.add_argument("--classes", required=True, help="classes.parquet")
    parser.add_argument("--index", required=True, help="index of the test set: all its images")
    parser.add_argument(
        "--packing", nargs="+", required=True, help="packing reports of its shards (JSON)"
    )
    parser.add_argument("--output", required=True, help="text file to write")
    given = parser.parse_args(arguments)
    images = sorted(read_frame(given.index, ["id"])["id"], key=as_file_name)
    reports = [read_json(path, ["skipped"]) for path in given.packing]
    skipped = {image["id"] for report in reports for image in report["skipped"]}
    submitted = submitted_labels(given.posteriors)
    check_complete(submitted, images, skipped, posteriors=given.posteriors[0], index=given.index)
    classes = read_frame(given.classes, ["label", "ilsvrc2012_id"]).sort_values("label")
    ilsvrc2012_ids = classes["ilsvrc2012_id"].to_numpy()
    if classes["ilsvrc2012_id"].isna().any():
        raise InputError(
            f"{given.classes}: lacks ILSVRC2012_IDs, in which the test server's files are written; "
            "name the development kit in data.archives.devkit"
        )
    labels = lines_of_labels(submitted, images, len(classes))
    with whole_file(given.output) as temporary, open(temporary, "w") as file:
        np.savetxt(file, ilsvrc2012_ids[labels], fmt="%d")


if __name__ == "__main__":
    command.run(main)
