"""Unpack some of Hugging Face's parquet files: image files end to end in one file, and their list.

Their images lie in random order and compressed together, so that none can be read in place.
The example runs once those of ILSVRC-2012 lie in resources/imagenet-1k.

Example:

    python -m workflow_scripts.unpack_parquet --directory resources/imagenet-1k \\
        --split val --part 0 --parts 10 --images mine.images --output mine.parquet
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.files import InputError, whole_file
from workflow_scripts.vgg.core.parquet import write_frame
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.data.classes import read_class_table
from workflow_scripts.vgg.data.sources import huggingface
from workflow_scripts.vgg.data.sources.members import BAD_IMAGE_CURE, HEAD, ON_BAD_IMAGE, flaw


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--directory", required=True, help="folder of the parquet files")
    parser.add_argument("--split", required=True, choices=huggingface.SPLITS)
    parser.add_argument("--part", type=int, required=True, help="number of this part, from 0")
    parser.add_argument("--parts", type=int, required=True, help="files are dealt out to so many")
    parser.add_argument("--classes", help="classes.parquet of a subset: others are not unpacked")
    parser.add_argument(
        "--on-bad-image", choices=ON_BAD_IMAGE, default="error", help="stop, or leave it to packing"
    )
    parser.add_argument("--images", required=True, help="file to write the images' bytes to")
    parser.add_argument("--output", required=True, help="list to write (parquet)")
    given = parser.parse_args(arguments)
    files = huggingface.parquet_files(given.directory, given.split)
    files = files[given.part :: given.parts]
    rows = rows_of(given.classes)
    progress = Progress(len(files), "files")
    lines, offset = [], 0
    columns = ["id", "wnid", "label", "file", "offset", "size"]
    with whole_file(given.images) as temporary:
        with open(temporary, "wb") as images:
            for file in files:
                for row in rows(file):
                    content = row.content or b""
                    wrong = flaw(content[:HEAD], len(content))
                    if wrong and given.on_bad_image == "error":
                        raise InputError(f"{row.where}: {row.id} {wrong}; {BAD_IMAGE_CURE}")
                    if wrong:
                        logging.warning(
                            "%s: %s %s; packing leaves it out", row.where, row.id, wrong
                        )
                    size = images.write(content)
                    lines.append((row.id, row.wnid, row.label, given.images, offset, size))
                    offset += size
                progress.update(1)
        # Both files are there, or neither.
        write_frame(given.output, pd.DataFrame(lines, columns=columns))
    logging.info("%d images from %d files", len(lines), len(files))


def rows_of(classes: str | None) -> Callable[[Path], Iterator[huggingface.Row]]:
    """What reads the rows of a file: all, or those of the classes of classes.parquet."""
    if classes is None:
        return huggingface.rows
    table, _ = read_class_table(classes)
    label_of_wnid = dict(zip(table["wnid"], table["source_label"], strict=True))
    return partial(huggingface.rows_of_classes, label_of_wnid=label_of_wnid)


if __name__ == "__main__":
    command.run(main)
