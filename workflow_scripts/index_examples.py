"""Find where each image of another data set lies, and what is said of it: parts, classes, boxes.

The index is that of other images, for packing; the examples are what classifiers learn from. All
that can be known without decoding an image is checked here.

Example:

    python -m workflow_scripts.index_examples --kind voc --test labelled \\
        --sources resources/other_sets/VOCtrainval_06-Nov-2007.tar \\
        resources/other_sets/VOCtest_06-Nov-2007.tar --unpacked mine.images \\
        --index mine_index.parquet --report mine.json --output mine.parquet
"""

from __future__ import annotations

import argparse
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data.examples import Examples, write_examples
from workflow_scripts.vgg.data.sources.archives import check_verified
from workflow_scripts.vgg.data.sources.caltech import read_class_folders
from workflow_scripts.vgg.data.sources.indexing import size_of_archive
from workflow_scripts.vgg.data.sources.members import (
    ARCHIVE_BYTES,
    ON_BAD_IMAGE,
    WHOLE_FILES,
    Hidden,
    Member,
)
from workflow_scripts.vgg.data.sources.voc import read_actions, read_voc

READERS = {"voc": read_voc, "actions": read_actions}
FOLDERS = "folders"
TESTS = ("labelled", "withheld", "absent")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--kind",
        choices=[*READERS, FOLDERS],
        required=True,
        help="objects or people's actions of PASCAL VOC, or one folder a class, as of Caltech",
    )
    parser.add_argument("--sources", nargs="+", required=True, help="archives or folders")
    parser.add_argument(
        "--verified", nargs="+", default=[], help="records of the archives' MD5 checks"
    )
    parser.add_argument("--background", help="class that must be there (with --kind folders)")
    parser.add_argument("--images", type=int, help="number of images expected")
    parser.add_argument(
        "--test",
        choices=TESTS,
        help="what is made of the organisers' test set: measured, for their server, or left out",
    )
    parser.add_argument(
        "--on-bad-image", choices=ON_BAD_IMAGE, default="error", help="stop, or leave it to packing"
    )
    parser.add_argument(
        "--unpacked",
        required=True,
        help="file to write with the images of compressed archives; empty if there are none",
    )
    parser.add_argument("--index", required=True, help="index of the images to write (parquet)")
    parser.add_argument("--report", required=True, help="counts to write (JSON)")
    parser.add_argument("--output", required=True, help="examples to write (parquet)")
    given = parser.parse_args(arguments)
    if given.background is not None and given.kind != FOLDERS:
        raise InputError(
            f"--background {given.background}: only --kind {FOLDERS} has a background class; leave "
            "it out"
        )
    for record in given.verified:
        check_verified(record)
    bytes_of = {name: size_of_archive(name) for name in given.sources if os.path.isfile(name)}
    hidden = Hidden(" and ".join(given.sources))
    with absent_if_refused(given.unpacked):
        members, examples, strays = read(given, hidden)
    bytes_of[given.unpacked] = Path(given.unpacked).stat().st_size
    write_frame(given.index, index_of(members), state_of(members, bytes_of))
    write_examples(given.output, examples, {"kind": given.kind})
    write_json(given.report, {**counts_of(examples), "strays": strays, "hidden": hidden.count})
    costs.note(images=len(members))
    logging.info("%d examples in %d images of %s", len(examples.ids), len(members), hidden.where)


