"""Pictures of a user's own, packed for the time of a command as the pipeline packs its images."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from ..core.files import InputError
from ..core.signals import ended_by_exit
from .packing import Packing
from .shards import write_shard
from .sources.folders import SUFFIXES
from .sources.members import Hidden, shown


@contextmanager
def packed_meanwhile(
    index: pd.DataFrame, packing: Packing, folder: str | Path, prefix: str
) -> Iterator[str]:
    """Inside the block, the path of a shard that holds the images, in a folder of its own.

    index: id, file, offset and size of each image. folder: where that folder, which `prefix`
    begins, is made; it goes when the block ends, also by SIGTERM.
    Raises InputError if none of the images can be read, or as `packing` does.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (
        ended_by_exit(),
        tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as temporary,
    ):
        path = f"{temporary}/images.arrow"
        there = [os.path.isfile(file) and os.access(file, os.R_OK) for file in index["file"]]
        for name in index["id"][np.logical_not(there)]:
            reason = f"{name}: cannot be opened"
            logging.warning("left out: %s", reason)
            packing.skipped.append({"id": name, "reason": reason})
        write_shard(path, packing.rows(index[there].assign(label=-1)))
        if not packing.packed:
            reason = packing.skipped[0]["reason"]
            raise InputError(f"{reason}; none of the {len(index)} images can be read")
        yield path


def pictures_of(paths: Sequence[str]) -> pd.DataFrame:
    """The pictures of files and folders, each once, in sorted order: id, file, offset and size.

    The id is the path, on one line and in UTF-8. Files that are named are taken as they are; below
    folders those that are images by their names, but for hidden ones. A link to nothing has size 0.
    Raises InputError for a path that is not there, a folder that is without images or cannot be
    read, or no path at all.
    """
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            below = _below(path)
            if not below:
                raise InputError(f"{shown(path)}: holds no images ({', '.join(SUFFIXES)} are read)")
            found += below
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise InputError(f"{shown(path)}: no such file or folder")
    files = sorted({os.path.normpath(file) for file in found})
    return pd.DataFrame(
        {
            "id": [shown(file) for file in files],
            "file": pd.Series(files, dtype=object),  # may be no UTF-8
            "offset": 0,
            "size": [os.path.getsize(file) if os.path.isfile(file) else 0 for file in files],
        }
    )


def _below(folder: str) -> list[str]:
    """The images below a folder, in which each folder is entered once, whatever links to it."""
    hidden, others = Hidden(folder), Counter[str]()
    images: list[str] = []
    entered: set[str] = set()

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f"{shown(str(error.filename))}: cannot be read ({error.strerror})")

    for above, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        entered.add(os.path.realpath(above))
        folders[:] = [
            name
            for name in sorted(folders)
            if not hidden.hides(name) and os.path.realpath(f"{above}/{name}") not in entered
        ]
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if hidden.hides(name):
                continue
            if suffix in SUFFIXES:
                images.append(os.path.join(above, name))
            else:
                others[suffix or "no ending"] += 1
    hidden.tell()
    if others:
        kinds = ", ".join(f"{shown(kind)} {count}" for kind, count in others.most_common())
        logging.info("%s: %d other files passed over (%s)", shown(folder), others.total(), kinds)
    return images
