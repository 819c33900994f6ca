"""Examples of another data set, which classifiers of descriptors learn from and are tested on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import damaged
from ..core.files import InputError
from ..core.parquet import read_columns, write_parquet
from .truth import CORNERS

PARTS = ("train", "val", "test")
NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)  # of a person in an image
COLUMNS = {
    "id": pa.string(),
    "image": pa.string(),
    "part": pa.string(),
    "known": pa.bool_(),
}
FACTS = {"classes": str, "scored": bool}  # lists in the metadata, one entry a class
BOXES = "boxes"  # in the metadata, whether there are boxes


@dataclass(frozen=True)
class Examples:
    """What classifiers of another data set are trained and tested on: images, or persons in them.

    ids: an image's name, or `<image>:<person's index>`; in order of images, then of indexes.
    image_ids: names of all images, ascending as strings, in which order they are packed.
    images: int64 [examples], each example's image by its place in image_ids.
    parts: "train", "val" or "test" as the organisers say; "" where parts are drawn.
    labels: int8 [examples, classes]; 1: it is of the class, -1: it is not, 0: neither, as of images
        with only difficult objects of the class.
    known: bool [examples]; False where labels are withheld, and all of them 0.
    boxes: float64 [examples, 4], xmin, ymin, xmax, ymax as edges in pixels of the image file, so
        that a whole image is (0, 0, width, height); None if examples are images.
    scored: bool [classes]; False for a class that is only there as a negative of the others.
    listed: bool [examples, classes]; False where a class's list leaves the example out, as VOC's of
        jumping, an action that came later, does with people of the year before. None: all are in.
    """

    ids: list[str]
    image_ids: list[str]
    images: np.ndarray
    parts: list[str]
    labels: np.ndarray
    known: np.ndarray
    boxes: np.ndarray | None
    classes: list[str]
    scored: np.ndarray
    listed: np.ndarray | None = None


def write_examples(path: str | Path, examples: Examples, metadata: Mapping[str, object]) -> None:
    """Write examples, one row each, with JSON-like metadata beside their own."""
    columns: dict[str, pa.Array] = {
        "id": pa.array(examples.ids, pa.string()),
        "image": pa.array([examples.image_ids[place] for place in examples.images], pa.string()),
        "part": pa.array(examples.parts, pa.string()),
        "known": pa.array(examples.known, pa.bool_()),
        "labels": _lists(np.asarray(examples.labels, np.int8)),
    }
    if examples.listed is not None:
        columns["listed"] = _lists(np.asarray(examples.listed, bool))
    if examples.boxes is not None:
        edges = np.asarray(examples.boxes, np.float64).T
        columns |= {
            name: pa.array(values, pa.float64())
            for name, values in zip(CORNERS, edges, strict=True)
        }
    facts = {
        **metadata,
        "classes": examples.classes,
        "scored": np.asarray(examples.scored, bool).tolist(),
        BOXES: examples.boxes is not None,
    }
    texts = {key: json.dumps(value) for key, value in facts.items()}
    write_parquet(path, pa.table(columns).replace_schema_metadata(texts))


def _lists(values: np.ndarray) -> pa.Array:
    """A column with a list of an array's numbers in each row."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def read_examples(path: str | Path) -> Examples:
    """The examples that `write_examples` wrote.

    Raises InputError if the file is missing, damaged, of another kind, or says what cannot be.
    """
    table = read_columns(path)
    if not table.num_rows:
        raise damaged(path, "it has no examples")
    classes, scored, boxed = _facts(path, table)
    kinds = {**COLUMNS, "labels": pa.list_(pa.int8(), len(classes))}
    kinds |= dict.fromkeys(CORNERS if boxed else (), pa.float64())
    if "listed" in table.column_names:
        kinds["listed"] = pa.list_(pa.bool_(), len(classes))
    columns = {name: _column(path, table, name, kind) for name, kind in kinds.items()}
    flat = {name: columns[name].flatten() for name in ("labels", "listed") if name in columns}
    for name, values in flat.items():
        if values.null_count:
            raise damaged(path, f"{values.null_count} values in {name} are missing")
    names = columns["image"].to_pylist()
    image_ids = sorted(set(names))
    place_of = {name: place for place, name in enumerate(image_ids)}
    examples = Examples(
        ids=columns["id"].to_pylist(),
        image_ids=image_ids,
        images=np.array([place_of[name] for name in names], np.int64),
        parts=columns["part"].to_pylist(),
        labels=np.from_dlpack(flat["labels"]).reshape(-1, len(classes)),
        known=_truths(columns["known"]),
        boxes=np.stack([np.from_dlpack(columns[name]) for name in CORNERS], 1) if boxed else None,
        classes=classes,
        scored=np.array(scored, bool),
        listed=_truths(flat["listed"]).reshape(-1, len(classes)) if "listed" in flat else None,
    )
    _check_names(path, examples)
    _check_values(path, examples)
    return examples


def _facts(path: str | Path, table: pa.Table) -> tuple[list[str], list[bool], bool]:
    """The classes, whether each is scored, and whether there are boxes, of a table's metadata."""
    metadata = table.schema.metadata or {}
    found = {}
    for key in (*FACTS, BOXES):
        if key.encode() not in metadata:
            raise InputError(f"{path}: does not say its {key}; is it examples?")
        found[key] = json.loads(metadata[key.encode()])
    for key, kind in FACTS.items():
        values = found[key]
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise InputError(f"{path}: its {key} are {str(values)[:40]}; is it examples?")
    classes, scored = found["classes"], found["scored"]
    if not classes or len(set(classes)) != len(classes) or len(scored) != len(classes):
        raise damaged(path, f"its {len(classes)} classes are none, or not one each")
    return classes, scored, bool(found[BOXES])


def _column(path: str | Path, table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    """A column without missing values. Raises InputError if it is not there, or of another kind."""
    if name not in table.column_names:
        raise InputError(f"{path}: has no column {name}; is it examples?")
    column = table[name].combine_chunks()
    if column.type != kind:
        raise InputError(f"{path}: its column {name} is {column.type}, not {kind}; is it examples?")
    if column.null_count:
        raise damaged(path, f"{column.null_count} values of {name} are missing")
    return column


def _truths(column: pa.Array) -> np.ndarray:
    """A column of True and False."""
    return np.from_dlpack(column.cast(pa.uint8())).astype(bool)


def _check_names(path: str | Path, examples: Examples) -> None:
    """Raise InputError unless examples are named after their images, in order, and of one part."""
    keys = []
    for name, place in zip(examples.ids, examples.images, strict=True):
        image = examples.image_ids[place]
        number = name.removeprefix(f"{image}:")
        if name != image and (number == name or not NUMBER.fullmatch(number)):
            raise damaged(path, f"{name} is not named after its image {image}")
        keys.append((place, 0 if name == image else int(number)))
    for (before, after), name in zip(pairwise(keys), examples.ids[1:], strict=True):
        if after <= before:
            raise damaged(path, f"{name} is not in order")
    part_of: dict[int, str] = {}
    drawn = examples.parts[0] == ""
    for name, place, part in zip(examples.ids, examples.images, examples.parts, strict=True):
        if part not in (("",) if drawn else PARTS):
            raise damaged(path, f"{name} is of part {part[:40]!r}")
        if part_of.setdefault(place, part) != part:
            raise damaged(path, f"{examples.image_ids[place]} is of {part_of[place]} and {part}")


def _check_values(path: str | Path, examples: Examples) -> None:
    """Raise InputError unless labels are -1, 0 or 1, 0 where withheld, and boxes have an area.

    Labels are 0 also where an example is not listed.
    """
    labels = examples.labels
    _refuse(path, examples, ((labels >= -1) & (labels <= 1)).all(1), labels, "the labels")
    silent = examples.known | ~labels.any(1)
    _refuse(path, examples, silent, labels, "withheld labels, but")
    if examples.listed is not None:
        silent = (examples.listed | (labels == 0)).all(1)
        _refuse(path, examples, silent, labels, "labels where it is not listed,")
    if examples.boxes is not None:
        first, last = examples.boxes[:, :2], examples.boxes[:, 2:]
        good = ((first >= 0) & (first < last) & (last < np.inf)).all(1)  # NaN is not
        _refuse(path, examples, good, examples.boxes, "the box")


def _refuse(
    path: str | Path, examples: Examples, good: np.ndarray | np.bool, values: np.ndarray, what: str
) -> None:
    """Raise InputError about the first example that is not good, bool [examples], if there is one.

    values: [examples, …], of which its row is shown. what: it is.
    """
    if not good.all():
        first = int(np.argmin(good))
        raise damaged(path, f"{examples.ids[first]} has {what} {values[first].tolist()[:8]}")
