"""Find where each image lies in an ILSVRC-2012 archive, and its class."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow_scripts.vgg import command
from workflow_scripts.vgg.archives import image_members
from workflow_scripts.vgg.devkit import labels_of_ids, read_ground_truth
from workflow_scripts.vgg.files import InputError, whole_file


def index_archive(
    archive: str, classes: pd.DataFrame, ground_truth: str | None, images: int
) -> pd.DataFrame:
    """One row an image, in id order: id, label (−1 if unknown), offset, size.

    images: the number expected. Raises InputError if another number is found, if names repeat, if a
    training class is unknown or missing, or if the ground truth does not fit.
    """
    progress = command.Progress(images, "images")
    members = []
    for member in image_members(archive):
        members.append((member.id, member.wnid, member.offset, member.size))
        progress.update(1)
    index = pd.DataFrame(members, columns=["id", "wnid", "offset", "size"])
    if len(index) != images:
        raise InputError(
            f"{archive}: holds {len(index)} images, {images} expected; "
            "is it complete, and is data.images right?"
        )
    index = index.sort_values("id", ignore_index=True)
    if repeated := index["id"][index["id"].duplicated()].tolist():
        raise InputError(f"{archive}: {len(repeated)} names occur twice, first {repeated[0]}")
    wnids = index.pop("wnid")
    if wnids.notna().all():
        label_of_wnid = classes.set_index("wnid")["label"]
        labels = wnids.map(label_of_wnid)
        if labels.isna().any():
            raise InputError(f"{archive}: {wnids[labels.isna()].iloc[0]} is no class of the devkit")
        if missing := sorted(set(label_of_wnid.index) - set(wnids)):
            raise InputError(f"{archive}: holds no image of {', '.join(missing[:5])}")
    elif ground_truth:
        ids = read_ground_truth(ground_truth)
        if len(ids) != len(index):
            raise InputError(f"{ground_truth}: {len(ids)} lines for {len(index)} images")
        labels = labels_of_ids(ids, classes, ground_truth)
    else:
        labels = -1
    index.insert(
        1, "label", np.int32(labels) if np.isscalar(labels) else np.asarray(labels, np.int32)
    )
    return index


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--archive", required=True, help="train, validation or test tar")
    parser.add_argument("--classes", required=True, help="classes.parquet")
    parser.add_argument(
        "--ground-truth", help="text file of ILSVRC2012_IDs, or the devkit that holds it"
    )
    parser.add_argument("--images", type=int, required=True, help="number of images expected")
    parser.add_argument("--output", required=True, help="index to write (parquet)")
    options = parser.parse_args(arguments)
    index = index_archive(
        options.archive, pd.read_parquet(options.classes), options.ground_truth, options.images
    )
    with whole_file(options.output) as temporary:
        index.to_parquet(temporary, index=False)
    logging.info("%d images in %s", len(index), options.archive)


if __name__ == "__main__":
    command.run(main)
