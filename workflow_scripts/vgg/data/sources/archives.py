"""ILSVRC-2012's archives, read in place: an index of member offsets, then single members by offset.

Nothing is unpacked to disk. The training archive is a tar of tars, one a class; the validation and
test archives are flat, or nested in one folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ...core.files import InputError, reading
from ...core.text_artefacts import read_json
from ...core.text_lists import WNID
from .members import Hidden, Member
from .origins import ILSVRC, where_to_get
from .tars import BLOCK, Entry, refuse_compressed, tar_entries


def require(path: str | Path, origin: str | None = None) -> Path:
    """The path, if it is a file. Raises InputError saying where it is obtained.

    origin: one of `origins`; if None, what the file's name tells.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. {origin or where_to_get(path)}")
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


def image_members(path: str | Path, wanted: Collection[str] | None = None) -> Iterator[Member]:
    """All images of an archive, in the archive's order; wnid is the name of the inner tar.

    wanted: WNIDs; the tars of other classes are passed over. Hidden files, such as macOS's, are
    left out and counted in the log.
    Raises InputError if the archive is missing, truncated, not a tar, or holds a foreign file.
    """
    path = require(path, ILSVRC)
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
                if wanted is not None and name.stem not in wanted:
                    continue
                where = f"{path}: {name}"
                inner = _Slice(file, member.offset, member.size, length=length, where=where)
                for image in _files(inner, where, hidden):
                    yield _member(
                        path,
                        where,
                        image,
                        start=member.offset,
                        length=length,
                        wnid=name.stem,
                    )
            else:
                yield _member(path, str(path), member, start=0, length=length, wnid=None)
    hidden.tell()


def _files(file: BinaryIO | _Slice, where: str, hidden: Hidden) -> Iterator[Entry]:
    """All files of a plain tar. Raises InputError if it is compressed, or damaged."""
    file.seek(0)
    refuse_compressed(file.read(BLOCK), where)
    file.seek(0)
    entries = tar_entries(cast(BinaryIO, file), where, hidden)
    return (entry for entry in entries if not entry.is_folder)


def _member(
    path: Path, where: str, info: Entry, start: int, length: int, wnid: str | None
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
    offset = start + info.offset
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
