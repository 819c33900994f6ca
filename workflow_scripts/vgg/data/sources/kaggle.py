"""The text files of Kaggle's form of ILSVRC-2012 (its images lie in folders, see `folders`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.files import InputError
from ...core.text_lists import checked_wnid, numbered_lines

COLUMNS = ["ImageId", "PredictionString"]


def read_synsets(path: str | Path) -> pd.DataFrame:
    """The classes of LOC_synset_mapping.txt: label (sorted-WNID order), wnid, words.

    A line is a WNID, a space or tab, and the class's words. Raises InputError for other content.
    """
    words_of: dict[str, str] = {}
    for where, line in _lines(path):
        wnid, *words = line.split(maxsplit=1)
        if checked_wnid(wnid, where) in words_of or not words:
            raise InputError(f"{where}: expected a WNID and words on each line, each WNID once")
        words_of[wnid] = words[0]
    if not words_of:
        raise InputError(f"{path}: is empty; expected a WNID and words on each line")
    wnids = sorted(words_of)
    return pd.DataFrame(
        {
            "label": np.arange(len(wnids), dtype=np.int32),
            "wnid": wnids,
            "words": [words_of[wnid] for wnid in wnids],
        }
    )


def read_solution(path: str | Path) -> pd.Series:
    """The WNID of each validation image, by id, from LOC_val_solution.csv.

    Raises InputError as `solution_lines` does.
    """
    return pd.Series({name: words[0] for _, name, words in solution_lines(path)}, dtype=object)


def solution_lines(path: str | Path) -> Iterator[tuple[str, str, list[str]]]:
    """(what an error calls it, the image's id, its words) of each line of LOC_*_solution.csv.

    A line is `ImageId,PredictionString`, whose words are a WNID and four numbers for each box; a
    spreadsheet's semicolons or tabs are read too. Raises InputError for other content, but for what
    follows the first WNID.
    """
    lines = list(_lines(path))
    header = lines[0][1] if lines else ""
    for delimiter in ",;\t":
        if _cells(header, delimiter, str(path)) == COLUMNS:
            break
    else:
        raise InputError(f"{path}: expected the columns {','.join(COLUMNS)}")
    seen: set[str] = set()
    for where, line in lines[1:]:
        row = _cells(line, delimiter, where)
        words = row[1].split() if len(row) == 2 else []
        if not words or row[0] in seen:
            raise InputError(f"{where}: no WNID, or a second line of an image")
        seen.add(row[0])
        checked_wnid(words[0], where)
        yield where, row[0], words


def _cells(line: str, delimiter: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{where}: {error}; is it one of LOC_*_solution.csv?") from error


def _lines(path: str | Path) -> Iterator[tuple[str, str]]:
    try:
        yield from numbered_lines(path)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; it is part of Kaggle's ILSVRC-2012 (imagenet-object-"
            "localization-challenge), to be unpacked into data.directory"
        ) from error
