"""The index of a split: where each image lies, in an archive or in folders, and its class.

All that can be known without decoding an image is checked here, before anything is packed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import repeat

import numpy as np
import pandas as pd

from ...core.files import InputError
from ...core.parquet import read_frame
from ...core.progress import Progress
from . import devkit, huggingface, kaggle
from .archives import require
from .members import Member, check_name, tell_flaws, with_flaws
from .origins import ILSVRC

CLOCKS_DIFFER = 60  # seconds at most, of a node and a file server
COLUMNS = ["id", "wnid", "file", "offset", "size"]
LABELS_WANTED = {
    "train": "training images lie in one folder, or one tar, a class",
    "val": (
        "of validation images a development kit, Kaggle's LOC_val_solution.csv, or folders of "
        "classes (val/<class>/) tell them"
    ),
    "test": "a test set whose labels are not known needs data.test: withheld",
    None: "see data.source in config/README.md",
}


def index_members(
    members: Iterable[Member],
    classes: pd.DataFrame,
    where: str,
    images: int | None = None,
    ground_truth: str | None = None,
    labelled: bool = True,
    every_class: bool = False,
    split: str | None = None,
    on_bad_image: str | None = "error",
    whole: bool = True,
) -> pd.DataFrame:
    """One row an image, in id order: id, label (−1 if unlabelled), file, offset, size.

    where: what an error calls the images' source. images: the number expected; None for any.
    ground_truth: file of labels, if the members' wnids do not tell. every_class: each class must
    have an image, as in a training set. split: train, val or test, for errors. on_bad_image: what
    of those without bytes, or that begin as no image does: "skip" leaves them to packing; None does
    not look for them. whole: the classes are all of the data set, not a subset.
    Raises InputError if another number is found, if names repeat, if a class is unknown or missing,
    if the ground truth does not fit, if labels are nowhere to be found, or at a bad image.
    """
    check_name(where, where)  # it is stored beside every image
    if images is None:
        members = all_members = list(members)
    progress = Progress(len(all_members) if images is None else images, "images")
    found, good, flaws = [], [], []
    looked_at = with_flaws(members) if on_bad_image else zip(members, repeat(None))
    for member, flaw in looked_at:
        found.append(astuple(member))
        good.append(flaw is None)
        if flaw:
            flaws.append(f"{member.file}: {member.id} {flaw}")
        progress.update(1)
    index = pd.DataFrame(found, columns=COLUMNS).assign(good=good)
    index = index.sort_values("id", ignore_index=True)
    if index.empty:
        raise InputError(f"{where}: holds no images; is it complete?")
    if images is not None and len(index) != images:
        of_classes = "" if whole else f" of the {len(classes)} classes"
        absent = missing_names(index["id"], images) if whole else ""
        raise InputError(
            f"{where}: holds {len(index)} images{of_classes}, {images} expected; {absent}is it "
            "complete, and is data.images right?"
        )
    check_names(index, where)
    wnids, good = index.pop("wnid"), index.pop("good")
    if not labelled:
        labels = np.full(len(index), -1)
    elif wnids.notna().all():
        labels = labels_of_wnids(wnids, classes, where)
        missing = sorted(set(classes["wnid"]) - set(wnids[good]))
        if every_class and missing and not (flaws and on_bad_image == "error"):
            raise InputError(
                f"{where}: holds no image of {', '.join(missing[:5])}"
                f"{' that can be read' if flaws else ''}"
            )
    elif not ground_truth:
        raise InputError(
            f"{where}: neither folders nor a ground truth tell the images' classes; "
            f"{LABELS_WANTED[split]}"
        )
    elif is_solution(ground_truth):
        solution = solution_of(index["id"], ground_truth)
        labels = labels_of_wnids(index["id"].map(solution), classes, ground_truth)
    else:
        labels = labels_in_order(index["id"], classes, ground_truth, len(classes))
    tell_flaws(flaws, on_bad_image)
    index.insert(1, "label", np.asarray(labels, np.int32))
    return index


def size_of_archive(path: str) -> int:
    """An archive's size in bytes. Raises InputError if its time would hide that it changes."""
    state = require(path, ILSVRC).stat()
    if state.st_mtime > time.time() + CLOCKS_DIFFER:
        raise InputError(f"{path}: was changed in the future, by its time; run touch {path}")
    return state.st_size


def check_names(index: pd.DataFrame, where: str) -> None:
    """Raise InputError if two images have one name. index: columns id and file."""
    twice = index[index["id"].duplicated(keep=False)]
    if len(twice):
        raise InputError(
            f"{where}: {twice['id'].nunique()} names occur twice, first {twice['id'].iloc[0]} "
            f"(in {' and '.join(dict.fromkeys(twice['file'].iloc[:2]))}); names count without "
            "suffix, and in archives and parquet files without folders: rename or remove one"
        )


