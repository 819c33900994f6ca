"""Posterior files: one row an image in id order, and means over several files, streamed.

What is read is verified: the files' checksums, and that each row is a distribution over classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from ..core.checksums import checksum, cure, damaged
from ..core.files import InputError
from ..core.parquet import opened, read_metadata, rows_of, write_parquet

ROWS_PER_GROUP = 512
SUM_TOLERANCE = 1e-3  # posteriors are float32, and the softmax may have been in 16 bits


def write_posteriors(
    path: str | Path, ids: Sequence[str], labels: np.ndarray, posteriors: np.ndarray, metadata: dict
) -> None:
    """Write posteriors, float32 [images, classes], in id order, with JSON-like metadata.

    Raises InputError if two images have one name.
    """
    order = np.argsort(np.asarray(ids))
    for this, following in pairwise(order):
        if ids[this] == ids[following]:
            raise InputError(f"{path}: two images are called {ids[this]}; names must differ")
    values = _column(posteriors[order].astype(np.float32).ravel(), pa.float32())
    table = pa.table(
        {
            "id": _text_column([ids[place] for place in order]),
            "label": _column(labels[order].astype(np.int32), pa.int32()),
            "posterior": pa.FixedSizeListArray.from_arrays(values, posteriors.shape[1]),
        }
    ).replace_schema_metadata({key: json.dumps(value) for key, value in metadata.items()})
    # Float32 noise does not compress, and a dictionary of it only costs time.
    write_parquet(
        path, table, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False
    )


def mean_posteriors(
    paths: Sequence[str | Path],
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """(ids, labels, mean posteriors) in chunks of images, so that memory stays small.

    labels: int32 [chunk]; posteriors: float64 [chunk, classes].
    Raises InputError if a file is damaged, or they are not about the same images, in one order.
    """
    images = rows_of(paths[0])
    if not images:
        raise InputError(f"{paths[0]}: holds no images")
    for path in paths:
        if rows_of(path) != images:
            raise InputError(f"{path} and {paths[0]} hold different numbers of images")
        check_place(path)
    for chunks in zip(*map(_chunks, paths), strict=True):
        for chunk, path in zip(chunks, paths, strict=True):
            if not chunk["id"].equals(chunks[0]["id"]):
                raise InputError(f"{path} and {paths[0]} are not about the same images")
            if not chunk["label"].equals(chunks[0]["label"]):
                raise InputError(f"{path} and {paths[0]} have other labels for the same images")
            if chunk["posterior"].type != chunks[0]["posterior"].type:
                raise InputError(f"{path} and {paths[0]} are about different numbers of classes")
        total = np.zeros((len(chunks[0]), chunks[0]["posterior"].type.list_size))
        for chunk in chunks:
            total += _values(chunk)
        yield chunks[0]["id"].to_pylist(), chunks[0]["label"].to_numpy(), total / len(paths)


@dataclass(frozen=True)
class Outcomes:
    """Whether each image was wrong: `top1`, `top5` are bool [images], in id order.

    images: checksum of their names; outcomes can be paired where it is the same.
    """

    top1: np.ndarray
    top5: np.ndarray
    images: int


def check_place(path: str | Path) -> None:
    """Raise InputError if a file's posteriors are not those that its place in the results says."""
    *_, folder, _, model, name = ("", "", "", *Path(path).parts)
    metadata = read_metadata(path)
    if folder != "posteriors" or not {"model", "method", "Q"} <= metadata.keys():
        return
    found = f"{metadata['model']}/{metadata['method']}_Q{metadata['Q']}.parquet"
    if found != f"{model}/{name}":
        raise InputError(f"{path}: holds the posteriors of {found}. {cure(path)}")


class OfImages(Protocol):
    """What was measured on some images: `images` is the checksum of their names."""

    @property
    def images(self) -> int: ...


