"""The classes of a data set, and short names that tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.parquet import read_columns


@dataclass(frozen=True)
class ClassName:
    """A class: `words` are all its synonyms, `name` the short one that a page shows."""

    wnid: str
    words: str
    name: str


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
