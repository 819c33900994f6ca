"""Read the true boxes of a split's images, from ILSVRC's archives, folders of XMLs or Kaggle's CSV.

Boxes are kept as parts of their image's width and height; what is odd about them is counted.

Example:

    python -m workflow_scripts.read_boxes --split val \\
        --boxes resources/miniature/ILSVRC2012_bbox_val_v3.tgz \\
        --index results/miniature/index/val.parquet \\
        --classes results/miniature/classes.parquet --report mine.json --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_frame, read_metadata
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.classes import read_class_table
from workflow_scripts.vgg.data.sources.archives import check_verified
from workflow_scripts.vgg.data.sources.bounding_boxes import read_boxes
from workflow_scripts.vgg.data.sources.members import Unchanged
from workflow_scripts.vgg.data.truth import write_truth


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--boxes",
        required=True,
        help="ILSVRC2012_bbox_train_v2.tar.gz or ILSVRC2012_bbox_val_v3.tgz, a folder of XMLs such "
        "as Kaggle's ILSVRC/Annotations/CLS-LOC/val, or Kaggle's LOC_train_solution.csv or "
        "LOC_val_solution.csv",
    )
    parser.add_argument("--index", required=True, help="the split's index (parquet)")
    parser.add_argument("--classes", required=True, help="classes.parquet")
    parser.add_argument(
        "--split",
        choices=["train", "val", "test"],
        required=True,
        help="all images of val and test are to have boxes",
    )
    parser.add_argument(
        "--blacklist",
        help="text file of the numbers of images, from 1 in the order of file names, whose boxes "
        "do not count in tests; or the development kit of ILSVRC-2014 or later, which holds it",
    )
    parser.add_argument(
        "--verified", nargs="+", default=[], help="records of the archives' MD5 checks"
    )
    parser.add_argument("--report", required=True, help="counts and oddities to write (JSON)")
    parser.add_argument("--output", required=True, help="true boxes to write (parquet)")
    given = parser.parse_args(arguments)
    if given.blacklist and given.split == "train":
        raise InputError(
            f"{given.blacklist}: a blacklist is about images that are tested on; leave it out with "
            "--split train"
        )
    for record in given.verified:
        check_verified(record)
    classes, of = read_class_table(given.classes)
    index = read_frame(given.index, ["id", "label", "file", "offset", "size"])
    truth, oddities = read_boxes(
        given.boxes,
        index,
        classes,
        given.split,
        blacklist=given.blacklist,
        unchanged=Unchanged(given.index, read_metadata(given.index)),
        whole=len(classes) == of,
    )
    counts = {
        "images": len(index),
        "boxed_images": int(truth.boxed.sum()),
        "boxes": len(truth.boxes),
        "blacklisted": int(truth.blacklisted.sum()),
    }
    write_truth(given.output, truth, {"split": given.split})
    write_json(given.report, {**counts, "oddities": oddities})
    costs.note(images=len(index))
    logging.info(
        "%d boxes of %d images in %s; %d of %d images have none",
        counts["boxes"],
        counts["boxed_images"],
        given.boxes,
        counts["images"] - counts["boxed_images"],
        counts["images"],
    )


if __name__ == "__main__":
    command.run(main)
