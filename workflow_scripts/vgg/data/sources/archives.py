"""ILSVRC-2012's archives, read in place: an index of member offsets, then single members by offset.

Nothing is unpacked to disk. The training archive is a tar of tars, one a class; the validation and
test archives are flat, or nested in one folder.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ...core.files import InputError, reading
from ...core.text_artefacts import read_json
from .members import Hidden, Member, check_name
from .text_lists import WNID

WHERE_TO_GET = (
    "ILSVRC-2012 is distributed by https://image-net.org/download after registration; "
    "put its archives into the folder that `data.directory` names in the configuration"
)

COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}  # how files begin that are no plain tars, what they are, and what makes them so
BLOCK = 512
CHUNK = 2**20


def require(path: str | Path) -> Path:
    """The path, if it is a file. Raises InputError saying where ILSVRC-2012 is obtained."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. {WHERE_TO_GET}")
    return path


def check_verified(record: str | Path) -> None:
    """Raise InputError if an archive is not, by size and time, the one whose MD5 sum was verified.

    record: what `verify_archive` wrote about it.
    """
    content = read_json(record)
    state = require(content["archive"]).stat()
    if (content["bytes"], content["modified_ns"]) != (state.st_size, state.st_mtime_ns):
        raise InputError(
            f"{content['archive']}: has changed since its MD5 sum was verified; delete {record}"
        )


def image_members(path: str | Path) -> Iterator[Member]:
    """All images of an archive, in the archive's order; wnid is the name of the inner tar.

    Hidden files, such as macOS's, are left out and counted in the log.
    Raises InputError if the archive is missing, truncated, not a tar, or holds a foreign file.
    """
    path = require(path)
    length = path.stat().st_size
    hidden = Hidden(str(path))
    with reading(path) as file:
        for member in _files(file, str(path), hidden):
            name = PurePosixPath(member.name)
            if name.suffix.lower() == ".tar":
                if not WNID.fullmatch(name.stem):
                    raise InputError(
                        f"{path}: holds {name}, which is no class's tar, whose name would be a "
                        "WNID; if an archive was packed into another, unpack the outer one"
                    )
                where = f"{path}: {name}"
                inner = _Slice(file, member.offset_data, member.size, length=length, where=where)
                for image in _files(inner, where, hidden):
                    yield _member(
                        path,
                        where,
                        image,
                        start=member.offset_data,
                        length=length,
                        wnid=name.stem,
                    )
            else:
                yield _member(path, str(path), member, start=0, length=length, wnid=None)
    hidden.tell()


def _files(file: BinaryIO | _Slice, where: str, hidden: Hidden) -> Iterator[tarfile.TarInfo]:
    _check_beginning(file, where)
    try:
        with tarfile.open(fileobj=cast(BinaryIO, file), mode="r:", encoding="utf-8") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # 1.3 million headers
                if member.isdir() or hidden.hides(member.name):
                    continue
                check_name(member.name, where)
                if not member.isfile():
                    raise InputError(
                        f"{where}: {member.name} is a link or a device, not a file; this is not "
                        "one of ILSVRC-2012's archives"
                    )
                if member.issparse():
                    raise InputError(
                        f"{where}: {member.name} is stored as a sparse file, whose bytes do not "
                        "lie in one piece; unpack the archive and pack it again without tar's "
                        "option -S (--sparse)"
                    )
                yield member
            _check_end(file, archive.offset, where)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: not a complete tar archive ({error}); download it again"
        ) from error


def _check_beginning(file: BinaryIO | _Slice, where: str) -> None:
    """Raise InputError if a file is compressed, which leaves its images nowhere to be read."""
    file.seek(0)
    head = file.read(BLOCK)
    file.seek(0)
    for signature, (kind, cure) in COMPRESSED.items():
        if head.startswith(signature):
            raise InputError(
                f"{where}: compressed ({kind}), but images are read where they lie in a plain "
                f"tar; unpack it with {cure} and give what comes out"
            )


def _check_end(file: BinaryIO | _Slice, place: int, where: str) -> None:
    """Raise InputError unless all that follows a tar's last member is its end mark and zeros.

    `tarfile` takes a tar for ended wherever no header follows: where it is cut, too.
    """
    file.seek(place)
    zeros, ended = 0, False
    while chunk := file.read(CHUNK):
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


def _member(
    path: Path, where: str, info: tarfile.TarInfo, start: int, length: int, wnid: str | None
) -> Member:
    name = PurePosixPath(info.name)
    if wnid is None and WNID.fullmatch(name.parent.name):
        raise InputError(
            f"{where}: holds folders of classes, such as {name.parent}, where a tar of one tar a "
            "class is expected; unpack it, and read its folders with data.source: folder or kaggle"
        )
    if name.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        raise InputError(
            f"{where}: {name} is compressed, but images are read where they lie in plain tars; "
            "unpack the archive, then its tars, for example with gunzip, and pack these again"
        )
    if name.suffix.upper() not in (".JPEG", ".JPG"):
        raise InputError(
            f"{where}: {info.name} is not named as a JPEG; is this one of ILSVRC-2012's archives? "
            "Then download it again"
        )
    offset = start + info.offset_data
    if info.size < 0 or offset + info.size > length:
        raise InputError(f"{where}: truncated inside {info.name}; download the archive again")
    return Member(name.stem, wnid, str(path), offset=offset, size=info.size)


class _Slice:
    """A read-only view of part of a file, enough of a file for `tarfile`."""

    def __init__(self, file: BinaryIO, start: int, size: int, length: int, where: str):
        if start + size > length:
            raise InputError(f"{where}: truncated; download the archive again")
        self.file, self.start, self.size, self.position = file, start, size, 0

    def tell(self) -> int:
        return self.position

    def seek(self, position: int, whence: int = 0) -> int:
        base = (0, self.position, self.size)[whence]
        self.position = base + position
        return self.position

    def read(self, count: int = -1) -> bytes:
        left = max(self.size - self.position, 0)
        count = left if count < 0 else min(count, left)
        self.file.seek(self.start + self.position)
        content = self.file.read(count)
        self.position += len(content)
        return content
