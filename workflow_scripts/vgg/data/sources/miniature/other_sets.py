"""Write drawn stand-ins of VOC-2007, VOC-2012, Caltech-101 and Caltech-256 in their own archives.

Archives, names and forms are the official ones; the images are drawings.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ....core.files import InputError
from ....core.progress import Progress
from ....core.text_artefacts import write_json
from .caltech_form import CALTECH101, CALTECH256, write_caltech101, write_caltech256
from .other_images import STREAMS, Counts, Drawn, Picture, draw_picture, planned
from .scenes import Scene
from .voc_form import (
    VOC2007_TEST,
    VOC2007_TRAINVAL,
    VOC2012_TEST,
    VOC2012_TRAINVAL,
    WITHHELD,
    write_voc2007,
    write_voc2012,
)
from .writing import MANIFEST

FILES = (
    *(VOC2007_TRAINVAL, VOC2007_TEST, VOC2012_TRAINVAL, VOC2012_TEST),
    *(CALTECH101, CALTECH256, WITHHELD),
)


def write_other_sets(
    directory: Path, seed: int, processes: int, counts: Counts | None = None
) -> None:
    """Write all archives into `directory`, and last their `MANIFEST`.

    The bytes depend on the seed and the counts only, not on the number of processes.
    """
    counts = counts or Counts()
    pictures = planned(seed, counts)
    progress = Progress(len(pictures), "images drawn")
    (directory / MANIFEST).unlink(missing_ok=True)
    images: dict[str, list[tuple[Picture, Scene]]] = {data: [] for data in STREAMS}
    with _workers(processes) as imap:
        for picture, scene in zip(pictures, imap(pictures), strict=True):
            images[picture.data].append((picture, scene))
            progress.update(1)
    write_voc2007(directory, images["voc2007"])
    write_voc2012(directory, images["voc2012"], images["actions"])
    write_caltech101(directory / CALTECH101, images["caltech101"])
    write_caltech256(directory / CALTECH256, images["caltech256"])
    _write_manifest(directory, seed, images)


@contextlib.contextmanager
def _workers(processes: int) -> Iterator[Callable[[list[Picture]], Iterable[Scene]]]:
    """A function that draws pictures, in order, in this process or in several others."""
    if processes < 1:
        raise InputError(f"--processes {processes}: expected 1 or more")
    if processes == 1:
        yield lambda pictures: map(draw_picture, pictures)
        return
    with multiprocessing.Pool(processes) as pool:
        yield lambda pictures: pool.imap(draw_picture, pictures, chunksize=16)


def _write_manifest(directory: Path, seed: int, images: Mapping[str, Drawn]) -> None:
    archives = []
    for name in FILES:
        content = (directory / name).read_bytes()
        md5 = hashlib.md5(content).hexdigest()
        archives.append({"name": name, "bytes": len(content), "md5": md5})
    counts: dict[str, dict[str, int]] = {data: {} for data in images}
    for data, drawn in images.items():
        for picture, _ in drawn:
            counts[data][picture.part] = counts[data].get(picture.part, 0) + 1
    write_json(directory / MANIFEST, {"seed": seed, "images": counts, "archives": archives})
