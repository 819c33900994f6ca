"""Posterior files: one row an image in id order, and means over several files, streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .files import InputError, whole_file

ROWS_PER_GROUP = 512


def write_posteriors(
    path: str | Path, ids: Sequence[str], labels: np.ndarray, posteriors: np.ndarray, metadata: dict
) -> None:
    """Write posteriors, float32 [images, classes], in id order, with JSON-like metadata."""
    order = np.argsort(np.asarray(ids))
    values = _column(posteriors[order].astype(np.float32).ravel(), pa.float32())
    table = pa.table(
        {
            "id": _text_column([ids[place] for place in order]),
            "label": _column(labels[order].astype(np.int32), pa.int32()),
            "posterior": pa.FixedSizeListArray.from_arrays(values, posteriors.shape[1]),
        }
    ).replace_schema_metadata({key: json.dumps(value) for key, value in metadata.items()})
    with whole_file(path) as temporary:
        # Float32 noise does not compress, and a dictionary of it only costs time.
        pq.write_table(
            table,
            temporary,
            row_group_size=ROWS_PER_GROUP,
            compression="none",
            use_dictionary=False,
        )


def read_metadata(path: str | Path) -> dict:
    """The metadata of a posterior file."""
    metadata = _open(path).schema_arrow.metadata or {}
    return {k.decode(): json.loads(v) for k, v in metadata.items() if k != b"ARROW:schema"}


def count_images(path: str | Path) -> int:
    """Number of images of a posterior file."""
    return _open(path).metadata.num_rows


def mean_posteriors(
    paths: Sequence[str | Path],
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """(ids, labels, mean posteriors) in chunks of images, so that memory stays small.

    labels: int32 [chunk]; posteriors: float64 [chunk, classes].
    Raises InputError if the files are not about the same images, in the same order.
    """
    files = [_open(path) for path in paths]
    for other, path in zip(files[1:], paths[1:], strict=True):
        if other.metadata.num_rows != files[0].metadata.num_rows:
            raise InputError(f"{path} and {paths[0]} hold different numbers of images")
    for chunks in zip(*map(_chunks, files), strict=True):
        for chunk, path in zip(chunks, paths, strict=True):
            if not chunk["id"].equals(chunks[0]["id"]):
                raise InputError(f"{path} and {paths[0]} are not about the same images")
        classes = chunks[0]["posterior"].type.list_size
        total = np.zeros((len(chunks[0]), classes))
        for chunk in chunks:
            total += chunk["posterior"].flatten().to_numpy().reshape(-1, classes)
        yield chunks[0]["id"].to_pylist(), chunks[0]["label"].to_numpy(), total / len(paths)


@dataclass(frozen=True)
class Outcomes:
    """Whether each image was wrong: `top1`, `top5` are bool [images], in id order."""

    top1: np.ndarray
    top5: np.ndarray


def outcomes(paths: Sequence[str | Path]) -> Outcomes:
    """Top-1 and top-5 outcomes of the mean of several files' posteriors.

    An image is wrong at k if its class is not among the k highest; ties go to the lower index.
    Raises InputError if an image has no label.
    """
    ranks = []
    for ids, labels, posteriors in mean_posteriors(paths):
        if labels.min() < 0:
            raise InputError(f"{paths[0]}: {ids[labels.argmin()]} has no label, so it has no error")
        ranks.append(rank_of_class(posteriors, labels))
    rank = np.concatenate(ranks)
    return Outcomes(top1=rank >= 1, top5=rank >= 5)


def rank_of_class(posteriors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one, int [images]; equal posteriors rank by index."""
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


def _chunks(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """A file's rows, group by group; asked for all groups at once, pyarrow reads the whole file."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(ROWS_PER_GROUP, row_groups=[group])


def _open(path: str | Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable posterior file ({error})") from error
