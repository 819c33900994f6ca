"""Tars: what lies in them and where, refused unless they are whole."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, cast

from ...core.files import InputError, is_of_system
from .members import Hidden, check_name

GZIP = b"\x1f\x8b"
COMPRESSED = {
    GZIP: ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}  # how files begin that are no plain tars, what they are, and what makes them so
BLOCK = 512
CHUNK = 2**20
PLAIN = "images are read where they lie in a plain tar"


class Entry(NamedTuple):
    """A file or a folder in a tar. offset, size: in bytes. content: of a file, if asked for."""

    name: str
    is_folder: bool
    offset: int
    size: int
    content: bytes | None


def refuse_compressed(head: bytes, where: str, wanted: str = PLAIN) -> None:
    """Raise InputError if a file is compressed. head: how it begins. wanted: what is, as words."""
    for signature, (form, cure) in COMPRESSED.items():
        if head.startswith(signature):
            raise InputError(
                f"{where}: compressed ({form}), but {wanted}; unpack it with {cure} and give what "
                "comes out"
            )


def tar_entries(
    stream: BinaryIO,
    where: str,
    hidden: Hidden,
    wanted: Callable[[str], bool] = lambda name: False,
) -> Iterator[Entry]:
    """Files and folders of a tar, but for hidden ones, in its order.

    stream: a file that can be sought in, at its beginning. wanted: of which names the contents are
    read; in a plain tar, the others are passed over.
    Raises InputError if it is no tar, damaged or cut short, or holds links or sparse files.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # up to 1.3 million headers
                if hidden.hides(member.name):
                    continue
                check_name(member.name, where)
                _check_kind(member, where)
                content = None
                if member.isfile() and wanted(member.name):
                    content = cast(BinaryIO, archive.extractfile(member)).read()
                yield Entry(member.name, member.isdir(), member.offset_data, member.size, content)
            _check_end(stream, archive.offset, where)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error) as error:
        if is_of_system(error):
            raise
        raise InputError(
            f"{where}: not a complete tar, or a damaged one ({error}); download it again"
        ) from error


def _check_kind(member: tarfile.TarInfo, where: str) -> None:
    """Raise InputError for what is neither a folder nor a file whose bytes lie in one piece."""
    if not (member.isfile() or member.isdir()):
        raise InputError(
            f"{where}: {member.name} is a link or a device, not a file; download the archive "
            "again, or unpack it and pack it again without such"
        )
    if member.issparse():
        raise InputError(
            f"{where}: {member.name} is stored as a sparse file, whose bytes do not lie in one "
            "piece; unpack the archive and pack it again without tar's option -S (--sparse)"
        )


def _check_end(stream: BinaryIO, place: int, where: str) -> None:
    """Raise InputError unless all that follows a tar's last member is its end mark and zeros.

    `tarfile` takes a tar for ended wherever no header follows: where it is cut or damaged, too.
    """
    stream.seek(place)
    zeros, ended = 0, False
    while chunk := stream.read(CHUNK):
        if content := chunk.strip(b"\0"):
            zeros += chunk.index(content)
            ended = True
            break
        zeros += len(chunk)
    if ended and zeros >= BLOCK:
        raise InputError(
            f"{where}: holds more after its end, at byte {place}; if tars were joined, unpack them "
            "and pack one, or download it again"
        )
    if ended or zeros < 2 * BLOCK:
        raise InputError(
            f"{where}: breaks off or is damaged at byte {place}, where its end mark or a member "
            "should be; download it again"
        )
