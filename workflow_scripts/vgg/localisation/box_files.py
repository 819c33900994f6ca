"""Files of predicted boxes: one row an image in id order, written once and read in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import cure, damaged
from ..core.files import InputError
from ..core.parquet import opened, read_metadata, rows_of, write_parquet

COLUMNS = {
    "id": pa.string(),
    "label": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
    "classes": pa.list_(pa.int32()),
    "rows": pa.int32(),
    "columns": pa.int32(),
    "boxes": pa.list_(pa.float32()),
    "scores": pa.list_(pa.float32()),
}
ROWS_PER_GROUP = 256


@dataclass(frozen=True)
class Predicted:
    """The boxes of one image for some of its classes.

    classes: int [classes], labels. boxes: float32 [classes, rows, columns, 4], corners in the
    image's pixels. scores: float32 [classes, rows, columns], the classifier's soft-max posteriors
    at the same places; 1 for a central crop, which needs none. With `box_flip`, rows of the mirror
    image follow those of the image.
    """

    classes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class BoxedImage:
    """An image's name, true label (-1 if withheld), size in pixels, and the boxes predicted."""

    id: str
    label: int
    width: int
    height: int
    predicted: Predicted


def write_boxes(path: str | Path, images: Sequence[BoxedImage], metadata: dict) -> None:
    """Write predicted boxes in id order, with JSON-like metadata.

    `boxes` is flattened from [classes, rows, columns, 4], `scores` from [classes, rows, columns].
    """
    images = sorted(images, key=lambda image: image.id)
    for image in images:
        corners = image.predicted.boxes
        if not (corners[..., :2] < corners[..., 2:]).all():
            raise InputError(
                f"{path}: a box of {image.id} ends before it begins; the net's numbers are too "
                "large, train it anew at a lower learning_rate"
            )
    predicted = [image.predicted for image in images]
    columns = {
        "id": [image.id for image in images],
        "label": [image.label for image in images],
        "width": [image.width for image in images],
        "height": [image.height for image in images],
        "classes": [own.classes for own in predicted],
        "rows": [own.scores.shape[1] for own in predicted],
        "columns": [own.scores.shape[2] for own in predicted],
        "boxes": [own.boxes.ravel() for own in predicted],
        "scores": [own.scores.ravel() for own in predicted],
    }
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in COLUMNS.items()})
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    write_parquet(
        path,
        table.replace_schema_metadata(texts),
        row_group_size=ROWS_PER_GROUP,
        compression="none",
        use_dictionary=False,
    )


def read_boxes(path: str | Path) -> Iterator[BoxedImage]:
    """The images of a file that `write_boxes` wrote, in id order.

    Raises InputError if it is missing, damaged, of another kind, or not what its place says.
    """
    _check_place(path)
    before = ""
    with opened(path) as file:
        for name, kind in COLUMNS.items():
            if name not in file.schema_arrow.names or file.schema_arrow.field(name).type != kind:
                raise InputError(f"{path}: has no {name} of {kind}; is it a file of boxes?")
        for group in range(file.num_row_groups):
            for chunk in file.iter_batches(ROWS_PER_GROUP, row_groups=[group]):
                for image in _images(path, chunk):
                    if image.id <= before:
                        raise damaged(path, f"{image.id} comes behind {before}")
                    before = image.id
                    yield image


def joined(paths: Sequence[str | Path]) -> Iterator[list[BoxedImage]]:
    """The same image of each of several files, image by image.

    Raises InputError if they are not about the same images and classes.
    """
    counts = {path: rows_of(path) for path in paths}
    for path, count in counts.items():
        if count != counts[paths[0]]:
            raise InputError(f"{path} and {paths[0]} hold different numbers of images")
    for own in zip(*map(read_boxes, paths), strict=True):
        for path, image in zip(paths, own, strict=True):
            if _facts(image) != _facts(own[0]):
                raise InputError(f"{path} and {paths[0]} are not about the same images")
            if not np.array_equal(image.predicted.classes, own[0].predicted.classes):
                raise InputError(
                    f"{path} and {paths[0]} have boxes of other classes for {image.id}; delete the "
                    "one that is out of date and run again"
                )
        yield list(own)


def _facts(image: BoxedImage) -> tuple:
    return image.id, image.label, image.width, image.height


def _check_place(path: str | Path) -> None:
    *_, folder, _, model, name = ("", "", "", *Path(path).parts)
    metadata = read_metadata(path)
    if folder != "boxes" or not {"model", "method", "Q"} <= metadata.keys():
        return
    found = f"{metadata['model']}/{metadata['method']}_Q{metadata['Q']}.parquet"
    if found != f"{model}/{name}":
        raise InputError(f"{path}: holds the boxes of {found}. {cure(path)}")


def _images(path: str | Path, chunk: pa.RecordBatch) -> Iterator[BoxedImage]:
    columns = {name: chunk[name] for name in COLUMNS}
    single = {
        name: columns[name].to_pylist()
        for name in ("id", "label", "width", "height", "rows", "columns")
    }
    lists = {name: _lists(columns[name]) for name in ("classes", "boxes", "scores")}
    for place, (name, label, width, height, rows, across) in enumerate(
        zip(*single.values(), strict=True)
    ):
        classes, boxes, scores = (lists[kind][place] for kind in lists)
        shape = (len(classes), rows, across)
        if None in (name, label, width, height, rows, across) or min(shape) < 1:
            raise damaged(path, f"{name} has no boxes")
        if len(scores) != np.prod(shape) or len(boxes) != 4 * len(scores):
            raise damaged(path, f"{name} has {len(boxes)} numbers and {len(scores)} scores")
        corners = boxes.reshape(*shape, 4)
        if not (np.isfinite(corners).all() and (corners[..., :2] < corners[..., 2:]).all()):
            raise damaged(path, f"{name} has a box that ends before it begins")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise damaged(path, f"{name} has a score outside 0 to 1")
        yield BoxedImage(
            name, label, width, height, Predicted(classes, corners, scores.reshape(shape))
        )


def _lists(column: pa.ListArray) -> list[np.ndarray]:
    values = column.flatten().to_numpy()
    ends = np.cumsum(column.value_lengths().to_numpy())
    return np.split(values, ends[:-1])
