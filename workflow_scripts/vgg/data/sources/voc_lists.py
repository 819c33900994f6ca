"""The lists of a PASCAL VOC: which images, or people in them, are of a part, and their labels.

<part>.txt lists images, and <class>_<part>.txt their labels: 1, -1, or 0 for images in which the
class is only difficult to see. Labels of a test set that its organisers keep are withheld: such
lists are missing, or have no labels, or no positive one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...core.files import InputError
from ..examples import NUMBER, PARTS
from .voc_files import ACTIONS, IMAGE, LIST, WANTED, DataSet

AGAIN = "download the archive again, or correct the list"
LABELS_OF = re.compile(r"(.+)_(train|val|trainval|test)")  # the name of a list: <class>_<part>
NEEDED = ("train", "val")  # parts that classifiers learn from and are chosen on

Key = tuple[str, int]  # an image, and a person's number in it, or 0
Lists = Mapping[str, Mapping[str, Mapping[Key, int | None]]]  # labels, by part, class and key


def listed_in(data: DataSet) -> dict[str, set[Key]]:
    """The images, or the people, that <part>.txt lists, by part.

    Raises InputError if there is no list of train or val, or one names nothing, or an image that is
    not there, or one that another list has named.
    """
    listed: dict[str, set[Key]] = {}
    seen: dict[str, str] = {}
    for part in PARTS:
        if part not in data.places[LIST]:
            if part in NEEDED:
                raise InputError(
                    f"{data.where}: holds no {LIST}/{data.task}/{part}.txt, which lists the images "
                    f"of a part that classifiers need. {WANTED}"
                )
            continue
        listed[part] = set()
        for where, words in data.lines(part):
            key = _key(words, where, len(words) > 1 and data.task == ACTIONS, labelled=False)
            if key in listed[part]:
                raise InputError(f"{where}: names {' '.join(words)} a second time; {AGAIN}")
            if seen.setdefault(key[0], part) != part:
                raise InputError(
                    f"{where}: names {key[0]}, which {seen[key[0]]}.txt names too; an image is of "
                    "one part: remove one line"
                )
            if key[0] not in data.places[IMAGE]:
                raise InputError(
                    f"{where}: names {key[0]}, but there is no {IMAGE}/{key[0]}.jpg in "
                    f"{data.where}; give all archives of the year, or remove the line"
                )
            listed[part].add(key)
        if not listed[part]:
            raise InputError(f"{data.places[LIST][part].where}: names no images; {AGAIN}")
        if len({number > 0 for _, number in listed[part]}) > 1:
            raise InputError(
                f"{data.places[LIST][part].where}: has lines with a person's number and lines "
                f"without; {AGAIN}"
            )
    return listed


def labels_in(data: DataSet, listed: Mapping[str, set[Key]]) -> Lists:
    """The labels that lists give, by part, class and key; None where a list of test gives none."""
    names = {found[1] for name in data.places[LIST] if (found := LABELS_OF.fullmatch(name))}
    if not names:
        raise InputError(
            f"{data.where}: holds no {LIST}/{data.task}/<class>_train.txt, which tell the labels; "
            "is it complete?"
        )
    lists: dict[str, dict[str, dict[Key, int | None]]] = {}
    for part, its in listed.items():
        there = {name for name in names if f"{name}_{part}" in data.places[LIST]}
        if there != names and (there or part in NEEDED):
            lacking, example = min(names - there), min(there, default=None)
            raise InputError(
                f"{data.where}: holds no {LIST}/{data.task}/{lacking}_{part}.txt"
                f"{f', but {example}_{part}.txt' if example else ''}; {AGAIN}"
            )
        lists[part] = {name: _labels_of(data, name, part, its) for name in sorted(there)}
        silent = [name for name, labels in lists[part].items() if None in labels.values()]
        if part not in NEEDED and not any(lists[part].values()):
            lists[part] = {}
        elif silent and len(silent) < len(there):
            raise InputError(
                f"{list_of(data, silent[0], part)}: has no labels, though other classes' lists of "
                f"{part} have; {AGAIN}"
            )
    return lists


def list_of(data: DataSet, name: str, part: str) -> str:
    """What an error calls a class's list of labels."""
    return data.places[LIST][f"{name}_{part}"].where


def _key(words: list[str], where: str, numbered: bool, labelled: bool) -> Key:
    """The image, and the person's number if it is numbered, of a line.

    Raises InputError if it has another number of words, or that is no number.
    """
    wanted = ["an image's name"]
    wanted += ["a person's number from 1"] if numbered else []
    wanted += ["a label"] if labelled else []
    if len(words) != len(wanted) or (numbered and not NUMBER.fullmatch(words[1])):
        raise InputError(
            f"{where}: expected {' and '.join(wanted)}, found {' '.join(words)[:40]!r}; {AGAIN}"
        )
    return words[0], int(words[1]) if numbered else 0


def _labels_of(data: DataSet, name: str, part: str, listed: set[Key]) -> dict[Key, int | None]:
    """The labels that <class>_<part>.txt gives to images, or people, of a part."""
    numbered = data.task == ACTIONS
    labels: dict[Key, int | None] = {}
    for where, words in data.lines(f"{name}_{part}"):
        labelled = part in NEEDED or len(words) > 1 + numbered
        key = _key(words, where, numbered, labelled)
        named = " ".join(words[: 1 + numbered])
        if labelled and words[-1] not in ("-1", "0", "1"):
            raise InputError(f"{where}: has the label {words[-1][:40]!r}, not -1, 0 or 1; {AGAIN}")
        if key not in listed and (key[0], 0) not in listed:
            raise InputError(f"{where}: names {named}, which {part}.txt does not; {AGAIN}")
        if key in labels:
            raise InputError(f"{where}: names {named} a second time; {AGAIN}")
        labels[key] = int(words[-1]) if labelled else None
    if len({label is None for label in labels.values()}) > 1:
        raise InputError(f"{list_of(data, name, part)}: has lines with and without labels; {AGAIN}")
    return labels
