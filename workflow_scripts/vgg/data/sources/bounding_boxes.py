"""ILSVRC's bounding boxes: the official archives of XMLs, folders of them, or Kaggle's lists.

An annotation names the first and the last pixel of a box, from 0, in the picture that its author
was shown, whose size it tells and which is not always the image file's. Here they become the box's
edges, as parts of width and height.
"""

from __future__ import annotations

import logging
import re
import tarfile
from array import array
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.files import InputError, reading
from ...core.progress import Progress
from ...core.text_lists import WNID, numbered_lines
from .. import images
from ..truth import Truth
from .annotations import Annotation, annotations_of
from .devkit import as_file_name
from .members import Unchanged, read_members
from .origins import ILSVRC
from .small_files import files_of
from .tars import GZIP

KINDS = {
    "percent-s-filename": "calls its image %s; the XML's own name is taken",
    "other-filename": "calls its image otherwise than itself; the XML's own name is taken",
    "words-for-wnid": "calls an object by words that are no class; the image's class is taken",
    "several-objects": "has several objects",
    "no-size": "tells no size; the image file's is taken",
    "unreadable-image": "its size is nowhere to be read, the image being damaged; boxes left out",
    "swapped": "a box that ends before it begins; its corners were swapped",
    "outside": "a box that is partly outside the image; what is inside is taken",
    "skipped-outside": "a box that is wholly outside the image; left out",
    "skipped-empty": "a box that ends where it begins; left out",
}
HEAD = 2**16  # bytes that nearly always tell an image's size
BLACKLIST = re.compile(r"(.*/)?data/ILSVRC20\d\d_clsloc_validation_blacklist\.txt", re.ASCII)
VALIDATION_IMAGES, BLACKLISTED = 50_000, 1_762  # of ILSVRC-2012 to 2017
NUMBERED = re.compile(r"ILSVRC20\d\d_[a-z]+_(\d{8})", re.ASCII)  # images' names
MOST_NUMBERED = 10**8 - 1


def read_boxes(
    source: str | Path,
    index: pd.DataFrame,
    classes: pd.DataFrame,
    split: str,
    blacklist: str | Path | None = None,
    unchanged: Unchanged | None = None,
    whole: bool = True,
) -> tuple[Truth, dict[str, list[str]]]:
    """The true boxes of a split's images, and the ids of those that are odd, by kind of KINDS.

    source: an archive of XMLs, a folder of them, or one of LOC_*_solution.csv. index: the split's,
    in order of its ids. split: "train", of which some images have boxes; "val" or "test", all.
    blacklist: as in `read_blacklist`. unchanged: refuses image files that have changed since.
    whole: the classes are all of the data set; boxes of other classes' images are passed over.
    Raises InputError for what cannot be read, and boxes that are not of these images and labels.
    """
    ids = index["id"].tolist()
    wnid_of = dict(zip(classes["label"], classes["wnid"], strict=True))
    own = [wnid_of.get(label) for label in index["label"]]
    odd: dict[str, list[int]] = {kind: [] for kind in KINDS}
    sides = np.zeros((len(ids), 2), np.int32)
    annotated, owners, corners = _gathered(
        source, ids, own, set(classes["wnid"]), split, sides, odd, whole
    )
    if not annotated.any():
        raise InputError(f"{source}: holds no annotations; is it complete? {ILSVRC}")
    if split != "train" and not annotated.all():
        raise InputError(
            f"{source}: says nothing of {len(ids) - annotated.sum()} of the {len(ids)} images of "
            f"{split}, first {ids[annotated.argmin()]}; give the boxes of this split, all of them"
        )
    unknown = np.flatnonzero(annotated & (sides == 0).any(1))
    sides[unknown] = _sides_of_files(index.iloc[unknown], unchanged)
    odd["unreadable-image"] = unknown[(sides[unknown] == 0).any(1)].tolist()
    boxes, owners = _relative(corners, owners, sides, odd)
    blacklisted = np.zeros(len(ids), bool)
    if blacklist and whole:
        by_file_name = np.argsort([as_file_name(name) for name in ids], kind="stable")
        blacklisted[by_file_name] = read_blacklist(blacklist, len(ids))
    elif blacklist:
        _, listed = _blacklisted_numbers(blacklist, MOST_NUMBERED)
        blacklisted = np.array([_number_in(name, blacklist) in listed for name in ids])
    truth = Truth(
        ids=ids,
        starts=np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(ids)))]),
        boxes=boxes[np.argsort(owners, kind="stable")],
        widths=sides[:, 0],
        heights=sides[:, 1],
        blacklisted=blacklisted,
    )
    return truth, {kind: [ids[p] for p in sorted(set(odd[kind]))] for kind in KINDS if odd[kind]}


