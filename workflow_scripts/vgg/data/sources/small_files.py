"""Small files of a folder or of a tar, one after the other: annotations, and lists about images.

A tar is read once from its beginning to its end, unpacked in passing if it is compressed by gzip;
one of its files at a time is in memory, a tar in it whole.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ...core.files import InputError, read_bytes, reading
from .members import Hidden, check_name
from .origins import ILSVRC
from .tars import BLOCK, GZIP, refuse_compressed, tar_entries

TARS = (".tar", ".tar.gz", ".tgz")


class Found(NamedTuple):
    """A file: what an error calls it, its name with folders, its content."""

    where: str
    name: str
    content: bytes


def files_of(path: str | Path) -> Iterator[Found]:
    """All files of a folder and the folders in it, or of a tar and the tars in it.

    Hidden files, such as macOS's, are left out and counted in the log.
    Raises InputError if there is no such folder or file, or a tar is damaged, cut short or none, or
    holds links.
    """
    path = Path(path)
    hidden = Hidden(str(path))
    if path.is_dir():
        yield from _of_folder(path, hidden)
    elif path.is_file():
        with reading(path) as file:
            yield from _of_tar(file, str(path), hidden)
    else:
        raise InputError(f"{path}: no such file or folder. {ILSVRC}")
    hidden.tell()


def _of_folder(folder: Path, hidden: Hidden) -> Iterator[Found]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if hidden.hides(entry.name):
            continue
        check_name(entry.name, str(folder))
        if entry.is_dir():
            yield from _of_folder(Path(entry.path), hidden)
        elif entry.is_file():
            yield Found(entry.path, entry.path, read_bytes(entry.path))
        else:
            raise InputError(f"{entry.path}: is neither a file nor a folder; remove it")


def _of_tar(stream: BinaryIO, where: str, hidden: Hidden) -> Iterator[Found]:
    """stream: a file that has `peek`."""
    head = stream.peek(BLOCK)  # type: ignore[attr-defined]
    if head.startswith(GZIP):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    else:
        refuse_compressed(head, where, wanted="a tar or tar.gz is expected")
    for entry in tar_entries(stream, where, hidden, wanted=lambda name: True):
        if entry.content is None:
            continue
        inside = f"{where}: {entry.name}"
        if entry.name.lower().endswith(TARS):
            inner = io.BufferedReader(io.BytesIO(entry.content))  # type: ignore[arg-type]
            yield from _of_tar(cast(BinaryIO, inner), inside, hidden)
        else:
            yield Found(inside, entry.name, entry.content)
