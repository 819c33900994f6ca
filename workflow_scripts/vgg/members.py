"""Images where they lie: in archives, folders or unpacked files, named by file, offset and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .files import InputError

AHEAD = 64 * 2**20  # bytes that are read before they are needed, so that files are read in order


@dataclass(frozen=True)
class Member:
    """An image file: id (its name without suffix), wnid (its class, or None if the name of an
    archive or folder does not tell), and the file, offset and size in bytes where it lies."""

    id: str
    wnid: str | None
    file: str
    offset: int
    size: int


def read_members(members: Iterable[tuple[str, int, int]]) -> Iterator[bytes]:
    """The bytes of each (file, offset, size), in the order given.

    Up to 64 MiB are read at a time in the order in which they lie on the disk: images in id order
    lie scattered within their class's part of an archive. A member that its file ends before is
    given as far as it goes. Raises InputError if a file is missing.
    """
    files: dict[str, BinaryIO] = {}
    window: list[tuple[str, int, int]] = []
    size = 0
    try:
        for member in members:
            window.append(member)
            size += member[2]
            if size >= AHEAD:
                yield from _read_in_order(window, files)
                window, size = [], 0
        yield from _read_in_order(window, files)
    finally:
        for file in files.values():
            file.close()


def _read_in_order(window: list[tuple[str, int, int]], files: dict[str, BinaryIO]) -> list[bytes]:
    contents: dict[tuple[str, int, int], bytes] = {}
    for name, offset, size in sorted(window):
        if name not in files:
            if len(files) >= 64:  # folders of single images: keep few open
                files.pop(next(iter(files))).close()
            if not Path(name).is_file():
                raise InputError(f"{name}: no such file, though it was there when it was indexed")
            files[name] = open(name, "rb")  # noqa: SIM115
        files[name].seek(offset)
        contents[name, offset, size] = files[name].read(size)
    return [contents[member] for member in window]