def read_blacklist(path: str | Path, images: int) -> np.ndarray:
    """Whether each image is blacklisted, bool [images], in the order of their files' names.

    path: a text file with an image's number, from 1, a line, or the development kit of a later
    year, which holds the validation set's. Raises InputError for other content.
    """
    name, numbers = _blacklisted_numbers(path, images)
    blacklisted = np.zeros(images, bool)
    blacklisted[[number - 1 for number in numbers]] = True
    if images == VALIDATION_IMAGES and len(numbers) != BLACKLISTED:
        logging.warning(
            "%s: names %d images, but ILSVRC's blacklist %d", name, len(numbers), BLACKLISTED
        )
    return blacklisted


def _blacklisted_numbers(path: str | Path, images: int) -> tuple[str, set[int]]:
    """(what an error calls the list, the numbers in it, from 1 to `images`)."""
    name, content = str(path), None
    if not Path(path).is_file():
        raise InputError(
            f"{path}: no such file. The blacklist is in the development kits of ILSVRC-2014 and "
            f"later. {ILSVRC}"
        )
    with reading(path) as file:
        packed = file.peek(len(GZIP)).startswith(GZIP) or tarfile.is_tarfile(file)
    if packed:
        for found in files_of(path):
            if BLACKLIST.fullmatch(found.name):
                name, content = found.where, found.content
                break
        else:
            raise InputError(
                f"{path}: holds no data/ILSVRC20??_clsloc_validation_blacklist.txt; give the "
                "development kit of a later year than 2012, or that file itself"
            )
    numbers: set[int] = set()
    for where, line in numbered_lines(name, content):
        if not re.fullmatch(r"\d{1,9}", line, re.ASCII) or not 1 <= int(line) <= images:
            raise InputError(
                f"{where}: expected an image's number from 1 to {images}, found {line[:40]!r}"
            )
        if int(line) in numbers:
            raise InputError(f"{where}: names image {line} a second time; remove one line")
        numbers.add(int(line))
    return name, numbers


def _number_in(name: str, blacklist: str | Path) -> int:
    """An image's number among the split's, of all classes, by its name."""
    if match := NUMBERED.fullmatch(name):
        return int(match[1])
    raise InputError(
        f"{blacklist}: numbers the images of all classes, and the name {name} tells no number as "
        "ILSVRC's own do (ILSVRC2012_val_00000001); of a subset of such a data set, set "
        "data.archives.blacklist to null"
    )


