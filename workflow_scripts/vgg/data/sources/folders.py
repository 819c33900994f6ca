"""Folders of images: one folder a class, or one folder of them all."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from ...core.files import InputError
from .members import Hidden, Member, check_name

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_classes(folder: str | Path) -> pd.DataFrame:
    """The classes of a folder of class folders: label (place in sorted order), wnid, words.

    A class's wnid and words are its folder's name. Raises InputError if there are no folders.
    """
    names = class_folders(folder)
    return pd.DataFrame(
        {"label": pd.array(range(len(names)), "int32"), "wnid": names, "words": names}
    )


def class_folders(folder: str | Path) -> list[str]:
    """Names of the class folders, sorted. Raises InputError if there are none."""
    hidden = Hidden(str(folder))
    entries = [entry for entry in _entries(Path(folder), hidden) if entry.is_dir()]
    names = sorted(_class(entry) for entry in entries)
    if not names:
        raise InputError(f"{folder}: holds no folders; one a class is expected")
    if twice := next((this for this, other in pairwise(names) if this == other), None):
        raise InputError(f"{folder}: two folders are called {twice} in two forms of Unicode")
    return names


def image_files(folder: str | Path, wanted: Collection[str] | None = None) -> list[Member]:
    """All images of a folder, or of its class folders, with these folders' names as `wnid`.

    wanted: names of classes; the folders of others are not listed. The id is the name without
    suffix; if two classes hold the same name, every id becomes `<class>/<name>`. Hidden files are
    left out, and counted in the log.
    Raises InputError if the folder is missing or empty, holds both images and folders, or holds a
    file that is no image.
    """
    folder = Path(folder)
    hidden = Hidden(str(folder))
    entries = _entries(folder, hidden)
    classes = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if not entry.is_dir()]
    if classes and loose:
        raise InputError(
            f"{folder}: holds class folders and also {loose[0].name}; "
            "expected one folder a class, or images only"
        )
    members = list(_images(loose, None))
    for entry in classes:
        if wanted is None or _class(entry) in wanted:
            members += _images(_entries(Path(entry.path), hidden), _class(entry))
    hidden.tell()
    if not members:
        raise InputError(
            f"{folder}: holds no images{'' if wanted is None else ' of these classes'}"
        )
    if max(Counter(member.id for member in members).values()) > 1 and classes:
        members = [replace(member, id=f"{member.wnid}/{member.id}") for member in members]
    return members


def _class(entry: os.DirEntry) -> str:
    """A class folder's name, in which é is one character: on macOS it may be two."""
    return unicodedata.normalize("NFC", entry.name)


def _entries(folder: Path, hidden: Hidden) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not hidden.hides(entry.name)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder}: no such folder; see data.source and data.directory in config/README.md"
        ) from error
    for entry in shown:
        check_name(entry.name, str(folder))
        if not (entry.is_file() or entry.is_dir()):
            lost = entry.is_symlink() and not os.path.exists(entry.path)
            what = "a link that leads nowhere" if lost else "neither a file nor a folder"
            raise InputError(f"{entry.path}: is {what}; remove it from the data set's folders")
    return sorted(shown, key=lambda entry: entry.name)


def _images(entries: list[os.DirEntry], wnid: str | None) -> Iterator[Member]:
    for entry in entries:
        stem, suffix = os.path.splitext(entry.name)
        if entry.is_dir():
            raise InputError(
                f"{entry.path}: is a folder in the folder of a class, which is to hold images "
                f"only. Move its images up, or give {Path(entry.path).parent} if that is what "
                "holds the folders of the classes"
            )
        if suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{entry.path}: not an image by its name; move it out of the data set's folders "
                f"({', '.join(SUFFIXES)} are read)"
            )
        yield Member(stem, wnid, entry.path, offset=0, size=entry.stat().st_size)
