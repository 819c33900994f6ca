"""The files of a PASCAL VOC, in its tars or in folders of their form: what is where.

`VOCdevkit/VOC<year>/` holds JPEGImages/<id>.jpg, Annotations/<id>.xml, and lists: of objects in
ImageSets/Main, of people's actions in ImageSets/Action. No content but that of lists is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ...core.files import InputError, reading
from ...core.text_lists import numbered_lines
from .members import Hidden, check_name, read_members
from .origins import VOC
from .tars import BLOCK, refuse_compressed, tar_entries

WANTED = (
    "Give archives, such as VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar, or a folder "
    f"VOCdevkit. {VOC}"
)
YEAR = re.compile(r"VOC\d{4}", re.ASCII)
IMAGE, ANNOTATION, LIST = "JPEGImages", "Annotations", "ImageSets"
SUFFIXES = {IMAGE: (".jpg", ".jpeg"), ANNOTATION: (".xml",), LIST: (".txt",)}
OBJECTS, ACTIONS = "Main", "Action"  # folders of lists


class Place(NamedTuple):
    """Where a file lies: what an error calls it, and its file, offset and size in bytes."""

    where: str
    file: str
    offset: int
    size: int


@dataclass
class DataSet:
    """The files of all sources, by the folder of their kind and their name without suffix.

    where: the sources, as an error calls them. task: OBJECTS or ACTIONS.
    """

    where: str
    task: str
    places: dict[str, dict[str, Place]] = field(
        default_factory=lambda: {kind: {} for kind in SUFFIXES}
    )

    def add(self, kind: str, name: str, place: Place) -> None:
        """Raises InputError if there is one of that name."""
        if there := self.places[kind].get(name):
            raise InputError(
                f"{place.where}: {there.where} is the same file of the data set; give each source "
                "once, and remove one of two copies"
            )
        self.places[kind][name] = place

    def lines(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """(what an error calls it, its words) of each line of a list."""
        place = self.places[LIST][name]
        (content,) = read_members([place[1:]])
        for where, line in numbered_lines(place.where, content):
            yield where, line.split()


def opened(sources: Sequence[str | Path], task: str, hidden: Hidden | None = None) -> DataSet:
    """What the sources hold of a task's files. Raises InputError unless they are of one year."""
    data = DataSet(" and ".join(map(str, sources)), task)
    hidden = hidden or Hidden(data.where)
    root_of: dict[str, PurePosixPath] = {}
    for source in map(str, sources):
        check_name(source, source)
        if os.path.isdir(source):
            found = _of_folder(Path(source), task, hidden)
        elif os.path.isfile(source):
            found = _of_tar(source, task, hidden)
        else:
            raise InputError(f"{source}: no such file or folder. {WANTED}")
        for root, kind, name, place in found:
            _check_root(source, root, root_of)
            data.add(kind, name, place)
        if source not in root_of:
            raise InputError(
                f"{source}: holds no VOCdevkit/VOC<year>/ with {IMAGE}, or {LIST}/{task}, in it. "
                f"{WANTED}"
            )
    hidden.tell()
    return data


def _check_root(source: str, root: PurePosixPath, root_of: dict[str, PurePosixPath]) -> None:
    """Raise InputError if a source is of several data sets, or of another year than others.

    root: the data set's folder of one of the source's files. root_of: gets it, by source.
    """
    for other, its in root_of.items():
        years = its.name, root.name
        if other == source and its != root:
            raise InputError(f"{source}: holds {its} and also {root}; give one of them")
        if years[0] != years[1] and all(map(YEAR.fullmatch, years)):
            raise InputError(
                f"{source}: is of {years[1]}, but {other} of {years[0]}; give sources of one year"
            )
    root_of[source] = root


def _of_tar(
    path: str, task: str, hidden: Hidden
) -> Iterator[tuple[PurePosixPath, str, str, Place]]:
    """(the folder of its data set, its kind, its name, its place) of each file in a plain tar."""
    with reading(path) as file:
        refuse_compressed(file.peek(BLOCK), path)
        for entry in tar_entries(file, path, hidden):
            name = PurePosixPath(entry.name)
            if entry.is_folder or (found := _kind(name, task)) is None:
                continue
            kind, root = found
            where = f"{path}: {entry.name}"
            yield root, kind, name.stem, Place(where, path, entry.offset, entry.size)


def _kind(name: PurePosixPath, task: str) -> tuple[str, PurePosixPath] | None:
    """(its kind, the folder of its data set) of a file; None if the task does not ask for it."""
    kind, root = name.parent.name, name.parent.parent
    if kind == task and root.name == LIST:
        kind, root = LIST, root.parent
    elif kind != IMAGE and (kind != ANNOTATION or task != ACTIONS):
        return None
    return (kind, root) if name.suffix.lower() in SUFFIXES[kind] else None


def _of_folder(
    folder: Path, task: str, hidden: Hidden
) -> Iterator[tuple[PurePosixPath, str, str, Place]]:
    """The same of a folder, which is a data set's or holds one, in VOCdevkit or not."""
    holders = [folder, *_folders(folder, hidden)]
    holders += _folders(folder / "VOCdevkit", hidden)
    roots = [path for path in holders if (path / IMAGE).is_dir() or (path / LIST).is_dir()]
    for root in [folder] if folder in roots else roots:
        for part in (root / IMAGE, root / ANNOTATION, root / LIST / task):
            for entry in _entries(part, hidden):
                name = PurePosixPath(entry.path)
                if entry.is_file() and (found := _kind(name, task)):
                    place = Place(entry.path, entry.path, 0, entry.stat().st_size)
                    yield PurePosixPath(os.path.realpath(root)), found[0], name.stem, place


def _folders(folder: Path, hidden: Hidden) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder, hidden) if entry.is_dir()]


def _entries(folder: Path, hidden: Hidden) -> list[os.DirEntry]:
    """What a folder holds, but for hidden files, in order of names; nothing if there is none."""
    if not folder.is_dir():
        return []
    entries = [entry for entry in os.scandir(folder) if not hidden.hides(entry.name)]
    for entry in entries:
        check_name(entry.name, str(folder))
    return sorted(entries, key=lambda entry: entry.name)
