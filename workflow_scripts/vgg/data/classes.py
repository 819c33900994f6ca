"""The classes of a data set or of a subset of them, and short names that tell them apart."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.files import InputError, whole_file
from ..core.parquet import read_columns, read_frame, read_metadata, write_frame
from ..core.randomness import Stream, generator
from ..core.text_lists import WNID

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["label", "wnid", "ilsvrc2012_id", "words", "source_label"]
SOURCE_CLASSES = "source_classes"  # in the metadata: how many classes the whole data set has


@dataclass(frozen=True)
class ClassName:
    """A class: `words` are all its synonyms, `name` the short one that a page shows."""

    wnid: str
    words: str
    name: str


def drawn_places(number: int, classes: int, seed: int, where: str) -> list[int]:
    """The places of `number` of so many classes, drawn with a seed, in ascending order.

    With one seed, fewer are a subset of more. `where` begins errors.
    Raises InputError if there are not so many.
    """
    if number > classes:
        raise InputError(
            f"{where}: {classes} classes, of which {number} cannot be drawn; lower the number in "
            "data.classes"
        )
    order = generator(seed, Stream.CLASSES, 0).random(classes).argsort(kind="stable")
    return sorted(order[:number].tolist())


def named_places(names: Sequence[str], wnids: Sequence[str], where: str) -> list[int]:
    """The places of classes among all, in ascending order. `where` begins errors.

    Raises InputError for a name that is none of the WNIDs, with the nearest.
    """
    place_of = {wnid: place for place, wnid in enumerate(wnids)}
    if unknown := [name for name in names if name not in place_of]:
        nearest = difflib.get_close_matches(unknown[0], place_of, n=1)
        guess = f"; did you mean {nearest[0]}?" if nearest else "; correct it there"
        more = f" (and {len(unknown) - 1} more like it)" if unknown[1:] else ""
        raise InputError(
            f"{where}: has no class {unknown[0]}, which data.classes names{more}{guess}"
        )
    return sorted({place_of[name] for name in names})


def write_class_table(path: str | Path, classes: pd.DataFrame, places: Sequence[int]) -> None:
    """Write classes.parquet: the classes in these places, labelled in their order.

    classes: all of the data set, in the order of their WNIDs. `source_label` keeps the places.
    """
    chosen = classes.iloc[places].assign(
        label=np.arange(len(places), dtype=np.int32), source_label=np.array(places, np.int32)
    )
    write_frame(path, chosen[COLUMNS], {SOURCE_CLASSES: len(classes)})


def write_class_names(path: str | Path, classes: pd.DataFrame, of: int) -> None:
    """Write the classes as text, which data.classes takes. of: how many the whole data set has."""
    lines = [f"# {len(classes)} of {of} classes; data.classes takes this file"]
    for wnid, words in zip(classes["wnid"], classes["words"], strict=True):
        with_words = WNID.fullmatch(wnid) and words != wnid
        lines.append(f"{wnid} {words}" if with_words else wnid)
    with whole_file(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")


def read_class_table(path: str | Path) -> tuple[pd.DataFrame, int]:
    """(classes, how many the whole data set has) of classes.parquet.

    Columns are label, wnid, ilsvrc2012_id and source_label: the class's place among all.
    Raises InputError if the file is no list of classes.
    """
    classes = read_frame(path, ["label", "wnid", "ilsvrc2012_id"]).sort_values("label")
    of = read_metadata(path).get(SOURCE_CLASSES, len(classes))
    places = classes["label"] if of == len(classes) else read_frame(path)["source_label"]
    return classes.assign(source_label=places), of


def read_class_names(path: str | Path) -> list[ClassName]:
    """The classes of classes.parquet, in the order of their labels.

    Raises InputError if the file is no list of classes.
    """
    table = read_columns(path, ["label", "wnid", "words"]).sort_by("label")
    wnids, words = table["wnid"].to_pylist(), table["words"].to_pylist()
    names = short_names(wnids, words)
    return [ClassName(*values) for values in zip(wnids, words, names, strict=True)]


def short_names(wnids: Sequence[str], words: Sequence[str]) -> list[str]:
    """Each class's first synonym; its WNID is appended where another class has the same.

    Of ILSVRC's classes, two are called "crane" and two "maillot".
    """
    first = [text.split(",")[0] for text in words]
    count = Counter(first)
    return [
        f"{name} ({wnid})" if count[name] > 1 else name
        for name, wnid in zip(first, wnids, strict=True)
    ]
