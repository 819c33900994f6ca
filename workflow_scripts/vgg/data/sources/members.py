"""Images where they lie: in archives, folders or unpacked files, named by file, offset and size."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path, PurePosixPath

from ...core.files import InputError, reading
from ...core.progress import Progress

AHEAD = 64 * 2**20  # bytes that are read before they are needed, so that files are read in order
HEAD = 16  # bytes that tell an image from other files
# How files begin of the formats that `images` reads: JPEG, PNG, GIF, BMP, TIFF twice, WebP.
SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II", b"MM", b"RIFF")
ON_BAD_IMAGE = ("error", "skip")  # what is done about an image that cannot be read
BAD_IMAGE_CURE = "repair or replace it, or leave such images out with data.on_bad_image: skip"
SYSTEM_FOLDERS = ("__MACOSX", "lost+found")


@dataclass(frozen=True)
class Member:
    """An image file: id (its name without suffix), wnid (its class, or None if the name of an
    archive or folder does not tell), and the file, offset and size in bytes where it lies."""

    id: str
    wnid: str | None
    file: str
    offset: int
    size: int


@dataclass
class Hidden:
    """Counts the hidden files of a data set, and those of macOS and of file systems."""

    where: str
    count: int = 0
    first: str = ""

    def hides(self, name: str) -> bool:
        """Whether a file of that name, with its folders, is hidden and to be left out."""
        parts = PurePosixPath(name).parts
        hidden = any((p[0] == "." and p != "..") or p in SYSTEM_FOLDERS for p in parts)
        if hidden:
            self.count += 1
            self.first = self.first or name
        return hidden

    def tell(self) -> None:
        """Log how many there were."""
        if self.count:
            logging.info(
                "%s: %d hidden files or folders left out, such as %s",
                self.where,
                self.count,
                shown(self.first),
            )


def shown(name: str) -> str:
    """A name on one line: bytes that are not UTF-8 as \\xe9, line breaks as \\n."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_name(name: str, where: str) -> None:
    """Raise InputError if a file's name is not UTF-8, in which ids are stored."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{shown(where)}: the name {shown(name)} is not UTF-8, in which ids are kept; "
            "rename the file, for example with convmv"
        ) from error


def flaw(head: bytes, size: int) -> str | None:
    """Why a file is no image, by its first bytes and its size; None if it may be one."""
    if not size:
        return "has no bytes"
    if not head.startswith(SIGNATURES):
        return f"is no image; it begins with {head!r}"
    return None


def with_flaws(members: Iterable[Member]) -> Iterator[tuple[Member, str | None]]:
    """Each member with its flaw, if it has one.

    Reads a few bytes where each begins: in an archive, beside the header that was just read, which
    takes some 20 µs of 200 a member; of folders, every file is opened once.
    """
    for name, of_file in groupby(members, key=attrgetter("file")):
        with reading(name) as file:
            for member in of_file:
                file.seek(member.offset)
                yield member, flaw(file.read(min(HEAD, member.size)), member.size)


def check_images(members: Iterable[Member], on_bad_image: str) -> None:
    """Look at how each image begins; raises InputError or logs, as `on_bad_image` says."""
    in_place = sorted(members, key=attrgetter("file", "offset"))
    progress = Progress(len(in_place), "images")
    flaws = []
    for member, what in with_flaws(in_place):
        if what:
            flaws.append(f"{member.file}: {member.id} {what}")
        progress.update(1)
    tell_flaws(flaws, on_bad_image)


def tell_flaws(flaws: Sequence[str], on_bad_image: str | None) -> None:
    """Raise InputError for bad images if on_bad_image is "error", else log them."""
    if flaws:
        more = f" (and {len(flaws) - 1} more like it)" if len(flaws) > 1 else ""
        if on_bad_image == "error":
            raise InputError(f"{flaws[0]}{more}; {BAD_IMAGE_CURE}")
        logging.warning("%s%s; packing will leave it out", flaws[0], more)


WHOLE_FILES = "whole_files"  # in an index's metadata: its images are files of their own
# The same: they are members of an archive of that size, or of archives, sizes by name.
ARCHIVE_BYTES = "archive_bytes"


class Unchanged:
    """Refuses files that have changed since they were indexed, where offsets would lead astray.

    index: path of the index. state: its metadata, which has no times, by which runs would differ.
    """

    def __init__(self, index: str | Path, state: Mapping[str, object]):
        self.index, self.state = index, state
        self.made = Path(index).stat().st_mtime_ns

    def check(self, name: str, found: os.stat_result, size: int) -> None:
        """Raise InputError if a file that holds an image of `size` bytes has changed."""
        archives = self.state.get(ARCHIVE_BYTES, {})
        if not isinstance(archives, Mapping):  # of one archive, which holds all images
            archives = {name: archives}
        expected = archives.get(name, size if self.state.get(WHOLE_FILES) else None)
        later = name in archives and found.st_mtime_ns > self.made
        if later or expected not in (None, found.st_size):
            raise InputError(
                f"{name}: has changed since it was indexed; delete {self.index} and run the "
                "command again"
            )


def read_members(
    members: Iterable[tuple[str, int, int]], unchanged: Unchanged | None = None
) -> Iterator[bytes]:
    """The bytes of each (file, offset, size), in the order given.

    Up to 64 MiB are read at a time in the order in which they lie on the disk: images in id order
    lie scattered within their class's part of an archive. A member that its file ends before is
    given as far as it goes. Raises InputError if a file is missing, or has changed.
    """
    window: list[tuple[str, int, int]] = []
    ahead = 0
    for member in members:
        window.append(member)
        ahead += member[2]
        if ahead >= AHEAD:
            yield from _read_in_order(window, unchanged)
            window, ahead = [], 0
    yield from _read_in_order(window, unchanged)


def _read_in_order(window: list[tuple[str, int, int]], unchanged: Unchanged | None) -> list[bytes]:
    contents: dict[tuple[str, int, int], bytes] = {}
    for name, members in groupby(sorted(window), key=itemgetter(0)):
        try:
            with reading(name) as file:
                for member in members:
                    _, offset, size = member
                    if unchanged:
                        unchanged.check(name, os.fstat(file.fileno()), size)
                    file.seek(offset)
                    contents[member] = file.read(size)
        except FileNotFoundError as error:
            raise InputError(
                f"{name}: no such file, though it was there when it was indexed"
            ) from error
    return [contents[member] for member in window]
