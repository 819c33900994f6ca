"""Caltech-101 and Caltech-256, or any images in one folder a class: archives or folders.

Plain tars and folders are read in place. Images of a zip or a compressed tar, which lie nowhere as
they are, are unpacked one after the other into one file.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from ...core.files import InputError, is_of_system, reading, whole_file
from ..examples import Examples
from .folders import SUFFIXES
from .members import HEAD, Hidden, Member, check_images, check_name, flaw, tell_flaws
from .origins import CALTECH
from .tars import BLOCK, GZIP, refuse_compressed, tar_entries

WANTED = (
    "Give caltech-101.zip, 101_ObjectCategories.tar.gz, 256_ObjectCategories.tar, or any zip, tar "
    f"or folder with one folder a class. {CALTECH}"
)
ZIP = b"PK"
PACKED = re.compile(r"\d+_ObjectCategories\.(tar|tar\.gz|tgz)", re.IGNORECASE)  # in a zip
FEWEST = 2  # images of a class: one to learn from, one to test on


class Found(NamedTuple):
    """A file or a folder of a source. name: with folders. place: file, offset and size in bytes of
    an image, where it lies now. flaw: of an image that had to be unpacked, or None."""

    name: PurePosixPath
    is_folder: bool
    place: tuple[str, int, int] | None = None
    flaw: str | None = None


@dataclass
class Unpacked:
    """The file that images are unpacked into, and what it will be called; None if there is none."""

    path: str | None
    stream: BinaryIO | None = None

    def image(self, source: str, name: str, content: bytes) -> Found:
        """An image, written behind the others. Raises InputError if there is no file for it."""
        if self.stream is None or self.path is None:
            raise InputError(
                f"{source}: compressed, so that images cannot be read where they lie; name a file "
                "to unpack them into, or unpack it and give the folder"
            )
        place = self.path, self.stream.tell(), self.stream.write(content)
        what = flaw(content[:HEAD], len(content))
        return Found(_name(name), False, place, f"{source}: {name} {what}" if what else None)


@dataclass
class Gathered:
    """Images by id, the classes, what else lies in their folders, and flaws of unpacked images."""

    members: dict[str, Member] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    strays: list[str] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)

    def add(self, source: str, found: Sequence[Found]) -> None:
        """Sort what a source holds into these. Raises InputError for two images of one id."""
        root = _root(source, found)
        strays: dict[str, None] = {}
        for thing in found:
            if not thing.name.is_relative_to(root):
                continue
            parts = thing.name.relative_to(root).parts
            if thing.is_folder or len(parts) > 1:
                self.classes |= {_class(part) for part in parts[:1]}
            if len(parts) == 2 and thing.place:
                name = f"{_class(parts[0])}/{thing.name.stem}"
                self._add_image(source, Member(name, _class(parts[0]), *thing.place))
                self.flaws += [thing.flaw] if thing.flaw else []
            elif len(parts) > 1 or not thing.is_folder:
                strays["/".join(parts[:2])] = None
        self.strays += strays

    def _add_image(self, source: str, image: Member) -> None:
        if there := self.members.get(image.id):
            raise InputError(
                f"{source}: holds {image.id}, of which there is one already in {there.file}; names "
                "count without what follows the last dot: rename or remove one, and give each "
                "source once"
            )
        self.members[image.id] = image


def read_class_folders(
    sources: Sequence[str | Path],
    unpacked: str | Path | None = None,
    background: str | None = None,
    on_bad_image: str = "error",
    hidden: Hidden | None = None,
) -> tuple[list[Member], Examples, list[str]]:
    """The images in folders of classes, each of its folder's class (appendix B), and what is none.

    sources: zips, tars or folders, in which folders around those of the classes do not count.
    unpacked: file to write with the images of zips and compressed tars, empty if there are none; it
    is whole, or not there. background: the class of images without objects, which must be there.
    on_bad_image: what of images without bytes, or that begin as no image does: "error", or "skip",
    which leaves them to packing. hidden: gets the number of hidden files, which are left out.
    Members are in order of image_ids, `<class>/<name without suffix>`. Parts are to be drawn. The
    third is the names of files and folders beside the images, which are left out too.
    Raises InputError for what is missing, damaged, or of another form.
    """
    hidden = hidden or Hidden(" and ".join(map(str, sources)))
    with contextlib.ExitStack() as files:
        kept = Unpacked(str(unpacked) if unpacked else None)
        if unpacked:
            temporary = files.enter_context(whole_file(unpacked))
            kept.stream = files.enter_context(open(temporary, "wb"))
        gathered = Gathered()
        for source in map(str, sources):
            gathered.add(source, list(_found(source, kept, hidden)))
        _check_classes(" and ".join(map(str, sources)), gathered, background)
        members = [gathered.members[name] for name in sorted(gathered.members)]
        tell_flaws(gathered.flaws, on_bad_image)
        check_images((member for member in members if member.file != kept.path), on_bad_image)
    hidden.tell()
    if strays := sorted(gathered.strays):
        logging.warning(
            "%s: left out %d files and folders that are no images right in the folder of a class: "
            "%s",
            hidden.where,
            len(strays),
            ", ".join(strays[:5]) + (", …" if len(strays) > 5 else ""),
        )
    return members, _examples(members, sorted(gathered.classes)), strays


def _found(source: str, kept: Unpacked, hidden: Hidden) -> Iterator[Found]:
    """All that a source holds but hidden files, with images of compressed ones unpacked."""
    check_name(source, source)
    if os.path.isdir(source):
        yield from _of_folder(source, PurePosixPath(), (os.path.realpath(source),), hidden)
        return
    if not os.path.isfile(source):
        raise InputError(f"{source}: no such file or folder. {WANTED}")
    with reading(source) as file:
        head = file.peek(BLOCK)
        if head.startswith(ZIP):
            yield from _of_zip(source, kept, hidden)
        elif head.startswith(GZIP):
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file))
            yield from _of_stream(stream, source, kept, hidden)
        else:
            _check_is_tar(file, head, source)
            for entry in tar_entries(file, source, hidden):
                name = _name(entry.name)
                is_image = not entry.is_folder and name.suffix.lower() in SUFFIXES
                place = (source, entry.offset, entry.size) if is_image else None
                yield Found(name, entry.is_folder, place)


def _check_is_tar(file: BinaryIO, head: bytes, source: str) -> None:
    """Raise InputError if a file, at its beginning, is no plain tar, with what it is if known."""
    refuse_compressed(head, source, wanted="a zip, a tar.gz or a plain tar is expected")
    if not tarfile.is_tarfile(file):
        raise InputError(f"{source}: is no zip, no tar and no folder. {WANTED}")
    file.seek(0)


def _of_folder(
    folder: str, name: PurePosixPath, above: tuple[str, ...], hidden: Hidden
) -> Iterator[Found]:
    """What a folder holds, and the folders in it. above: it and those around it, without links."""
    with os.scandir(folder) as entries:
        shown = sorted((e for e in entries if not hidden.hides(e.name)), key=lambda e: e.name)
    for entry in shown:
        check_name(entry.name, folder)
        inside = name / entry.name
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if real in above:
                raise InputError(f"{entry.path}: is a link to a folder around it; remove it")
            yield Found(inside, True)
            yield from _of_folder(entry.path, inside, (*above, real), hidden)
        elif entry.is_file():
            is_image = inside.suffix.lower() in SUFFIXES
            place = (entry.path, 0, entry.stat().st_size) if is_image else None
            yield Found(inside, False, place)
        else:
            raise InputError(f"{entry.path}: is neither a file nor a folder; remove it")


def _of_zip(source: str, kept: Unpacked, hidden: Hidden) -> Iterator[Found]:
    """What the tar of a data set in a zip holds; or the zip itself, if there is none in it."""
    try:
        with zipfile.ZipFile(source) as archive:
            infos = [info for info in archive.infolist() if not hidden.hides(info.filename)]
            tars = [info for info in infos if PACKED.fullmatch(_name(info.filename).name)]
            for info in tars or infos:
                if info.header_offset < 0:
                    raise zipfile.BadZipFile("its directory leads out of it")
                if info.flag_bits & 1:
                    raise InputError(f"{source}: is encrypted; unpack it, and give its folder")
                if tars:
                    where = f"{source}: {info.filename}"
                    with archive.open(info) as file:
                        plain = info.filename.lower().endswith(".tar")
                        stream = file if plain else gzip.GzipFile(fileobj=file)
                        yield from _of_stream(cast(BinaryIO, stream), where, kept, hidden)
                    continue
                name = _name(info.filename)
                if info.filename.endswith("/") or name.suffix.lower() not in SUFFIXES:
                    yield Found(name, info.filename.endswith("/"))
                else:
                    yield kept.image(source, info.filename, archive.read(info))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        struct.error,
    ) as error:
        if is_of_system(error):
            raise
        raise InputError(f"{source}: a damaged zip ({error}); download it again") from error


def _of_stream(stream: BinaryIO, where: str, kept: Unpacked, hidden: Hidden) -> Iterator[Found]:
    """What a tar holds whose images do not lie in a file as they are: they are unpacked."""

    def is_image(name: str) -> bool:
        return _name(name).suffix.lower() in SUFFIXES

    for entry in tar_entries(stream, where, hidden, wanted=is_image):
        if entry.content is None:
            yield Found(_name(entry.name), entry.is_folder)
        else:
            yield kept.image(where, entry.name, entry.content)


def _name(name: str) -> PurePosixPath:
    """The name of a file in an archive, which may begin with / or ./."""
    return PurePosixPath(name.lstrip("/"))


def _root(source: str, found: Sequence[Found]) -> PurePosixPath:
    """The folder that holds those of the classes: the first with images in several folders."""
    holders = {thing.name.parent for thing in found if thing.place}
    if not holders:
        raise InputError(f"{source}: holds no images, by their names' ends. {WANTED}")
    root = PurePosixPath()
    while root not in holders:
        children = {holder.relative_to(root).parts[0] for holder in holders}
        child = root / min(children)
        if len(children) > 1 or child in holders:
            break
        root = child
    return root


def _class(folder: str) -> str:
    """A folder's name, in which é is one character: on macOS it may be two."""
    return unicodedata.normalize("NFC", folder)