def _gathered(
    source: str | Path,
    ids: list[str],
    own: list[str | None],
    wnids: Set[str],
    split: str,
    sides: np.ndarray,
    odd: dict[str, list[int]],
    whole: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which images are annotated, bool [images]; each box's image, int64 [boxes], by its place in
    `ids`; the boxes' corners in pixels, float64 [boxes, 4].

    own: each image's class, None if it is withheld. wnids: of the classes. sides, odd: get what
    annotations tell. whole: as in `read_boxes`.
    """
    place_of = {name: place for place, name in enumerate(ids)}
    annotated = np.zeros(len(ids), bool)
    owners, corners = array("q"), array("d")
    progress = Progress(len(ids), "images' boxes")
    for found in annotations_of(source, None if whole else place_of):
        place = place_of.get(found.id)
        if place is None:
            raise InputError(
                f"{found.where}: is about {found.id}, which is none of the {len(ids)} images of "
                f"{split}; give the boxes of this split, or remove it"
            )
        if annotated[place]:
            raise InputError(f"{found.where}: is a second one about {found.id}; remove one")
        annotated[place] = True
        sides[place] = found.sides
        owners.extend([place] * len(found.names))
        corners.extend(found.boxes)
        for kind in found.kinds:
            odd[kind].append(place)
        if len(found.names) > 1:
            odd["several-objects"].append(place)
        if _other_words(found, own[place], wnids):
            odd["words-for-wnid"].append(place)
        progress.update(1, "at most" if split == "train" else "")
    return annotated, np.array(owners), np.array(corners).reshape(-1, 4)


def _other_words(found: Annotation, own: str | None, wnids: Set[str]) -> bool:
    """Whether an object is called something that is no class.

    own: the image's class, None if it is withheld. Raises InputError for another class's WNID.
    """
    others = [name for name in found.names if own is not None and name != own]
    for name in others:
        if name in wnids or (WNID.fullmatch(name) and WNID.fullmatch(str(own))):
            raise InputError(
                f"{found.where}: has an object of {name}, but {found.id} is of {own}: labels and "
                "boxes do not belong together; give both of the same release"
            )
    return bool(others)


def _sides_of_files(index: pd.DataFrame, unchanged: Unchanged | None) -> np.ndarray:
    """Widths and heights of image files, int32 [images, 2], by their first bytes; 0 if damaged."""

    def places() -> Iterator[tuple[str, int, int]]:
        for row in index.itertuples():
            if unchanged:
                with suppress(FileNotFoundError):  # which `read_members` explains
                    unchanged.check(row.file, Path(row.file).stat(), row.size)
            yield row.file, row.offset, min(row.size, HEAD)

    sides = np.zeros((len(index), 2), np.int32)
    progress = Progress(len(index), "images' sizes")
    for place, (row, head) in enumerate(
        zip(index.itertuples(), read_members(places()), strict=True)
    ):
        size = _size(head, row.id)
        if size is None and row.size > HEAD:
            size = _size(next(read_members([(row.file, row.offset, row.size)])), row.id)
        sides[place] = size or (0, 0)
        progress.update(1)
    return sides


def _size(content: bytes, name: str) -> tuple[int, int] | None:
    with suppress(InputError), images.opened(content, name) as image:
        return image.size
    return None


def _relative(
    corners: np.ndarray, owners: np.ndarray, sides: np.ndarray, odd: dict[str, list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as parts of their images' sides, in [0, 1], without empty ones; and their owners.

    corners: float64 [boxes, 4], first and last pixels. owners: int64 [boxes], the images' places in
    `sides`, int32 [images, 2]. odd: gets the places of images whose boxes were changed or left out.
    """
    known = (sides[owners] > 0).all(1)
    corners, owners = corners[known], owners[known]
    first, last = corners[:, :2], corners[:, 2:]
    ordered = np.concatenate([np.minimum(first, last), np.maximum(first, last)], axis=1)
    relative = (ordered + np.array([0, 0, 1, 1])) / np.tile(sides[owners], 2)
    clamped = relative.clip(0, 1)
    empty = (first == last).any(1)
    gone = (clamped[:, :2] == clamped[:, 2:]).any(1) & ~empty
    kept = ~(empty | gone)
    for kind, which in {
        "swapped": (first > last).any(1),
        "outside": (clamped != relative).any(1) & kept,
        "skipped-outside": gone,
        "skipped-empty": empty,
    }.items():
        odd[kind] += owners[which].tolist()
    return clamped[kept], owners[kept]
