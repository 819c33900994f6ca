"""The text files of Kaggle's form of ILSVRC-2012 (its images lie in folders, see `trees`)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from .files import InputError


def read_synsets(path: str | Path) -> pd.DataFrame:
    """The classes of LOC_synset_mapping.txt: label (sorted-WNID order), wnid, words.

    A line is a WNID, a space and the class's words. Raises InputError for other content.
    """
    lines = [line.partition(" ") for line in _text(path).splitlines() if line]
    classes = pd.DataFrame(
        {"wnid": [wnid for wnid, _, _ in lines], "words": [words for _, _, words in lines]}
    )
    if classes.empty or classes["wnid"].duplicated().any() or (classes["words"] == "").any():
        raise InputError(f"{path}: expected a WNID and words on each line, each WNID once")
    classes = classes.sort_values("wnid", ignore_index=True)
    classes.insert(0, "label", np.arange(len(classes), dtype=np.int32))
    return classes


def read_solution(path: str | Path) -> pd.Series:
    """The WNID of each validation image, by id, from LOC_val_solution.csv.

    A line is `ImageId,PredictionString`, in which the WNID stands before the first box. Raises
    InputError for other content.
    """
    rows = csv.DictReader(_text(path).splitlines())
    if rows.fieldnames != ["ImageId", "PredictionString"]:
        raise InputError(f"{path}: expected the columns ImageId,PredictionString")
    wnids = {}
    for row in rows:
        words = (row["PredictionString"] or "").split()
        if not words or row["ImageId"] in wnids:
            raise InputError(f"{path}, line {rows.line_num}: no WNID, or a second line of an image")
        wnids[row["ImageId"]] = words[0]
    return pd.Series(wnids, dtype=object)


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; it is part of Kaggle's ILSVRC-2012 (imagenet-object-"
            "localization-challenge), to be unpacked into data.directory"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from error
