"""Find where each image of a split lies, in an archive or in folders, and its class.

All that can be known without decoding an image is checked here, before anything is packed.

Example:

    python -m workflow_scripts.index_images --split train \\
        --archive resources/miniature/ILSVRC2012_img_train.tar \\
        --classes results/miniature/classes.parquet --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.data.classes import read_class_table
from workflow_scripts.vgg.data.sources.archives import check_verified, image_members
from workflow_scripts.vgg.data.sources.folders import image_files
from workflow_scripts.vgg.data.sources.indexing import (
    check_order,
    index_members,
    size_of_archive,
    unpacked,
)
from workflow_scripts.vgg.data.sources.members import (
    ARCHIVE_BYTES,
    ON_BAD_IMAGE,
    WHOLE_FILES,
    Member,
)
from workflow_scripts.vgg.data.sources.subset_members import members_of_classes


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--archive", help="train, validation or test tar of ILSVRC-2012")
    source.add_argument("--tree", help="folder of images, or of class folders")
    source.add_argument("--unpacked", nargs="+", help="lists that unpack_parquet wrote")
    parser.add_argument(
        "--verified", nargs="+", default=[], help="records of the archives' MD5 checks"
    )
    parser.add_argument(
        "--classes", required=True, help="classes.parquet; of a subset, no other images are indexed"
    )
    parser.add_argument(
        "--ground-truth",
        help="text file of ILSVRC2012_IDs, the devkit that holds it, or LOC_val_solution.csv",
    )
    parser.add_argument("--split", choices=["train", "val", "test"], help="for errors")
    parser.add_argument(
        "--on-bad-image", choices=ON_BAD_IMAGE, default="error", help="stop, or leave it to packing"
    )
    parser.add_argument("--unlabelled", action="store_true", help="the split's labels are withheld")
    parser.add_argument("--every-class", action="store_true", help="refuse a class without images")
    parser.add_argument("--images", type=int, help="number of images expected, of these classes")
    parser.add_argument("--output", required=True, help="index to write (parquet)")
    given = parser.parse_args(arguments)
    classes, of = read_class_table(given.classes)
    whole = len(classes) == of
    wanted = None if whole else set(classes["wnid"])
    if given.unlabelled and not whole:
        raise InputError(
            f"{given.classes}: has {len(classes)} of {of} classes, and which images without labels "
            "are of these is not known; leave --unlabelled out, or list all classes"
        )
    state, on_bad_image = {}, given.on_bad_image
    for record in given.verified:
        check_verified(record)
    members: Iterable[Member]
    if given.archive:
        where, members = given.archive, image_members(given.archive, wanted)
        state = {ARCHIVE_BYTES: size_of_archive(given.archive)}
    elif given.tree:
        where, members = given.tree, image_files(given.tree, wanted)
        state = {WHOLE_FILES: True}
    else:
        where, members = Path(given.unpacked[0]).parent, unpacked(given.unpacked, classes)
        on_bad_image = None  # they were looked at when they were unpacked
    if not whole and given.ground_truth:
        members = members_of_classes(members, classes, given.ground_truth, str(where), of)
    index = index_members(
        members,
        classes,
        str(where),
        images=given.images,
        ground_truth=given.ground_truth,
        labelled=not given.unlabelled,
        every_class=given.every_class,
        split=given.split,
        on_bad_image=on_bad_image,
        whole=whole,
    )
    if given.unpacked and given.unlabelled and classes["ilsvrc2012_id"].notna().all():
        check_order(index["id"], str(where))
    write_frame(given.output, index, state)
    costs.note(images=len(index))
    logging.info("%d images in %s", len(index), where)


if __name__ == "__main__":
    command.run(main)
