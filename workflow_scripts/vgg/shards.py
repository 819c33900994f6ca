"""Shards: Arrow files of encoded images, read at random through a memory map."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from .files import InputError, whole_file

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int32()),
        ("jpeg", pa.large_binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
    ]
)
ROWS_PER_BATCH = 256


def bounds(images: int, shard: int, shards: int) -> tuple[int, int]:
    """First and one-past-last image of a shard when `images` are dealt out evenly, in order."""
    return images * shard // shards, images * (shard + 1) // shards


def write_shard(path: str | Path, rows: Iterable[tuple[str, int, bytes, int, int]]) -> None:
    """Write (id, label, jpeg, height, width) rows; holds one batch of 256 rows in memory."""
    with whole_file(path) as temporary, pa.ipc.new_file(temporary, SCHEMA) as writer:
        batch: list[tuple] = []
        for row in rows:
            batch.append(row)
            if len(batch) == ROWS_PER_BATCH:
                writer.write_batch(_record_batch(batch))
                batch = []
        if batch:
            writer.write_batch(_record_batch(batch))


def _record_batch(rows: list[tuple]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=SCHEMA)


class Shards:
    """A split's shards as one sequence of images.

    labels, heights, widths: int32 [images]; `ids` reads the names, `jpeg(i)` the bytes, by memory
    map. Raises InputError if a file is not a shard.
    """

    def __init__(self, paths: Sequence[str | Path]):
        labels, heights, widths = [], [], []
        self._batches: list[pa.RecordBatch] = []
        self._jpegs: list[tuple[np.ndarray, memoryview]] = []
        self._starts: list[int] = []
        images = 0
        for path in paths:
            try:
                reader = pa.ipc.open_file(pa.memory_map(str(path)))
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(
                    f"{path}: not a shard ({error}); delete it and pack it again"
                ) from error
            if not reader.schema.equals(SCHEMA):
                raise InputError(f"{path}: its columns are not a shard's: {reader.schema.names}")
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                _, offsets, content = batch["jpeg"].buffers()
                self._jpegs.append(
                    (
                        np.frombuffer(offsets, np.int64, batch.num_rows + 1),
                        memoryview(b"" if content is None else content).cast("B"),
                    )
                )
                self._batches.append(batch)
                self._starts.append(images)
                labels.append(_int32(batch["label"]))
                heights.append(_int32(batch["height"]))
                widths.append(_int32(batch["width"]))
                images += batch.num_rows
        if not images:
            raise InputError(
                f"no image in {', '.join(map(str, paths)) or 'an empty list of shards'}"
            )
        self.labels = np.concatenate(labels)
        self.heights = np.concatenate(heights)
        self.widths = np.concatenate(widths)

    def __len__(self) -> int:
        return len(self.labels)

    def ids(self) -> Iterator[str]:
        """Names of all images, in order."""
        for batch in self._batches:
            yield from batch["id"].to_pylist()

    def id(self, index: int) -> str:
        """Name of an image."""
        number = bisect_right(self._starts, index) - 1
        return self._batches[number]["id"][index - self._starts[number]].as_py()

    def jpeg(self, index: int) -> memoryview:
        """Encoded bytes of an image, not copied."""
        number = bisect_right(self._starts, index) - 1
        offsets, content = self._jpegs[number]
        row = index - self._starts[number]
        return content[offsets[row] : offsets[row + 1]]


def _int32(column: pa.Array) -> np.ndarray:
    """A column without nulls as it lies in the file; pyarrow's own way would import pandas."""
    return np.frombuffer(column.buffers()[1], np.int32, len(column))
