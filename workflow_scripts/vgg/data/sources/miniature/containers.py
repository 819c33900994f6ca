"""Tars, zips and compressed files that are the same bytes whenever they are made: without times."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ....core.files import whole_file


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar that is open for writing."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar_of(files: Mapping[str, bytes], root: str) -> bytes:
    """A tar of files in a folder, by name, each folder before what it holds.

    A name that ends with a slash is a folder without files.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        written: set[str] = set()
        for name in sorted(files):
            steps = f"{root}/{name}".split("/")
            for depth in range(1, len(steps)):
                folder = "/".join(steps[:depth])
                if folder not in written:
                    written.add(folder)
                    _add_folder(archive, folder)
            if steps[-1]:
                add_file(archive, "/".join(steps), files[name])
    return stream.getvalue()


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(member)


def gzip_of(content: bytes) -> bytes:
    """Compressed without the name and time that gzip would record."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, stream, mtime=0) as file:
        file.write(content)
    return stream.getvalue()


def zip_of(entries: Mapping[str, bytes]) -> bytes:
    """A zip, not compressed, of entries without times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # Unix, on all systems
            entry.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else 0o100644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


def text_of(lines: Iterable[str]) -> bytes:
    """Lines as a file's content."""
    return "".join(f"{line}\n" for line in lines).encode()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
