"""ILSVRC-2012's archives, read in place: an index of member offsets, then single members by offset.

Nothing is unpacked to disk. The training archive is a tar of tars, one a class; the validation and
test archives are flat, or nested in one folder.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from .files import InputError
from .members import Member

WHERE_TO_GET = (
    "ILSVRC-2012 is distributed by https://image-net.org/download after registration; "
    "put its archives into the folder that `data.directory` names in the configuration"
)


def require(path: str | Path) -> Path:
    """The path, if it is a file. Raises InputError saying where ILSVRC-2012 is obtained."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. {WHERE_TO_GET}")
    return path


def image_members(path: str | Path) -> Iterator[Member]:
    """All images of an archive, in the archive's order; wnid is the name of the inner tar.

    Raises InputError if the archive is missing, truncated, not a tar, or holds a foreign file.
    """
    path = require(path)
    length = path.stat().st_size
    with open(path, "rb") as file:
        for member in _files(file, str(path)):
            name = PurePosixPath(member.name)
            if name.suffix == ".tar":
                inner = _Slice(file, member.offset_data, member.size, length, f"{path}: {name}")
                for image in _files(inner, f"{path}: {name}"):
                    yield _member(
                        path, f"{path}: {name}", image, member.offset_data, length, name.stem
                    )
            else:
                yield _member(path, str(path), member, 0, length, None)


def _files(file: BinaryIO, where: str) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # 1.3 million headers need not stay in memory
                if member.isfile():
                    yield member
                elif not member.isdir():
                    raise InputError(
                        f"{where}: {member.name} is a link or a device, not a file; this is not "
                        "one of ILSVRC-2012's archives"
                    )
    except tarfile.TarError as error:
        raise InputError(
            f"{where}: not a complete tar archive ({error}); download it again"
        ) from error


def _member(
    path: Path, where: str, info: tarfile.TarInfo, start: int, length: int, wnid: str | None
) -> Member:
    name = PurePosixPath(info.name)
    if name.suffix.upper() not in (".JPEG", ".JPG"):
        raise InputError(
            f"{where}: {info.name} is not named as a JPEG; is this one of ILSVRC-2012's archives? "
            "Then download it again"
        )
    offset = start + info.offset_data
    if offset + info.size > length:
        raise InputError(f"{where}: truncated inside {info.name}; download the archive again")
    return Member(name.stem, wnid, str(path), offset, info.size)


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
