"""`data.classes`: all classes of the data set, or a subset, which is listed or drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.files import InputError
from ..core.text_lists import checked_wnid, class_lines

KEY = "data.classes"
DRAWN_CLASSES = 10  # of the miniature, at most
LEAST = 6  # top-5 errors of five classes are zero
OF_WNIDS = ("miniature", "archives", "kaggle")  # sources that know classes by nothing else

Classes = int | list[str] | dict[str, int]  # all, so many; these; so many, drawn with a seed


def number_of_classes(classes: Classes) -> int:
    """The classes of a run, by `data.classes` as `named_classes` gives it."""
    if isinstance(classes, int):
        return classes
    return classes["number"] if isinstance(classes, Mapping) else len(classes)


def is_subset(classes: Classes) -> bool:
    """Whether `data.classes` is a choice among the data set's classes."""
    return not isinstance(classes, int)


def named_classes(classes: Classes | str, source: str) -> Classes:
    """What `data.classes` means: a number, drawn classes, or names, in sorted order.

    classes: as the schema accepts it; text is the path of a file. source: `data.source`.
    Raises InputError for a file that is not there, a line of another form, a class that is named
    twice, or too few.
    """
    if isinstance(classes, int | Mapping):
        return classes
    of_wnids = source in OF_WNIDS
    if isinstance(classes, str):
        names = _checked(_lines_of(classes), of_wnids)
        if len(names) < LEAST:
            raise InputError(
                f"{KEY}: {classes} names {counted(len(names))}, but {LEAST} or more are needed, "
                "since top-5 errors count five answers; give each a line of its own"
            )
    else:
        names = _checked(((KEY, name) for name in classes), of_wnids)
    return sorted(names)


def counted(number: int) -> str:
    """So many classes, in words."""
    return f"{number or 'no'} class{'es' * (number != 1)}"


def _lines_of(path: str) -> Iterable[tuple[str, str]]:
    """(what an error calls it, the class) of each line but comments.

    A line is a WNID, which words may follow, or the name of a folder.
    """
    if not Path(path).is_file():
        raise InputError(
            f"{KEY}: {path} is no file; give a number of classes, a list of them in brackets, or "
            "the path of a text file with one a line"
        )
    for where, name, _ in class_lines(path):
        yield where, name


def _checked(names: Iterable[tuple[str, str]], of_wnids: bool) -> list[str]:
    """The names of (what an error calls it, a name), each once. Raises InputError otherwise."""
    first: dict[str, str] = {}
    for where, given in names:
        name = unicodedata.normalize("NFC", given)
        if of_wnids:
            checked_wnid(name, where)
        if name in first:
            raise InputError(f"{where}: names {name} a second time; remove one")
        first[name] = where
    return list(first)