@contextmanager
def absent_if_refused(path: str) -> Iterator[None]:
    """Remove a file that was written in the block if the block then fails."""
    try:
        yield
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def read(given: argparse.Namespace, hidden: Hidden) -> tuple[list[Member], Examples, list[str]]:
    """The data set that the options name: its images, its examples, and what is none of these.

    Writes `given.unpacked`. Raises InputError if it is not as the options say.
    """
    strays: list[str] = []
    if given.kind == FOLDERS:
        members, examples, strays = read_class_folders(
            given.sources, given.unpacked, given.background, given.on_bad_image, hidden
        )
    else:
        members, examples = READERS[given.kind](given.sources, given.on_bad_image, hidden)
        with whole_file(given.unpacked) as temporary:
            temporary.write_bytes(b"")
    if given.images is not None and len(members) != given.images:
        raise InputError(
            f"{hidden.where}: {len(members)} images, but {given.images} are expected; get what is "
            "missing, or correct `images` of this data set in the configuration"
        )
    if given.kind in READERS:
        members, examples = as_asked(given.test, members, examples, hidden.where)
    return members, examples, strays


def counts_of(examples: Examples) -> dict[str, object]:
    """What the report says of examples."""
    zeros = (examples.labels == 0) & examples.known[:, None] & examples.scored
    listed = np.ones(zeros.shape, bool) if examples.listed is None else examples.listed
    return {
        "images": len(examples.image_ids),
        "examples": dict(Counter(examples.parts)),
        "withheld": int(np.sum(~examples.known)),
        "classes": examples.classes,
        "not_scored": [examples.classes[place] for place in np.flatnonzero(~examples.scored)],
        "difficult": int((zeros & listed).sum()),
        "unlisted": int((~listed).sum()),
    }


def as_asked(
    test: str | None, members: list[Member], examples: Examples, where: str
) -> tuple[list[Member], Examples]:
    """A data set with its test set as TESTS says; as it is if None.

    Raises InputError if there is no test set, or none with labels, where one is to be.
    """
    tested = np.array(examples.parts) == "test"
    if test in ("labelled", "withheld") and not tested.any():
        raise InputError(
            f"{where}: holds no test set; add its archive to `sources`, or set test: absent"
        )
    if test == "labelled" and not examples.known[tested].all():
        raise InputError(
            f"{where}: the labels of {np.sum(tested & ~examples.known)} test examples are "
            "withheld; set test: withheld"
        )
    if test == "withheld":
        labels = np.where(tested[:, None], np.int8(0), examples.labels)
        return members, replace(examples, known=examples.known & ~tested, labels=labels)
    if test == "absent" and tested.any():
        return without(tested, members, examples)
    return members, examples


def without(
    left_out: np.ndarray, members: list[Member], examples: Examples
) -> tuple[list[Member], Examples]:
    """A data set without some examples, bool [examples], and without images of no other."""
    kept = np.flatnonzero(~left_out)
    used, images = np.unique(examples.images[kept], return_inverse=True)
    return [members[place] for place in used], replace(
        examples,
        ids=[examples.ids[place] for place in kept],
        image_ids=[examples.image_ids[place] for place in used],
        images=images.astype(np.int64),
        parts=[examples.parts[place] for place in kept],
        labels=examples.labels[kept],
        known=examples.known[kept],
        boxes=None if examples.boxes is None else examples.boxes[kept],
        listed=None if examples.listed is None else examples.listed[kept],
    )


def index_of(members: Sequence[Member]) -> pd.DataFrame:
    """One row an image, in order: id, label (-1), file, offset, size."""
    columns = ["id", "wnid", "file", "offset", "size"]
    index = pd.DataFrame([vars(member) for member in members], columns=columns)
    index["wnid"] = np.full(len(members), -1, np.int32)
    return index.rename(columns={"wnid": "label"})


def state_of(members: Sequence[Member], bytes_of: Mapping[str, int]) -> dict[str, object]:
    """What an index says of its images' files, by which `Unchanged` refuses those that change.

    bytes_of: sizes of files that hold many images; others are images themselves.
    """
    files = {member.file for member in members}
    archives = {name: size for name, size in bytes_of.items() if name in files}
    state: dict[str, object] = {ARCHIVE_BYTES: archives} if archives else {}
    return {**state, WHOLE_FILES: True} if files - set(archives) else state


if __name__ == "__main__":
    command.run(main)
