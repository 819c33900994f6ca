"""Names of classes that are listed in files, and where a data set's classes are among those that
weights may know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.files import InputError
from ..core.text_lists import WNID, numbered_lines
from .classes import ClassName, read_class_table, short_names

ILSVRC = Path(__file__).parents[3] / "config/ilsvrc2012_classes.txt"


def listed_classes(path: str | Path) -> list[ClassName]:
    """The classes of a text file, in its order: a name a line, or a WNID and its words.

    Raises InputError if the file is missing, empty, or names a class twice.
    """
    found: dict[str, str] = {}
    for where, line in numbered_lines(path):
        if line.startswith("#"):
            continue
        wnid, _, words = line.partition(" ") if WNID.match(line) else (line, "", line)
        if wnid in found:
            raise InputError(f"{where}: names {wnid} a second time; remove one")
        found[wnid] = words
    if not found:
        raise InputError(f"{path}: names no class; give a line for each, in the net's order")
    names = short_names(list(found), list(found.values()))
    return [ClassName(*each) for each in zip(found, found.values(), names, strict=True)]


@dataclass(frozen=True)
class Known:
    """Where a data set's classes are among those that weights may know: places, of so many."""

    classes: int
    places: list[int]


def known_among(path: str | Path) -> Known | None:
    """Where the classes of classes.parquet are among all of its source, of which they are a part,
    or among ILSVRC-2012's; None if neither is so.
    """
    classes, of_source = read_class_table(path)
    if of_source != len(classes):
        return Known(of_source, classes["source_label"].tolist())
    of_ilsvrc = {each.wnid: place for place, each in enumerate(listed_classes(ILSVRC))}
    wnids = classes["wnid"].tolist()
    if not set(wnids) <= of_ilsvrc.keys():
        return None
    return Known(len(of_ilsvrc), [of_ilsvrc[wnid] for wnid in wnids])
