"""Hugging Face's imagenet-1k: parquet files of `image` {bytes, path} and `label` columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .files import InputError

SPLITS = {"train": "train", "val": "validation", "test": "test"}  # ours: theirs
_STEM = re.compile(r"(.+)_(n\d{8})")


class Row(NamedTuple):
    """An image: id, wnid (None in the test set), class index (−1 in the test set), file content."""

    id: str
    wnid: str | None
    label: int
    content: bytes


def parquet_files(directory: str | Path, split: str) -> list[Path]:
    """A split's files, in order, from a folder or its `data`. Raises InputError if none."""
    pattern = f"{SPLITS[split]}-*.parquet"
    for folder in (Path(directory), Path(directory) / "data"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise InputError(
        f"{directory}: neither it nor its folder data holds {pattern}; data.directory must name "
        "a download of the data set imagenet-1k"
    )


def rows(path: Path) -> Iterator[Row]:
    """The images of a file, in its order; at most 64 are in memory.

    Names are `<file>_<wnid>.JPEG`. Raises InputError if the file is damaged or of another form.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(64, columns=["image", "label"]):
                for image, label in zip(
                    batch["image"].to_pylist(), batch["label"].to_pylist(), strict=True
                ):
                    if image["bytes"] is None:
                        raise InputError(f"{path}: {image['path']} comes without its bytes")
                    yield Row(*_id_and_wnid(image["path"]), label, image["bytes"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: has no columns image {{bytes, path}} and label") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged ({error}); download it again") from error


def read_classes(directory: str | Path) -> pd.DataFrame:
    """The classes: label (sorted-WNID order), wnid and words, as names and metadata give them.

    Reads names and labels of the validation set, or of the training set where there is no other.
    Raises InputError if labels do not follow the order of the WNIDs.
    """
    try:
        files = parquet_files(directory, "val")
    except InputError:
        files = parquet_files(directory, "train")
    label_of_wnid: dict[str, int] = {}
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(columns=["image.path", "label"])
                words = _words(file.schema_arrow.metadata or {})
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: damaged ({error}); download it again") from error
        names = table["image"].combine_chunks().field("path").to_pylist()
        for name, label in zip(names, table["label"].to_pylist(), strict=True):
            _, wnid = _id_and_wnid(name)
            if wnid is None or label_of_wnid.setdefault(wnid, label) != label:
                raise InputError(f"{path}: {name} has label {label}, which its WNID does not fit")
    wnids = sorted(label_of_wnid)
    if [label_of_wnid[wnid] for wnid in wnids] != list(range(len(wnids))):
        raise InputError(f"{directory}: labels are not the places of the WNIDs in sorted order")
    return pd.DataFrame(
        {
            "label": np.arange(len(wnids), dtype=np.int32),
            "wnid": wnids,
            "words": words if len(words) == len(wnids) else wnids,
        }
    )


def _id_and_wnid(path: str) -> tuple[str, str | None]:
    stem = PurePosixPath(path).stem
    match = _STEM.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, None)


def _words(metadata: dict[bytes, bytes]) -> Sequence[str]:
    """The names of the ClassLabel feature that the data set's own metadata list, by label."""
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return []
