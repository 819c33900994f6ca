"""Write a submission for the ILSVRC test server: up to five ILSVRC2012_IDs an image, best first.

For localisation, a box follows each: xmin, ymin, xmax and ymax, its first and last pixels. The
server takes the lines for the images in the order of their names. An image that packing left out
has no answer; its line is that of the first five classes, since it needs one.

Example:

    python -m workflow_scripts.write_submission --index results/miniature/index/test.parquet \\
        --posteriors results/miniature/posteriors/test/D_S256/dense_Q256.parquet \\
        --classes results/miniature/classes.parquet \\
        --packing results/miniature/packing/test/*.json --output mine.txt
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.parquet import read_frame
from workflow_scripts.vgg.core.text_artefacts import read_json
from workflow_scripts.vgg.data.sources.devkit import as_file_name
from workflow_scripts.vgg.evaluation.posteriors import likeliest_classes
from workflow_scripts.vgg.localisation.guesses import read_guesses
from workflow_scripts.vgg.results.submissions import (
    SUBMITTED,
    check_complete,
    lines_of_guesses,
    lines_of_labels,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    answers = parser.add_mutually_exclusive_group(required=True)
    answers.add_argument("--posteriors", nargs="+", help="of the test set; averaged")
    answers.add_argument("--guesses", help="of localisation on the test set, labels and boxes")
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
    guesses = read_guesses(given.guesses) if given.guesses else None
    submitted = {} if guesses else likeliest_classes(given.posteriors, SUBMITTED)
    answered, source = guesses.ids if guesses else submitted, given.guesses or given.posteriors[0]
    check_complete(answered, images, skipped, posteriors=source, index=given.index)
    classes = read_frame(given.classes, ["label", "ilsvrc2012_id"]).sort_values("label")
    ilsvrc2012_ids = classes["ilsvrc2012_id"].to_numpy()
    if classes["ilsvrc2012_id"].isna().any():
        raise InputError(
            f"{given.classes}: lacks ILSVRC2012_IDs, in which the test server's files are written; "
            "name the development kit in data.archives.devkit"
        )
    ilsvrc2012_ids = ilsvrc2012_ids.astype(int)
    if guesses:
        lines = lines_of_guesses(guesses, images, ilsvrc2012_ids)
    else:
        labels = ilsvrc2012_ids[lines_of_labels(submitted, images, len(classes))]
        lines = [" ".join(map(str, own)) for own in labels.tolist()]
    with whole_file(given.output) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    command.run(main)
