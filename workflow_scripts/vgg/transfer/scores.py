"""Files of classifiers' scores: one row an example that a classifier was tested on (appendix B)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import damaged
from ..core.files import InputError
from ..core.parquet import read_columns, read_metadata, write_parquet

COLUMNS = {"id": pa.string(), "part": pa.string(), "split": pa.int32()}
TOLD = ("classes", "descriptors", "options", "chosen")  # in a file's metadata


@dataclass(frozen=True)
class Tested:
    """What the classifiers of one training set gave.

    part: "val" or "test". split: number of the random split, from 0; 0 where the organisers have
    drawn parts. ids: names of the examples. scores: float32 [examples, classes].
    """

    part: str
    split: int
    ids: list[str]
    scores: np.ndarray


def write_scores(path: str | Path, tested: Sequence[Tested], metadata: dict) -> None:
    """Write the scores of one or several test sets, with JSON-like metadata of all TOLD."""
    columns = {
        "id": pa.array([name for own in tested for name in own.ids], pa.string()),
        "part": pa.array([own.part for own in tested for _ in own.ids], pa.string()),
        "split": pa.array([own.split for own in tested for _ in own.ids], pa.int32()),
    }
    scores = np.concatenate([own.scores for own in tested]).astype(np.float32)
    values = pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1])
    texts = {key: json.dumps(metadata[key]) for key in TOLD}
    table = pa.table({**columns, "scores": values}).replace_schema_metadata(texts)
    write_parquet(path, table)


def read_scores(path: str | Path) -> list[Tested]:
    """The scores that `write_scores` wrote, one entry a part and split, in the file's order.

    Raises InputError if the file is missing, damaged, of another kind, or says what cannot be.
    """
    told = read_told(path)
    table = read_columns(path, [*COLUMNS, "scores"])
    kind = table.schema.field("scores").type
    kinds = {name: table.schema.field(name).type for name in COLUMNS}
    if kinds != COLUMNS or kind != pa.list_(pa.float32(), len(told["classes"])):
        raise InputError(f"{path}: its columns are not those of scores; is it the right file?")
    columns = {name: table[name].combine_chunks() for name in [*COLUMNS, "scores"]}
    values = columns["scores"].flatten()
    if any(column.null_count for column in (*columns.values(), values)):
        raise damaged(path, "some values are missing")
    scores = np.from_dlpack(values).reshape(-1, kind.list_size)
    if not np.isfinite(scores).all():
        raise damaged(path, "scores are not finite")
    ids, parts = columns["id"].to_pylist(), columns["part"].to_pylist()
    splits = columns["split"].to_pylist()
    places: dict[tuple[str, int], list[int]] = {}
    for place, key in enumerate(zip(parts, splits, strict=True)):
        places.setdefault(key, []).append(place)
    return [
        Tested(part, split, [ids[place] for place in own], scores[own])
        for (part, split), own in places.items()
    ]


def read_told(path: str | Path) -> dict:
    """What a file of scores says of itself.

    classes: their names, a column each. descriptors: of each file behind it, its path and what it
    says of itself. options: all that decided the classifiers. chosen: of each part and split the C
    and the figures on the validation examples that it was chosen by.
    Raises InputError if it does not say all.
    """
    told = read_metadata(path)
    if missing := [key for key in TOLD if key not in told]:
        raise InputError(f"{path}: does not say its {', '.join(missing)}; is it a file of scores?")
    return told
