"""Hugging Face's imagenet-1k: parquet files of `image` {bytes, path} and `label` columns.

Other data sets have the images as plain bytes, without names, or under another name: all that reads
the files goes through `rows`, which finds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...core.files import InputError, is_of_system
from .members import check_name

SPLITS = {"train": "train", "val": "validation", "test": "test"}  # ours: theirs
_PART = re.compile(r".*?-(\d{5})-of-(\d{5})(?:-\w+)?\.parquet", re.ASCII)
_MADE_UP = re.compile(r"(train|validation|test)-.*-\d{8}", re.ASCII)
_STEM = re.compile(r"(.+)_(n\d{8})")


class Row(NamedTuple):
    """An image: where it is for an error; id; wnid, None where its name does not tell; class index,
    −1 if there is none; file content, None if it was not asked for, empty if there is none."""

    where: str
    id: str
    wnid: str | None
    label: int
    content: bytes | None


def parquet_files(directory: str | Path, split: str) -> list[Path]:
    """A split's files, in order, from a folder or its `data`. Raises InputError if none."""
    pattern = f"{SPLITS[split]}-*.parquet"
    folders = Path(directory), Path(directory) / "data"
    found = {folder: files for folder in folders if (files := sorted(folder.glob(pattern)))}
    if not found:
        raise InputError(
            f"{directory}: neither it nor its folder data holds {pattern}; data.directory must "
            "name a download of the data set imagenet-1k"
        )
    if len(found) > 1:
        raise InputError(f"{directory}: it and its folder data both hold {pattern}; keep one")
    ((folder, files),) = found.items()
    for file in files:
        check_name(file.name, str(folder))
        if not file.exists():
            raise InputError(f"{file}: is a link that leads nowhere; download the data set again")
    _check_complete(folder, pattern, files)
    return files


def _check_complete(folder: Path, pattern: str, files: Sequence[Path]) -> None:
    """Raise InputError unless files are each of `-00000-of-00003` to `-00002-of-00003` once."""
    matches = [_PART.fullmatch(file.name) for file in files]
    parts = [match.groups() for match in matches if match]
    if not parts:  # somebody's own files, whose names do not tell
        return
    if other := next((f for f, match in zip(files, matches, strict=True) if not match), None):
        raise InputError(f"{other}: is no part of the other files {pattern}; remove or rename it")
    total = max(int(of) for _, of in parts)
    if len({of for _, of in parts}) > 1 or len({number for number, _ in parts}) < len(parts):
        raise InputError(f"{folder}: {pattern} are of several downloads; keep the files of one")
    if missing := sorted(set(range(total)) - {int(number) for number, _ in parts}):
        raise InputError(
            f"{folder}: of {total} files {pattern}, {len(missing)} are missing, first number "
            f"{missing[0]:05d}; download them"
        )


def is_made_up(name: str) -> bool:
    """Whether an image's name is that of its file and row, since it had none itself."""
    return bool(_MADE_UP.fullmatch(name))


def rows_of_classes(path: Path, label_of_wnid: Mapping[str, int]) -> Iterator[Row]:
    """The images of some classes, as `rows` gives them. label_of_wnid: the classes.

    Names and labels are read first, and then the groups of rows that hold an image of the classes.
    An image whose name does not tell its WNID is of the class that its label says.
    """
    labels = set(label_of_wnid.values())
    yield from rows(
        path,
        only={
            place
            for place, row in enumerate(rows(path, contents=False))
            if (row.label in labels if row.wnid is None else row.wnid in label_of_wnid)
        },
    )


def rows(path: Path, contents: bool = True, only: Set[int] | None = None) -> Iterator[Row]:
    """The images of a file, in its order; at most 64 are in memory.

    Names are `<file>_<wnid>.JPEG`; an image without one is named by its file and row.
    contents: read the images too. only: numbers of rows, from 0; groups of others are not read.
    Raises InputError if the file is damaged or of another form.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            image = _image_column(schema, path)
            kind = schema.field(image).type
            plain = not pa.types.is_struct(kind)
            named = not plain and _has_names(kind, path)
            columns = [image if plain else f"{image}.bytes"] if contents else []
            columns += [f"{image}.path"] if named else []
            for places, batch in _batches(file, [*columns, "label"], only):
                images = batch[image].to_pylist() if columns else [None] * len(batch)
                labels = batch["label"].to_pylist()
                for place, found, label in zip(places.tolist(), images, labels, strict=True):
                    found = {"bytes": found} if plain else found or {}
                    where = f"{path}, row {place}"
                    label = -1 if label is None else label
                    name = found.get("path") or f"{path.stem}-{place:08d}"
                    content = (found.get("bytes") or b"") if contents else None
                    yield Row(where, *_id_and_wnid(name), label, content)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: holds the name {error.object!r}, which is not UTF-8; write it again with "
            "other names"
        ) from error
    except (pa.ArrowException, OSError) as error:
        if is_of_system(error):
            raise
        raise InputError(f"{path}: damaged ({error}); download it again") from error


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], only: Set[int] | None
) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(numbers of rows, int64; the rows) of up to 64 rows at a time; `only` as in `rows`."""
    wanted = None if only is None else np.array(sorted(only), np.int64)
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        if wanted is None or np.searchsorted(wanted, start) < np.searchsorted(wanted, end):
            for batch in file.iter_batches(64, row_groups=[group], columns=columns):
                places = np.arange(start, start + len(batch))
                start += len(batch)
                if wanted is not None:
                    kept = np.isin(places, wanted)
                    places, batch = places[kept], batch.filter(pa.array(kept))
                yield places, batch
        start = end