def check_paired(measured: Mapping[str, OfImages]) -> None:
    """Raise InputError unless outcomes, by a file that they come from, are of the same images."""
    paths = list(measured)
    for path in paths:
        if measured[path].images != measured[paths[0]].images:
            raise InputError(
                f"{path} and {paths[0]} are not about the same images; delete the one that is out "
                "of date and evaluate its model again"
            )


def outcomes(paths: Sequence[str | Path]) -> Outcomes:
    """Top-1 and top-5 outcomes of the mean of several files' posteriors.

    An image is wrong at k if its class is not among the k highest; ties go to the lower index.
    Raises InputError if an image has no label.
    """
    ranks, images = [], 0
    for ids, labels, posteriors in mean_posteriors(paths):
        if labels.min() < 0:
            raise InputError(f"{paths[0]}: {ids[labels.argmin()]} has no label, so it has no error")
        ranks.append(rank_of_class(posteriors, labels))
        images = checksum(images.to_bytes(8, "little"), "\0".join(ids).encode())
    rank = np.concatenate(ranks)
    return Outcomes(top1=rank >= 1, top5=rank >= 5, images=images)


def likeliest_classes(paths: Sequence[str | Path], count: int) -> dict[str, np.ndarray]:
    """The labels of each image's highest mean posteriors, int [≤ count], best first, by its id.

    Equal posteriors rank by index.
    """
    found: dict[str, np.ndarray] = {}
    for ids, _, means in mean_posteriors(paths):
        best = np.argsort(-means, axis=1, kind="stable")[:, :count]
        found.update(zip(ids, best, strict=True))
    return found


def rank_of_class(posteriors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one, int [images]; equal posteriors rank by index.

    Raises ValueError for posteriors that are not numbers: nothing would stand before those.
    """
    if np.isnan(posteriors).any():
        raise ValueError("posteriors that are not numbers have no ranks")
    own = posteriors[np.arange(len(labels)), labels][:, None]
    before = np.arange(posteriors.shape[1]) < labels[:, None]
    return ((posteriors > own) | ((posteriors == own) & before)).sum(1)


def _column(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """An array's memory as a column; `pa.array` would import pandas, a third of a second a job."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _text_column(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    )


def _chunks(path: str | Path) -> Iterator[pa.RecordBatch]:
    """A file's rows, group by group, verified.

    Asked for all groups at once, pyarrow reads the whole file.
    """
    before = ""
    with opened(path) as file:
        if file.schema_arrow.names != ["id", "label", "posterior"]:
            raise InputError(f"{path}: has no posteriors, but {', '.join(file.schema_arrow.names)}")
        for group in range(file.num_row_groups):
            for chunk in file.iter_batches(ROWS_PER_GROUP, row_groups=[group]):
                ids = chunk["id"].to_pylist()
                for last, name in pairwise([before, *ids]):
                    if name <= last:
                        raise damaged(path, f"{name} comes behind {last}")
                before = ids[-1]
                _check_distributions(path, ids, chunk)
                yield chunk


def _check_distributions(path: str | Path, ids: Sequence[str], chunk: pa.RecordBatch) -> None:
    """Raise InputError unless each row has posteriors of classes, and one of them as its label."""
    posteriors, labels = _values(chunk), chunk["label"].to_numpy()
    good = (posteriors >= 0).all(1)  # NaN is not
    good &= np.abs(posteriors.sum(1, dtype=np.float64) - 1) <= SUM_TOLERANCE
    if not good.all():
        image = int(np.argmin(good))
        raise damaged(
            path,
            f"the posteriors of {ids[image]} are no distribution: from {posteriors[image].min():g} "
            f"to {posteriors[image].max():g}, their sum is {posteriors[image].sum():g}",
        )
    wrong = labels[(labels < -1) | (labels >= posteriors.shape[1])]
    if len(wrong):
        raise damaged(path, f"label {wrong[0]} of {posteriors.shape[1]} classes")


def _values(chunk: pa.RecordBatch) -> np.ndarray:
    """A chunk's posteriors, float32 [images, classes]."""
    column = chunk["posterior"]
    return column.flatten().to_numpy().reshape(-1, column.type.list_size)
