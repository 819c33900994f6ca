"""Parquet files with checksums: of the whole file, and of its pages for other programs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from .checksums import check_footer, check_sealed, damaged, seal
from .files import InputError, is_of_system, whole_file

if TYPE_CHECKING:
    import pandas as pd

NOT_OURS = (b"ARROW:schema", b"pandas")


def write_parquet(path: str | Path, table: pa.Table, **options) -> None:
    """Write a table, whole or not at all; options are those of pyarrow."""
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True, **options)
        seal(temporary)


def write_frame(
    path: str | Path, frame: pd.DataFrame, metadata: Mapping[str, object] | None = None
) -> None:
    """Write a data frame without its index, with JSON-like metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    texts = {key: json.dumps(value) for key, value in (metadata or {}).items()}
    write_parquet(path, table.replace_schema_metadata({**(table.schema.metadata or {}), **texts}))


@contextlib.contextmanager
def opened(path: str | Path, whole: bool = True) -> Iterator[pq.ParquetFile]:
    """A file that `write_parquet` wrote, to be read in the block.

    whole: its rows will be read; else only what its footer says.
    Raises InputError if it is missing or damaged.
    """
    try:
        if whole:
            check_sealed(path)
        else:
            check_footer(path)
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; has its rule run?") from None
    except (OSError, pa.ArrowException) as error:
        if is_of_system(error):
            raise
        raise damaged(path, error) from error


def rows_of(path: str | Path) -> int:
    """The number of a file's rows. Raises InputError if it is missing or its footer is damaged."""
    with opened(path, whole=False) as file:
        return file.metadata.num_rows


def read_metadata(path: str | Path) -> dict:
    """The JSON-like metadata of a file, without that of other programs."""
    with opened(path, whole=False) as file:
        metadata = file.schema_arrow.metadata or {}
    return {k.decode(): json.loads(v) for k, v in metadata.items() if k not in NOT_OURS}


def read_columns(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A file's rows. Raises InputError if it is missing or damaged, or lacks one of `columns`."""
    with opened(path) as file:
        if missing := [name for name in columns or () if name not in file.schema_arrow.names]:
            raise InputError(f"{path}: has no column {', '.join(missing)}; is it the right file?")
        return file.read(columns)


def read_frame(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The same as a data frame."""
    return read_columns(path, columns).to_pandas()
