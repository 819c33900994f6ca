"""Shards: Arrow files of encoded images, read at random through a memory map.

Each image's bytes have a checksum, which is verified when the image is read; each record batch has
one of all else, names, labels, sizes and checksums, which is verified when the shard is opened.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import check_footer, checksum, damaged, seal
from ..core.files import InputError, is_of_system, whole_file

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int32()),
        ("jpeg", pa.large_binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("checksum", pa.uint64()),
    ]
)
OF_BATCH = b"checksum"  # in a record batch's metadata: of all but the images' bytes
ROWS_PER_BATCH = 256


def bounds(images: int, shard: int, shards: int) -> tuple[int, int]:
    """First and one-past-last image of a shard when `images` are dealt out evenly, in order."""
    return images * shard // shards, images * (shard + 1) // shards


def write_shard(path: str | Path, rows: Iterable[tuple[str, int, bytes, int, int]]) -> None:
    """Write (id, label, jpeg, height, width) rows; holds one batch of 256 rows in memory."""
    with whole_file(path) as temporary:
        with pa.ipc.new_file(temporary, SCHEMA) as writer:
            batch: list[tuple] = []
            for row in rows:
                batch.append((*row, checksum(row[2])))
                if len(batch) == ROWS_PER_BATCH:
                    _write(writer, batch)
                    batch = []
            if batch:
                _write(writer, batch)
        seal(temporary, body=False)


def _write(writer: pa.RecordBatchFileWriter, rows: list[tuple]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    batch = pa.record_batch(arrays, schema=SCHEMA)
    writer.write_batch(batch, custom_metadata={OF_BATCH: _of_batch(batch)})


def _of_batch(batch: pa.RecordBatch) -> bytes:
    *of_jpeg, _ = batch["jpeg"].buffers()
    others = [batch[name].buffers() for name in batch.schema.names if name != "jpeg"]
    found = checksum(*(part for part in chain(of_jpeg, *others) if part is not None))
    return f"{found:016x}".encode()


class Shards:
    """A split's shards as one sequence of images.

    labels, heights, widths: int32 [images]; `ids` reads the names, `jpeg(i)` the bytes, by memory
    map. Raises InputError if a file is not a shard, or is damaged.
    """

    def __init__(self, paths: Sequence[str | Path]):
        labels, heights, widths, checksums = [], [], [], []
        self._paths: list[str | Path] = []  # of each batch
        self._batches: list[pa.RecordBatch] = []
        self._jpegs: list[tuple[np.ndarray, memoryview]] = []
        self._starts: list[int] = []
        images = 0
        for path in paths:
            for batch in _checked_batches(path):
                _, offsets, content = batch["jpeg"].buffers()
                self._jpegs.append(
                    (
                        np.frombuffer(offsets, np.int64, batch.num_rows + 1),
                        memoryview(b"" if content is None else content).cast("B"),
                    )
                )
                self._paths.append(path)
                self._batches.append(batch)
                self._starts.append(images)
                labels.append(_values(batch["label"]))
                heights.append(_values(batch["height"]))
                widths.append(_values(batch["width"]))
                checksums.append(_values(batch["checksum"]))
                images += batch.num_rows
        if not images:
            raise InputError(
                f"no image in {', '.join(map(str, paths)) or 'an empty list of shards'}"
            )
        self.labels = np.concatenate(labels)
        self.heights = np.concatenate(heights)
        self.widths = np.concatenate(widths)
        self._checksums = np.concatenate(checksums)

    def __len__(self) -> int:
        return len(self.labels)

    def checksum(self) -> str:
        """Of all images' bytes and labels: what a training depends on."""
        return f"{checksum(self._checksums, self.labels):016x}"

    def ids(self) -> Iterator[str]:
        """Names of all images, in order."""
        for batch in self._batches:
            yield from batch["id"].to_pylist()

    def id(self, index: int) -> str:
        """Name of an image."""
        number, row = self._place(index)
        return self._batches[number]["id"][row].as_py()

    def jpeg(self, index: int) -> memoryview:
        """Encoded bytes of an image, not copied. Raises InputError if they are damaged."""
        number, row = self._place(index)
        offsets, content = self._jpegs[number]
        encoded = content[offsets[row] : offsets[row + 1]]
        if checksum(encoded) != self._checksums[index]:
            raise damaged(self._paths[number], f"{self.id(index)} has another checksum")
        return encoded

    def _place(self, index: int) -> tuple[int, int]:
        """An image's record batch, and its row there."""
        number = bisect_right(self._starts, index) - 1
        return number, index - self._starts[number]


def _checked_batches(path: str | Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a shard. Raises InputError if it is none, or is damaged."""
    try:
        check_footer(path)
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if reader.schema.names != SCHEMA.names:
            raise InputError(f"{path}: its columns are not a shard's: {reader.schema.names}")
        for number in range(reader.num_record_batches):
            batch, metadata = reader.get_batch_with_custom_metadata(number)
            if metadata is None or metadata.get(OF_BATCH) != _of_batch(batch):
                raise damaged(path, f"all but the images of batch {number} has another checksum")
            yield batch
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has it been packed?") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        if is_of_system(error):
            raise
        raise damaged(path, f"not a shard: {error}") from error


def _values(column: pa.Array) -> np.ndarray:
    """A column without nulls as it lies in the file; pyarrow's own way would import pandas."""
    kinds = {pa.int32(): np.int32, pa.uint64(): np.uint64}
    return np.frombuffer(column.buffers()[1], kinds[column.type], len(column))
