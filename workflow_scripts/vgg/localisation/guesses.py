"""The guesses of localisation: a label and a box each, up to five an image, as they are scored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import damaged
from ..core.declarations import declared, names_of
from ..core.files import InputError
from ..core.parquet import read_columns, read_metadata, write_parquet
from ..evaluation.posteriors import likeliest_classes
from .box_files import BoxedImage
from .merging import Merging, merged
from .true_boxes import pixels_of

GUESSES = 5
BOX_CLIPPING = ("clipped", "as-predicted")
_BOX = pa.list_(pa.int32(), 4)
COLUMNS = {
    "id": pa.string(),
    "label": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
    "guesses": pa.list_(pa.int32()),
    "boxes": pa.list_(_BOX),
    "ratings": pa.list_(pa.float64()),
}


@dataclass(frozen=True)
class Clipping:
    """box_clipping: whether guessed boxes are clipped to the image before they are scored."""

    box_clipping: str = declared("clipped", values=BOX_CLIPPING, choice=True)


@dataclass(frozen=True)
class Guesses:
    """The guesses for a split's images, in id order, those of the likeliest class first.

    labels: int [images], true ones, -1 if withheld. sizes: int [images, 2], (width, height) in
    pixels. classes: int [images, k]. boxes: int [images, k, 4], first and last pixel. ratings:
    float64 [images, k], of the boxes, by `box_rating`.
    """

    ids: list[str]
    labels: np.ndarray
    sizes: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    ratings: np.ndarray

    def at(self, places: np.ndarray) -> Guesses:
        """Those of some of the images, in the order given."""
        columns = (self.labels, self.sizes, self.classes, self.boxes, self.ratings)
        ids = [self.ids[place] for place in places]
        return Guesses(ids, *(column[places] for column in columns))


def united(images: Sequence[BoxedImage], place: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes, float64 [n, 4], and scores, float64 [n], of one class by all nets and scales.

    images: the same one, as each net and scale boxed it. place: of the class among theirs.
    """
    boxes = [own.predicted.boxes[place].reshape(-1, 4) for own in images]
    scores = [own.predicted.scores[place].ravel() for own in images]
    return np.concatenate(boxes).astype(np.float64), np.concatenate(scores).astype(np.float64)


def guess(
    images: Sequence[BoxedImage], merging: Merging, clipping: Clipping
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes int64 [classes, 4] and ratings float64 [classes] for one image (test 2).

    images: the same one, as each net and scale boxed it: their boxes are united, those of a class
    merged, and the best rated is taken.
    """
    first = images[0]
    best = []
    for place in range(len(first.predicted.classes)):
        boxes, scores = united(images, place)
        unit = max(first.width, first.height)
        best.append(merged(boxes, scores, merging, unit).best())
    corners = np.array([box for box, _ in best])
    size = np.tile((first.width, first.height), (len(corners), 1))
    pixels = pixels_of(corners, size if clipping.box_clipping == "clipped" else None)
    return pixels, np.array([rating for _, rating in best])


def guessed_classes(
    posteriors: Sequence[str | Path] | None, ids: Sequence[str], labels: np.ndarray, where: str
) -> np.ndarray:
    """The classes that are guessed for images, int [images, k], the likeliest first.

    posteriors: whose mean says which five are the likeliest; the true class alone if not given.
    labels: int [images]. where: what an error calls the images.
    Raises InputError for images without posteriors, or without labels.
    """
    if not posteriors:
        if labels.min() < 0:
            raise InputError(f"{where}: {ids[int(labels.argmin())]} has no label; give posteriors")
        return labels[:, None]
    likeliest = likeliest_classes(posteriors, GUESSES)
    if missing := next((name for name in ids if name not in likeliest), None):
        raise InputError(
            f"{posteriors[0]}: lacks {missing} of {where}; delete it and evaluate its model again"
        )
    return np.array([likeliest[name] for name in ids])


def write_guesses(path: str | Path, guesses: Guesses, metadata: dict) -> None:
    """Write guesses, one row an image, with JSON-like metadata."""
    columns = {
        "id": guesses.ids,
        "label": guesses.labels.tolist(),
        "width": guesses.sizes[:, 0].tolist(),
        "height": guesses.sizes[:, 1].tolist(),
        "guesses": guesses.classes.tolist(),
        "boxes": guesses.boxes.tolist(),
        "ratings": guesses.ratings.tolist(),
    }
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in COLUMNS.items()})
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    write_parquet(path, table.replace_schema_metadata(texts))


def read_guesses(path: str | Path) -> Guesses:
    """The guesses that `write_guesses` wrote. Raises InputError if there are none, or damaged."""
    table = read_columns(path, list(COLUMNS))
    for name, kind in COLUMNS.items():
        if table.schema.field(name).type != kind:
            raise InputError(f"{path}: its column {name} is no {kind}; is it a file of guesses?")
    columns = {name: table[name].to_pylist() for name in COLUMNS}
    lists = [columns[name] for name in ("guesses", "boxes", "ratings")]
    counts = {len(own or ()) for of_images in lists for own in of_images}
    if len(counts) != 1 or not min(counts) >= 1:
        raise damaged(path, "its images do not have the same number of guesses")
    names, labels, widths, heights, *rest = map(np.array, columns.values())
    found = Guesses(names.tolist(), labels, np.stack([widths, heights], 1), *rest)
    if found.ids != sorted(set(found.ids)):
        raise damaged(path, "its images are not in the order of their names")
    return found


def recorded_options(path: str | Path) -> tuple[Merging, Clipping]:
    """How the boxes behind a file of guesses were merged and clipped.

    Raises InputError if the file does not say so; guesses of one box for all images do not.
    """
    metadata = read_metadata(path)
    known = {**metadata.get("choices", {}), "merge_threshold": metadata.get("merge_threshold")}
    if missing := [name for name in names_of(Merging, Clipping) if known.get(name) is None]:
        raise InputError(
            f"{path}: does not say its {', '.join(missing)}; is it a file of merged boxes?"
        )
    merging = Merging(**{name: known[name] for name in names_of(Merging)})
    return merging, Clipping(**{name: known[name] for name in names_of(Clipping)})


def of_rows(rows: Iterable[tuple]) -> Guesses:
    """Guesses of images, each given by its name, label, size, classes, boxes and ratings."""
    ids, *columns = zip(*rows, strict=True)
    return Guesses(list(ids), *map(np.array, columns))
