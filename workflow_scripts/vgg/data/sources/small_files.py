"""Small files of a folder or of a tar, one after the other: annotations, and lists about images.

A tar is read once from its beginning to its end, unpacked in passing if it is compressed by gzip;
one of its files at a time is in memory.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ...core.files import InputError, is_of_system, read_bytes, reading
from .archives import BLOCK, CHUNK, COMPRESSED, WHERE_TO_GET
from .members import Hidden, check_name

GZIP = b"\x1f\x8b"
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
        raise InputError(f"{path}: no such file or folder. {WHERE_TO_GET}")
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
        for signature, (kind, cure) in COMPRESSED.items():
            if head.startswith(signature):
                raise InputError(
                    f"{where}: compressed ({kind}), but a tar or tar.gz is expected; unpack it "
                    f"with {cure} and give what comes out"
                )
    try:
        with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # half a million headers
                if member.isdir() or hidden.hides(member.name):
                    continue
                check_name(member.name, where)
                if not member.isfile():
                    raise InputError(
                        f"{where}: {member.name} is a link or a device, not a file; download the "
                        "archive again"
                    )
                inside = f"{where}: {member.name}"
                content = cast(BinaryIO, archive.extractfile(member))
                if member.name.lower().endswith(TARS):
                    yield from _of_tar(content, inside, hidden)
                else:
                    yield Found(inside, member.name, content.read())
            _check_end(stream)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error) as error:
        if is_of_system(error):
            raise
        raise InputError(
            f"{where}: not a complete tar, or a damaged one ({error}); download it again"
        ) from error


def _check_end(stream: BinaryIO) -> None:
    """Raise ReadError unless all that is left of a tar is the second half of its end mark, or more.

    `tarfile` takes a tar for ended wherever no header follows: where it is cut or damaged, too.
    """
    zeros = 0
    while chunk := stream.read(CHUNK):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("no header where a file should begin")
        zeros += len(chunk)
    if zeros < BLOCK:
        raise tarfile.ReadError("its end is missing")
