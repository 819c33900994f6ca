"""Pictures of a user's own, packed for the time of a command as the pipeline packs its images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from ..core.files import InputError
from ..core.signals import ended_by_exit
from .packing import Packing
from .shards import write_shard
from .sources.folders import SUFFIXES
from .sources.members import Hidden


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
        write_shard(path, packing.rows(index.assign(label=-1)))
        if not packing.packed:
            reason = packing.skipped[0]["reason"]
            raise InputError(f"{reason}; none of the {len(index)} images can be read")
        yield path


def pictures_of(paths: Sequence[str]) -> pd.DataFrame:
    """The pictures of files and folders, each once, in sorted order: id, file, offset and size.

    The id is the path. Files that are named are taken as they are; below folders those that are
    images by their names, but for hidden ones.
    Raises InputError for a path that is not there, a folder without images, or none at all.
    """
    found: dict[str, int] = {}
    for path in paths:
        if os.path.isfile(path):
            found[path] = os.path.getsize(path)
        elif os.path.isdir(path):
            below = dict(_below(path))
            if not below:
                raise InputError(f"{path}: holds no images ({', '.join(SUFFIXES)} are read)")
            found |= below
        else:
            raise InputError(f"{path}: no such file or folder")
    files = sorted(found)
    sizes = [found[file] for file in files]
    return pd.DataFrame({"id": files, "file": files, "offset": 0, "size": sizes})


def _below(folder: str) -> Iterator[tuple[str, int]]:
    """(path, size) of the images below a folder."""
    hidden = Hidden(folder)
    for above, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not hidden.hides(name)]
        for name in names:
            if os.path.splitext(name)[1].lower() in SUFFIXES and not hidden.hides(name):
                path = os.path.join(above, name)
                yield path, os.path.getsize(path)
    hidden.tell()