def _check_classes(where: str, gathered: Gathered, background: str | None) -> None:
    """Raise InputError unless there are several classes, each with images, and the background."""
    counts = Counter(member.wnid for member in gathered.members.values())
    classes = gathered.classes
    if not counts:
        raise InputError(
            f"{where}: holds no images right in the folders of classes"
            f"{f' {min(classes)}, …' if classes else ''}; give a folder with one folder a class"
        )
    if background is not None and background not in classes:
        raise InputError(
            f"{where}: has no class {background}, which counts as one of the classes, 102 of "
            "Caltech-101 and 257 of Caltech-256, though torchvision removes it; unpack the archive "
            "again, or name no background"
        )
    if few := sorted(name for name in classes if counts[name] < FEWEST):
        raise InputError(
            f"{where}: the class {few[0]} has fewer than {FEWEST} images ({counts[few[0]]}), one "
            "to learn from and one to be tested on; add some, or remove its folder"
        )
    if len(classes) == 1:
        raise InputError(f"{where}: holds one class only, {min(classes)}; give several")


def _examples(members: Sequence[Member], classes: list[str]) -> Examples:
    column_of = {name: column for column, name in enumerate(classes)}
    labels = np.full((len(members), len(classes)), -1, np.int8)
    labels[np.arange(len(members)), [column_of[str(member.wnid)] for member in members]] = 1
    names = [member.id for member in members]
    return Examples(
        ids=names,
        image_ids=names,
        images=np.arange(len(names)),
        parts=[""] * len(names),
        labels=labels,
        known=np.ones(len(names), bool),
        boxes=None,
        classes=classes,
        scored=np.ones(len(classes), bool),
    )