def read_classes(directory: str | Path) -> pd.DataFrame:
    """The classes: label (sorted-WNID order), wnid and words, as names and metadata give them.

    Reads names and labels of the validation set, or of the training set where there is no other.
    Where no image's name tells its WNID, the metadata's class names, or else labels, stand for it.
    Raises InputError if labels do not follow the order of the WNIDs.
    """
    try:
        files = parquet_files(directory, "val")
    except InputError:
        files = parquet_files(directory, "train")
    label_of_wnid: dict[str, int] = {}
    nameless: dict[int, str] = {}
    for path in files:
        for row in rows(path, contents=False):
            if row.label < 0:
                raise InputError(f"{row.where}: {row.id} has no label, but its class is needed")
            if row.wnid is None:
                nameless.setdefault(row.label, row.where)
            elif label_of_wnid.setdefault(row.wnid, row.label) != row.label:
                raise InputError(
                    f"{row.where}: {row.id} has label {row.label}, which its WNID, {row.wnid}, "
                    "does not fit"
                )
    words = _words(pq.read_schema(files[-1]).metadata or {})
    if not label_of_wnid:
        count = len(words) or len(nameless)
        if not words and (lacking := set(range(count)) - set(nameless)):
            raise InputError(
                f"{directory}: labels are to be 0 to {count - 1}, as there are {count} different "
                f"ones, but no image has {min(lacking)}; write them anew, or name the "
                "classes in the metadata"
            )
        unique = len(set(words)) == count
        wnids = list(words) if unique else [f"{label:04d}" for label in range(count)]
    else:
        wnids = sorted(label_of_wnid)
        if [label_of_wnid[wnid] for wnid in wnids] != list(range(len(wnids))):
            raise InputError(f"{directory}: labels are not the places of the WNIDs in sorted order")
    for label, where in nameless.items():
        if label >= len(wnids):
            raise InputError(f"{where}: label {label}, but there are {len(wnids)} classes")
    return pd.DataFrame(
        {
            "label": np.arange(len(wnids), dtype=np.int32),
            "wnid": wnids,
            "words": words if len(words) == len(wnids) else wnids,
        }
    )


def _image_column(schema: pa.Schema, path: Path) -> str:
    """The name of the column of images: `image`, or the only one that can hold them."""
    if schema.names.count("label") > 1:
        raise InputError(f"{path}: has several columns label; write it anew with one")
    if "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
        raise InputError(
            f"{path}: has no columns image {{bytes, path}} and label, a class's number; it has "
            f"{', '.join(schema.names)}"
        )
    fitting = [field.name for field in schema if _holds_bytes(field.type)]
    if "image" in schema.names:
        fitting = [name for name in fitting if name == "image"]
    if len(fitting) != 1:
        types = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise InputError(
            f"{path}: has {len(fitting) or 'no'} columns of images, where one is expected, called "
            f"image, of bytes or {{bytes, path}}; it has {types}. Rename or write it anew"
        )
    return fitting[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column can hold image files: bytes, or a struct with a field of them."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_bytes(kind.field(place).type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _has_names(image: pa.StructType, path: Path) -> bool:
    """Whether a column of images has a field `path` of text; of nulls alone is as good as none."""
    place = image.get_field_index("path")
    if place < 0 or pa.types.is_null(kind := image.field(place).type):
        return False
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(is_text(kind) for is_text in texts):
        raise InputError(f"{path}: its images' paths are {kind}, not text; write them anew as text")
    return True


def _id_and_wnid(path: str) -> tuple[str, str | None]:
    stem = PurePosixPath(path).stem
    match = _STEM.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, None)


def _words(metadata: dict[bytes, bytes]) -> Sequence[str]:
    """The names of the ClassLabel feature that the data set's own metadata list, by label."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        return [str(name) for name in names]
    except (KeyError, TypeError, ValueError):
        return []
