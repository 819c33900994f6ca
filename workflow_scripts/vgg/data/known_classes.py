"""Names of classes that are listed in files, and where a data set's classes are among those that
weights may know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.files import InputError
from ..core.text_lists import WNID, class_lines
from .classes import ClassName, read_class_table, short_names

ILSVRC = Path(__file__).parents[3] / "config/ilsvrc2012_classes.txt"


def listed_classes(path: str | Path) -> list[ClassName]:
    """The classes of a text file, in its order: a name a line, or a WNID and its words.

    Names may be those of several classes, as ILSVRC's two "crane" and two "maillot" are.
    Raises InputError if the file is missing, empty, or has a WNID twice.
    """
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for where, name, words in class_lines(path):
        wnid = WNID.fullmatch(name)
        if wnid and name in seen:
            raise InputError(f"{where}: names {name} a second time; remove one")
        seen.add(name)
        found.append((name, "" if wnid and words == name else words))
    if not found:
        raise InputError(f"{path}: names no class; give a line for each, in the net's order")
    wnids, all_words = (list(column) for column in zip(*found, strict=True))
    short = short_names(wnids, all_words)
    names = [
        one if WNID.fullmatch(wnid) else wnid.split(",")[0]
        for wnid, one in zip(wnids, short, strict=True)
    ]
    return [ClassName(*each) for each in zip(wnids, all_words, names, strict=True)]


@dataclass(frozen=True)
class Known:
    """Where a data set's classes are among those that weights may know: places, of so many."""

    classes: int
    places: list[int]


def known_among(path: str | Path) -> list[Known]:
    """Where the classes of classes.parquet are among those that weights may know.

    That is among all of their source, of which they are a part, and among ILSVRC-2012's; empty if
    neither is so.
    """
    classes, of_source = read_class_table(path)
    found = []
    if of_source != len(classes):
        found.append(Known(of_source, classes["source_label"].tolist()))
    of_ilsvrc = [each.wnid for each in listed_classes(ILSVRC)]
    if places := _places(classes["wnid"], of_ilsvrc):
        found.append(Known(len(of_ilsvrc), places))
    return found


def known_by_name(path: str | Path, wnids: Sequence[str], weights: str | Path) -> Known:
    """Where the classes of classes.parquet are among those that weights name.

    weights: the file, for an error. Raises InputError if they do not know all of them.
    """
    names = read_class_table(path)[0]["wnid"].tolist()
    places = _places(names, wnids)
    if places is None:
        missing = [name for name in names if name not in set(wnids)]
        raise InputError(
            f"{weights}: knows {len(wnids)} classes, but not {len(missing)} of the data set's "
            f"{len(names)}, such as {missing[0]}; give weights that were trained on all of these, "
            "or name classes in data.classes that the weights know"
        )
    return Known(len(wnids), places)


def _places(names: Sequence[str], among: Sequence[str]) -> list[int] | None:
    place = {name: number for number, name in enumerate(among)}
    return [place[name] for name in names] if set(names) <= place.keys() else None
