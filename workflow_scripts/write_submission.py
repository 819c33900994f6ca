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
from workflow_scripts.vgg.evaluation.posteriors import mean_posteriors

ANSWERED = 5
SKIPPED_ANSWER = slice(ANSWERED)  # of the labels in order, for an image that was left out


def answered_labels(posteriors: Sequence[str]) -> dict[str, np.ndarray]:
    """The labels of the highest mean posteriors of each image, best first, by its id."""
    answers = {}
    for ids, _, means in mean_posteriors(posteriors):
        best = np.argsort(-means, axis=1, kind="stable")[:, :ANSWERED]
        answers.update(zip(ids, best, strict=True))
    return answers


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
    answers = answered_labels(given.posteriors)
    for name in sorted(answers.keys() ^ (set(images) - skipped)):
        what = "lacks" if name not in answers else "has an answer for"
        raise InputError(
            f"{given.posteriors[0]}: {what} {name}, but the test server wants a line for each of "
            f"the {len(images)} images of {given.index}, and packing left out {len(skipped)} of "
            "them; delete the posteriors and evaluate again"
        )
    classes = read_frame(given.classes, ["label", "ilsvrc2012_id"]).sort_values("label")
    ilsvrc2012_ids = classes["ilsvrc2012_id"].to_numpy()
    if classes["ilsvrc2012_id"].isna().any():
        raise InputError(
            f"{given.classes}: lacks ILSVRC2012_IDs, in which the test server's files are written; "
            "name the development kit in data.archives.devkit"
        )
    left_out = np.arange(len(classes))[SKIPPED_ANSWER]
    with whole_file(given.output) as temporary, open(temporary, "w") as file:
        labels = np.array([answers.get(name, left_out) for name in images])
        np.savetxt(file, ilsvrc2012_ids[labels], fmt="%d")


if __name__ == "__main__":
    command.run(main)
