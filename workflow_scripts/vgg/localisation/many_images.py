"""What is found of each image of some files of boxes, by one process or several."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ..core.files import InputError
from ..core.parquet import rows_of
from ..core.progress import Progress
from .box_files import BoxedImage, joined

T = TypeVar("T")
TOGETHER = 16  # images that a process is given at a time
IN_MEMORY = 4096  # images at a time


def count_images(path: str | Path) -> int:
    """The number of a file's images. Raises InputError if there is none."""
    if not (images := rows_of(path)):
        raise InputError(f"{path}: holds no images")
    return images


def found_of_each(
    paths: Sequence[str | Path], find: Callable[[list[BoxedImage]], T], threads: int
) -> Iterator[tuple[BoxedImage, T]]:
    """Each image as the first file has it, and what `find` gives of it as all of them do, in order.

    find: a function that processes can be given. threads: the number of these; one is this one.
    What is found does not depend on it. Raises InputError as `joined` does, or for `threads`.
    """
    if threads < 1:
        raise InputError(f"--threads {threads}: expected 1 or more")
    progress = Progress(count_images(paths[0]), "images")
    with contextlib.ExitStack() as stack:
        mapped: Callable = map
        if threads > 1:
            context = multiprocessing.get_context("forkserver")
            pool = stack.enter_context(ProcessPoolExecutor(threads, context))
            mapped = functools.partial(pool.map, chunksize=TOGETHER)
        images_left = joined(paths)
        while some := list(islice(images_left, IN_MEMORY)):
            for own, found in zip(some, mapped(find, some), strict=True):
                yield own[0], found
                progress.update(1)
