"""The true boxes of a split's images, which localisation learns from and is tested on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..core.checksums import damaged
from ..core.files import InputError
from ..core.parquet import read_columns, write_parquet

CORNERS = ("xmin", "ymin", "xmax", "ymax")
_BOX = pa.struct([(corner, pa.float64()) for corner in CORNERS])
COLUMNS = {
    "id": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "boxes": pa.list_(_BOX),
    "blacklisted": pa.bool_(),
}


@dataclass(frozen=True)
class Truth:
    """The true boxes of all images of a split, in order of their ids.

    starts: int64 [images + 1]; boxes[starts[i] : starts[i + 1]] are those of image i.
    boxes: float64 [boxes, 4], corners as parts of the image's width and height, in [0, 1]: the
        box's edges, so that the whole image is (0, 0, 1, 1).
    widths, heights: int32 [images], pixels of the picture that the annotation is about, which may
        be another size of it than the image file's; 0 if there is no annotation.
    blacklisted: bool [images], whether the image's boxes are too bad to test on.
    """

    ids: list[str]
    starts: np.ndarray
    boxes: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    blacklisted: np.ndarray

    def of(self, image: int) -> np.ndarray:
        """The boxes of an image, float64 [its boxes, 4]."""
        return self.boxes[self.starts[image] : self.starts[image + 1]]

    @cached_property
    def boxed(self) -> np.ndarray:
        """Which images have boxes, bool [images]."""
        return np.diff(self.starts) > 0


def write_truth(path: str | Path, truth: Truth, metadata: Mapping[str, object]) -> None:
    """Write true boxes, one row an image, with JSON-like metadata."""
    corners = [pa.array(values) for values in np.asarray(truth.boxes, np.float64).T]
    boxes = pa.StructArray.from_arrays(corners, fields=list(_BOX))
    columns = {
        "id": pa.array(truth.ids, pa.string()),
        "width": pa.array(truth.widths, pa.int32()),
        "height": pa.array(truth.heights, pa.int32()),
        "boxes": pa.ListArray.from_arrays(pa.array(truth.starts, pa.int32()), boxes),
        "blacklisted": pa.array(truth.blacklisted, pa.bool_()),
    }
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    write_parquet(path, pa.table(columns).replace_schema_metadata(texts))


def read_truth(path: str | Path) -> Truth:
    """The true boxes that `write_truth` wrote.

    Raises InputError if the file is missing, damaged, of another kind, or says what cannot be.
    """
    table = read_columns(path, list(COLUMNS))
    for name, kind in COLUMNS.items():
        if (found := table.schema.field(name).type) != kind:
            raise InputError(f"{path}: its column {name} is {found}, not {kind}; is it true boxes?")
    columns = {name: table[name].combine_chunks() for name in COLUMNS}
    flat = columns["boxes"].flatten()
    corners = dict(zip(CORNERS, flat.flatten(), strict=True))
    for name, column in {**columns, **corners}.items():
        if column.null_count:
            raise damaged(path, f"{column.null_count} values of {name} are missing")
    ids, starts = columns["id"], _array(columns["boxes"].offsets).astype(np.int64)
    truth = Truth(
        ids.to_pylist(),
        starts - starts[0],
        np.stack([_array(corners[corner]) for corner in CORNERS], axis=1),
        _array(columns["width"]),
        _array(columns["height"]),
        _array(columns["blacklisted"].cast(pa.uint8())).astype(bool),
    )
    ascending = _array(pc.less(ids[:-1], ids[1:]).cast(pa.uint8()))
    if not ascending.all():
        last = int(np.argmin(ascending))
        raise damaged(path, f"{truth.ids[last + 1]} comes behind {truth.ids[last]}")
    _check(path, truth)
    return truth


def _check(path: str | Path, truth: Truth) -> None:
    """Raise InputError unless boxes have an area, inside their images, which have a size."""
    boxes = truth.boxes
    good = ((boxes >= 0) & (boxes <= 1)).all(1)  # NaN is not
    good &= (boxes[:, :2] < boxes[:, 2:]).all(1)
    if not good.all():
        box = int(np.argmin(good))
        place = np.searchsorted(truth.starts, box, side="right") - 1
        raise damaged(path, f"{truth.ids[place]} has the box {boxes[box].tolist()}")
    sides = np.stack([truth.widths, truth.heights])
    good = (sides > 0).all(0) | ((sides == 0).all(0) & ~truth.boxed)
    if not good.all():
        place = np.argmin(good)
        width, height = sides[:, place]
        raise damaged(path, f"{truth.ids[place]} has {width}×{height} pixels")


def _array(column: pa.Array) -> np.ndarray:
    """A column of numbers, none missing; `to_numpy` would import pandas, a third of a second."""
    return np.from_dlpack(column)
