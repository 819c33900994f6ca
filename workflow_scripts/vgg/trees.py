"""Folders of images: one folder a class, or one folder of them all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .files import InputError
from .members import Hidden, Member, check_name

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def class_folders(folder: str | Path) -> list[str]:
    """Names of the class folders, sorted. Raises InputError if there are none."""
    hidden = Hidden(str(folder))
    names = [entry.name for entry in _entries(Path(folder), hidden) if entry.is_dir()]
    if not names:
        raise InputError(f"{folder}: holds no folders; one a class is expected")
    return names


def image_files(folder: str | Path) -> list[Member]:
    """All images of a folder, or of its class folders, with these folders' names as `wnid`.

    The id is the name without suffix; if two classes hold the same name, every id becomes
    `<class>/<name>`. Hidden files are left out, and counted in the log. Raises InputError if the
    folder is missing or empty, holds both images and folders, or holds a file that is no image.
    """
    folder = Path(folder)
    hidden = Hidden(str(folder))
    entries = _entries(folder, hidden)
    classes = [entry.name for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if not entry.is_dir()]
    if classes and loose:
        raise InputError(
            f"{folder}: holds class folders and also {loose[0].name}; "
            "expected one folder a class, or images only"
        )
    members = list(_images(loose, None))
    for name in classes:
        members += _images(_entries(folder / name, hidden), name)
    hidden.tell()
    if not members:
        raise InputError(f"{folder}: holds no images")
    if max(Counter(member.id for member in members).values()) > 1 and classes:
        members = [replace(member, id=f"{member.wnid}/{member.id}") for member in members]
    return members


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
    return sorted(shown, key=lambda entry: entry.name)


def _images(entries: list[os.DirEntry], wnid: str | None) -> Iterator[Member]:
    for entry in entries:
        stem, suffix = os.path.splitext(entry.name)
        if entry.is_dir() or suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{entry.path}: not an image by its name; move it out of the data set's folders "
                f"({', '.join(SUFFIXES)} are read)"
            )
        yield Member(stem, wnid, entry.path, 0, entry.stat().st_size)