def is_solution(ground_truth: str) -> bool:
    """Whether a ground truth is Kaggle's; others list ILSVRC2012_IDs."""
    return ground_truth.endswith(".csv")


def solution_of(ids: pd.Series, path: str) -> pd.Series:
    """The WNIDs by id that Kaggle's solution has; raises InputError if it lacks one of `ids`."""
    solution = kaggle.read_solution(path)
    if lacking := sorted(set(ids) - set(solution.index)):
        raise InputError(f"{path}: has no line for {lacking[0]}")
    return solution


def labels_in_order(ids: pd.Series, classes: pd.DataFrame, path: str, of: int) -> np.ndarray:
    """Class indices, int32 [images], by a list of ILSVRC2012_IDs in the order of file names.

    −1 for classes of the kit, which has `of`, that are none of these.
    Raises InputError if it is not a list for these images.
    """
    listed = devkit.read_ground_truth(path)
    if len(listed) != len(ids):
        raise InputError(
            f"{path}: {len(listed)} lines for {len(ids)} images; "
            f"{missing_names(ids, len(listed))}does it belong to this archive, and is it complete?"
        )
    labels = np.empty(len(ids), np.int32)
    order = np.argsort([devkit.as_file_name(name) for name in ids], kind="stable")
    labels[order] = devkit.labels_of_ids(listed, classes, path, of)
    return labels


def check_order(ids: pd.Series, where: str) -> None:
    """Raise InputError if the order of test images' names is not that of the test server."""
    if nameless := next(filter(huggingface.is_made_up, ids), None):
        raise InputError(
            f"{where}: {nameless} has no name of its own, but the test server wants answers in the "
            "order of names: give files with the column image.path, or set data.test: absent"
        )


def labels_of_wnids(wnids: pd.Series, classes: pd.DataFrame, where: str) -> np.ndarray:
    """Class indices, int32, of WNIDs. Raises InputError for one that is no class."""
    labels = wnids.map(classes.set_index("wnid")["label"])
    if labels.isna().any():
        raise InputError(
            f"{where}: {wnids[labels.isna()].iloc[0]} is none of the {len(classes)} classes that "
            "the development kit, or the data set's own list, names; one of the two is incomplete "
            "or of another data set"
        )
    return labels.to_numpy(np.int32)


def unpacked(pieces: Sequence[str], classes: pd.DataFrame) -> Iterable[Member]:
    """The images that `unpack_parquet` wrote; their labels must be those of their WNIDs.

    An image whose name does not tell its WNID is of the class that its label says. Labels are
    places among all classes of the data set: the classes' source_label.
    """
    by_source = classes.assign(label=classes["source_label"])
    wnid_of_label = by_source.set_index("label")["wnid"].astype(object)
    for piece in pieces:
        rows = read_frame(piece)
        labelled = rows["wnid"].isna() & (rows["label"] >= 0)
        if (unknown := rows[labelled & ~rows["label"].isin(wnid_of_label.index)]).size:
            raise InputError(
                f"{piece}: {unknown['id'].iloc[0]} has label {unknown['label'].iloc[0]}, but there "
                f"are {len(classes)} classes"
            )
        rows["wnid"] = rows["wnid"].astype(object)
        rows.loc[labelled, "wnid"] = rows.loc[labelled, "label"].map(wnid_of_label)
        named = rows[rows["wnid"].notna()]
        wrong = named["label"] != labels_of_wnids(named["wnid"], by_source, piece)
        if wrong.any():
            first = named[wrong].iloc[0]
            raise InputError(
                f"{piece}: {first['id']} has label {first['label']}, but its class "
                f"{first['wnid']} is another in sorted-WNID order; is it imagenet-1k?"
            )
        rows["wnid"] = rows["wnid"].where(rows["wnid"].notna(), None)
        for row in rows[COLUMNS].itertuples(index=False):
            yield Member(*row)


def missing_names(ids: pd.Series, images: int) -> str:
    """The missing ones of `images` images that are numbered from 1 on, as val and test are.

    Words that a message goes on after; none if names are not numbered so, or none is missing.
    """
    numbers = ids.str.extract(r"^(ILSVRC2012_(?:val|test)_)(\d{8})$")
    if ids.empty or numbers.isna().any(axis=None):
        return ""
    absent = sorted(set(range(1, images + 1)) - set(numbers[1].astype(int)))
    named = ", ".join(f"{numbers[0].iloc[0]}{number:08d}" for number in absent[:5])
    return f"missing: {named}{', …' if len(absent) > 5 else ''}; " if absent else ""
