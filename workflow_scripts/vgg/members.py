"""Images where they lie: in archives, folders or unpacked files, named by file, offset and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

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
    window: list[tuple[str, int, int]] = []
    ahead = 0
    for member in members:
        window.append(member)
        ahead += member[2]
        if ahead >= AHEAD:
            yield from _read_in_order(window)
            window, ahead = [], 0
    yield from _read_in_order(window)


def _read_in_order(window: list[tuple[str, int, int]]) -> list[bytes]:
    contents: dict[tuple[str, int, int], bytes] = {}
    for name, members in groupby(sorted(window), key=itemgetter(0)):
        try:
            with open(name, "rb") as file:
                for member in members:
                    _, offset, size = member
                    file.seek(offset)
                    contents[member] = file.read(size)
        except FileNotFoundError as error:
            raise InputError(
                f"{name}: no such file, though it was there when it was indexed"
            ) from error
    return [contents[member] for member in window]
