"""Parquet files with checksums: of the whole file, and of its pages for other programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from .checksums import check_footer, check_sealed, damaged, seal
from .files import InputError, is_of_system, whole_file

if TYPE_CHECKING:
    import pandas as pd


def write_parquet(path: str | Path, table: pa.Table, **options) -> None:
    """Write a table, whole or not at all; options are those of pyarrow."""
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True, **options)
        seal(temporary)


def write_frame(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a data frame without its index."""
    write_parquet(path, pa.Table.from_pandas(frame, preserve_index=False))


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


def read_frame(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A file's rows. Raises InputError if it is missing or damaged."""
    with opened(path) as file:
        return file.read(columns).to_pandas()
