"""List the data set's classes: from ILSVRC-2012's development kit, or as the data's form tells."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
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
    parser.add_argument("--classes", type=int, required=True, help="number of classes expected")
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
    if len(classes) != given.classes:
        raise InputError(
            f"{path}: {len(classes)} classes, but the configuration's data.classes is "
            f"{given.classes}"
        )
    if "ilsvrc2012_id" not in classes:
        classes["ilsvrc2012_id"] = pd.array([None] * len(classes), "Int32")
        logging.info("ILSVRC2012_IDs unknown: no submission files without the development kit")
    write_frame(given.output, classes[["label", "wnid", "ilsvrc2012_id", "words"]])


if __name__ == "__main__":
    command.run(main)
