"""Files of descriptors: one row an example, in its order, as float32 vectors of one length."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..core.checksums import cure, damaged
from ..core.files import InputError
from ..core.parquet import read_columns, read_metadata, write_parquet

ROWS_PER_GROUP = 512


def write_descriptors(
    path: str | Path, ids: Sequence[str], descriptors: np.ndarray, metadata: dict
) -> None:
    """Write descriptors, float32 [images, length], with JSON-like metadata."""
    values = pa.array(descriptors.astype(np.float32).ravel(), pa.float32())
    table = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "descriptor": pa.FixedSizeListArray.from_arrays(values, descriptors.shape[1]),
        }
    ).replace_schema_metadata({key: json.dumps(value) for key, value in metadata.items()})
    write_parquet(
        path, table, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False
    )


def read_descriptors(path: str | Path, ids: Sequence[str]) -> np.ndarray:
    """The descriptors of some images, or persons, float32 [ids, length], in the order of `ids`.

    One that the file lacks, since packing left the image out, is zeros; the log tells.
    Raises InputError if the file is missing, damaged, of another kind or of other images, or is not
    what its place in the results says.
    """
    _check_place(path)
    table = read_columns(path, ["id", "descriptor"])
    kind = table.schema.field("descriptor").type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise InputError(f"{path}: its descriptors are {kind}; is it a file of descriptors?")
    column = table["descriptor"].combine_chunks()
    if column.null_count or column.values.null_count or table["id"].null_count:
        raise damaged(path, "values are missing")
    values = np.from_dlpack(column.flatten()).reshape(-1, kind.list_size)
    if not np.isfinite(values).all():
        raise damaged(path, "descriptors are not finite")
    found = table["id"].to_pylist()
    if found == list(ids):
        return values
    place_of = {name: place for place, name in enumerate(found)}
    if len(place_of) < len(found):
        raise damaged(path, "a name stands there twice")
    known = set(ids)
    if strange := next((name for name in found if name not in known), None):
        raise InputError(
            f"{path}: is of other images than the data set, such as {strange}. {cure(path)}"
        )
    if lacking := len(known) - len(found):
        logging.warning("%s: %d of %d are not described", path, lacking, len(known))
    aligned = np.zeros((len(ids), kind.list_size), np.float32)
    own = [row for row, name in enumerate(ids) if name in place_of]
    aligned[own] = values[[place_of[ids[row]] for row in own]]
    return aligned


def described_ids(path: str | Path) -> set[str]:
    """The names of the images, or persons, that a file of descriptors has."""
    return set(read_columns(path, ["id"])["id"].to_pylist())


def _check_place(path: str | Path) -> None:
    *_, folder, _, model, name = ("", "", "", *Path(path).parts)
    metadata = read_metadata(path)
    if folder != "descriptors" or not {"model", "method", "Q"} <= metadata.keys():
        return
    # A net that has learned nothing has a folder of its own.
    net = f"{metadata['model']}.random" if metadata.get("iterations") == 0 else metadata["model"]
    found = f"{net}/{metadata['method']}_Q{metadata['Q']}.parquet"
    if found != f"{model}/{name}":
        raise InputError(f"{path}: holds the descriptors of {found}. {cure(path)}")
