"""List the data set's classes: from ILSVRC-2012's development kit, or as the data's form tells.

Of a subset, labels are places among its own classes, in sorted order.

Example:

    python -m workflow_scripts.list_classes --classes 10 --output mine.parquet \\
        --devkit resources/miniature/ILSVRC2012_devkit_t12.tar.gz
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.classes import (
    drawn_places,
    named_places,
    write_class_names,
    write_class_table,
)
from workflow_scripts.vgg.data.sources import devkit, folders, huggingface, kaggle
from workflow_scripts.vgg.data.sources.archives import check_verified


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--devkit", help="ILSVRC2012_devkit_t12.tar.gz")
    source.add_argument("--synsets", help="Kaggle's LOC_synset_mapping.txt")
    source.add_argument("--huggingface", help="folder of imagenet-1k's parquet files")
    source.add_argument("--folders", help="folder with one folder of images a class")
    parser.add_argument("--verified", help="record of the development kit's MD5 check")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--classes", type=int, help="all classes: so many are expected")
    chosen.add_argument(
        "--only", nargs="+", metavar="CLASS", help="a subset: these WNIDs, or names of folders"
    )
    chosen.add_argument("--draw", type=int, metavar="NUMBER", help="a subset: so many, drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--text", help="list of the classes to write, for people and data.classes")
    parser.add_argument("--output", required=True, help="classes.parquet to write")
    given = parser.parse_args(arguments)
    readers = {
        "devkit": devkit.read_classes,
        "synsets": kaggle.read_synsets,
        "huggingface": huggingface.read_classes,
        "folders": folders.read_classes,
    }
    (name,) = (name for name in readers if getattr(given, name))
    path = getattr(given, name)
    if given.verified:
        check_verified(given.verified)
    classes = readers[name](path)
    if given.classes and len(classes) != given.classes:
        raise InputError(
            f"{path}: {len(classes)} classes, but the configuration's data.classes is "
            f"{given.classes}"
        )
    if "ilsvrc2012_id" not in classes:
        classes["ilsvrc2012_id"] = pd.array([None] * len(classes), "Int32")
        logging.info("ILSVRC2012_IDs unknown: no submission files without the development kit")
    if given.only:
        places = named_places(given.only, classes["wnid"], path)
    elif given.draw:
        places = drawn_places(given.draw, len(classes), given.seed, path)
    else:
        places = list(range(len(classes)))
    write_class_table(given.output, classes, places)
    if given.text:
        write_class_names(given.text, classes.iloc[places], len(classes))
    logging.info("%d of the %d classes in %s", len(places), len(classes), path)


if __name__ == "__main__":
    command.run(main)
