"""Random splits of a data set into parts to learn from, to choose C on, and to test on.

Appendix B draws three of each Caltech set: so many training images a class, of which a fifth is to
choose by, and tests on others. Which ones it had is not known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import InputError

PARTS = ("learn", "validate", "test")
VALIDATED = 0.2  # of a class's training images
COLUMN = "split_"  # and the split's number, from 0

# Gives the generator of a counter; `functools.partial(generator, seed, stream)` is one.
Generators = Callable[[int], np.random.Generator]


@dataclass(frozen=True)
class Split:
    """Places of images in the list that was split, int64, ascending; no image is in two parts.

    The training images are those to learn from and those to choose by.
    """

    learn: np.ndarray
    validate: np.ndarray
    test: np.ndarray

    @property
    def train(self) -> np.ndarray:
        """All training images, int64, ascending."""
        return np.sort(np.concatenate([self.learn, self.validate]))


def drawn_split(
    ids: Sequence[str],
    classes: Sequence[str],
    number: int,
    generators: Generators,
    train_per_class: int,
    test_per_class: int | None,
) -> Split:
    """One of a data set's random splits.

    ids, classes: the name of each image, and of its class. number: which of the splits, from 0.
    generators: of the seed's own stream. test_per_class: at most so many images of a class are
    tested; None for all that training leaves.

    A class's images, in the order of their names, are permuted by a generator whose counter is of
    the split's number and the class's name: neither other classes nor the order in which images
    are listed have a part in it. The first `train_per_class` are to train on, a fifth of them, but
    at least one, to choose by; the next ones are tested.
    Raises InputError if a class has no image left to test, or two images have one name; ValueError
    unless there are two or more to train on and one or more to test.
    """
    if train_per_class < 2 or (test_per_class is not None and test_per_class < 1):
        raise ValueError(
            f"{train_per_class} to train on and {test_per_class} to test of each class"
        )
    held_out = max(1, round(VALIDATED * train_per_class))
    ends = np.cumsum([train_per_class - held_out, held_out, test_per_class or len(ids)])
    parts: list[list[np.ndarray]] = [[], [], []]
    for name, places in _by_class(ids, classes).items():
        if len(places) <= train_per_class:
            raise InputError(
                f"class {name} has {len(places)} images, and {train_per_class} are to train on and "
                f"others to test; add images, leave the class out, or lower train_per_class"
            )
        order = generators(counter_of(number, name)).permutation(places)
        for part, own in zip(parts, np.split(order, ends)[:3], strict=True):
            part.append(own)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def counter_of(number: int, name: str) -> int:
    """The counter of a split's number and a class's name, 64 bits."""
    return int.from_bytes(hashlib.sha256(f"{number}/{name}".encode()).digest()[:8], "little")


def _by_class(ids: Sequence[str], classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The places of each class's images, int64, in the order of their names.

    Raises InputError if two images have one name, or there is none.
    """
    found: dict[str, list[int]] = {}
    order = sorted(range(len(ids)), key=ids.__getitem__)
    for place, before in zip(order, [None, *order], strict=False):
        if before is not None and ids[place] == ids[before]:
            raise InputError(f"two images are called {ids[place]}; names must differ")
        found.setdefault(classes[place], []).append(place)
    if not found:
        raise InputError("there are no images to split")
    return {name: np.array(places, np.int64) for name, places in found.items()}


def write_splits(
    path: str | Path, ids: Sequence[str], splits: Sequence[Split], metadata: Mapping[str, object]
) -> None:
    """Write splits, with JSON-like metadata: a row an image in the order of `ids`.

    Column `split_0` says of each whether the first split has it to "learn", to "validate" or to
    "test", or not at all, "".
    """
    import pyarrow as pa

    from ..core.parquet import write_parquet

    columns: dict[str, Sequence[str]] = {"id": ids}
    for number, split in enumerate(splits):
        values = [""] * len(ids)
        for part in PARTS:
            for place in getattr(split, part).tolist():
                values[place] = part
        columns[f"{COLUMN}{number}"] = values
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    write_parquet(path, table.replace_schema_metadata(texts))


def read_splits(path: str | Path) -> tuple[list[str], list[Split]]:
    """The names of the images and the splits that `write_splits` wrote.

    Raises InputError if the file is missing, damaged or of another kind, or holds no split, or one
    of which a part has no image.
    """
    from ..core.checksums import damaged
    from ..core.parquet import read_columns

    table = read_columns(path)
    names = [f"{COLUMN}{number}" for number in range(table.num_columns - 1)]
    if table.column_names != ["id", *names] or not names:
        raise InputError(f"{path}: its columns are not those of splits; is it the right file?")
    splits = []
    for name in names:
        values = np.array(table[name].to_pylist(), object)
        split = Split(*(np.flatnonzero(values == part) for part in PARTS))
        in_parts = sum(len(getattr(split, part)) for part in PARTS)
        if in_parts + np.count_nonzero(values == "") != len(table):
            raise damaged(path, f"{name} names a part that there is not")
        if not all(len(getattr(split, part)) for part in PARTS):
            raise damaged(path, f"{name} has a part without an image")
        splits.append(split)
    return table["id"].to_pylist(), splits
