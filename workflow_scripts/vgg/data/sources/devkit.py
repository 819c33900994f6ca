"""The ILSVRC-2012 development kit: classes, their two numberings, and validation labels.

Class index 0–999 is the place of a class in sorted-WNID order, as in Caffe, torchvision and timm.
ILSVRC2012_ID 1–1000 is the kit's own numbering, in which ground truth and submissions are written.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.files import InputError, is_of_system, reading
from ...core.text_lists import checked_wnid, numbered_lines
from .origins import ILSVRC

META = "data/meta.mat"  # in the kit's folder, ILSVRC2012_devkit_t12
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


def read_classes(devkit: str | Path) -> pd.DataFrame:
    """The low-level synsets: label (0-based, sorted-WNID order), wnid, ilsvrc2012_id, words.

    Raises InputError if the kit is missing, damaged, or of another year.
    """
    from scipy.io import loadmat

    content = _read(devkit, META)
    try:
        synsets = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        leaves = synsets[synsets["num_children"].astype(int) == 0]
        classes = pd.DataFrame(
            {
                "wnid": leaves["WNID"].astype(str),
                "ilsvrc2012_id": leaves["ILSVRC2012_ID"].astype(np.int32),
                "words": leaves["words"].astype(str),
            }
        )
    except Exception as error:  # of SciPy, which raises whatever it stumbles over
        raise InputError(f"{devkit}: {META} is not ILSVRC-2012's ({error})") from error
    for wnid in classes["wnid"]:
        checked_wnid(wnid, f"{devkit}: {META}")
    if classes["wnid"].duplicated().any():
        raise InputError(f"{devkit}: {META} holds a WNID twice; it is not ILSVRC-2012's")
    ids = sorted(classes["ilsvrc2012_id"])
    if ids != list(range(1, len(ids) + 1)):
        raise InputError(f"{devkit}: the IDs of its classes are not 1–{len(ids)}")
    classes = classes.sort_values("wnid", ignore_index=True)
    classes.insert(0, "label", np.arange(len(classes), dtype=np.int32))
    return classes


def read_ground_truth(path: str | Path) -> np.ndarray:
    """ILSVRC2012_IDs, int32 [images], in ascending file name order.

    path: a text file with one ID a line, or the development kit, which holds the validation set's.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. It is to hold an ILSVRC2012_ID a line; those of ILSVRC-2012's "
            "test images were never published: without them, set data.test: withheld"
        )
    name: str | Path = path
    content = None
    with reading(path) as file:
        packed = tarfile.is_tarfile(file)
    if packed:
        name, content = f"{path}: {GROUND_TRUTH}", _read(path, GROUND_TRUTH)
    ids = []
    for where, line in numbered_lines(name, content):
        if not re.fullmatch(r"\d{1,9}", line, re.ASCII):
            raise InputError(f"{where}: expected one ILSVRC2012_ID a line, found {line[:40]!r}")
        ids.append(int(line))
    return np.array(ids, dtype=np.int32)


def as_file_name(name: str) -> str:
    """The key that sorts images' names in the order of their files, `<name>.JPEG`.

    It differs from the order of the names where one begins another: "a-1.JPEG" comes before
    "a.JPEG".
    """
    return f"{name}."


def labels_of_ids(ids: np.ndarray, classes: pd.DataFrame, name: str, of: int) -> np.ndarray:
    """Class indices, int32, of ILSVRC2012_IDs; −1 for classes of the kit that are none of these.

    of: how many classes the kit has. Raises InputError for an ID that is no class.
    """
    if classes["ilsvrc2012_id"].isna().any():
        raise InputError(
            f"{name}: has ILSVRC2012_IDs, which the classes do not, as they are not from a "
            "development kit; name it in data.archives.devkit"
        )
    label_of_id = np.full(of + 1, -1, dtype=np.int32)
    label_of_id[classes["ilsvrc2012_id"]] = classes["label"]
    if ids.size and not (ids.min() >= 1 and ids.max() <= of):
        raise InputError(f"{name}: IDs from {ids.min()} to {ids.max()}, but the classes are 1–{of}")
    return label_of_id[ids]


def _read(devkit: str | Path, member: str) -> bytes:
    if not Path(devkit).is_file():
        raise InputError(
            f"{devkit}: no such file. {ILSVRC}; or, if data.source is another than archives, "
            "set data.archives.devkit to null"
        )
    try:
        with reading(devkit) as file, tarfile.open(fileobj=file) as archive:
            for entry in archive:
                if entry.isfile() and f"/{entry.name}".endswith(f"/{member}"):
                    return archive.extractfile(entry).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        if is_of_system(error):
            raise
        reason = " ".join(str(error).split())  # tarfile's has a line for each kind of compression
        raise InputError(f"{devkit}: damaged ({reason}); download it again") from error
    raise InputError(
        f"{devkit}: holds no {member}; the kit for tasks 1 and 2 of 2012 "
        "(ILSVRC2012_devkit_t12.tar.gz) is needed"
    )
