"""Measures of features on other data sets, from files of scores by the measures' definitions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq


def told_of(path: Path) -> dict:
    """What a file's metadata says, values as in JSON."""
    metadata = pq.read_schema(path).metadata
    return {key.decode(): json.loads(text) for key, text in metadata.items()}


def average_precision(scores: np.ndarray, labels: np.ndarray, definition: str) -> float:
    """Of one class, in percent. labels: 1, −1, or 0 for examples that count as neither."""
    ranked = labels[np.argsort(-scores, kind="stable")]
    right = ranked[ranked != 0] > 0
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a greater one
    if definition == "area":
        return 100 * float(best[right].mean())
    recall = np.cumsum(right) / right.sum()
    reached = [best[recall >= level / 10 - 1e-12] for level in range(11)]
    return 100 * float(np.mean([own[0] for own in reached]))


def mean_average_precision(scores: Path, examples: Path, part: str, definition: str) -> float:
    """The mean over the classes that count, on the examples of a part."""
    known = pd.read_parquet(examples).set_index("id")
    given = pd.read_parquet(scores)
    given = given[given["part"] == part].set_index("id")
    labels, values = np.stack(known.loc[given.index, "labels"]), np.stack(given["scores"])
    places = np.flatnonzero(told_of(examples)["scored"])
    return float(
        np.mean([average_precision(values[:, k], labels[:, k], definition) for k in places])
    )


def class_recalls(scores: Path, examples: Path) -> list[float]:
    """The mean class recall of each random split, in percent."""
    known = pd.read_parquet(examples).set_index("id")
    found = []
    for _, own in pd.read_parquet(scores).groupby("split"):
        true = np.stack(known.loc[own["id"], "labels"]).argmax(1)
        right = np.stack(own["scores"]).argmax(1) == true
        found.append(100 * float(pd.Series(right).groupby(true).mean().mean()))
    return found
