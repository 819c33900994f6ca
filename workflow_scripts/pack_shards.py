"""Pack one shard: read its images from the archive in place, rescale them if asked, write Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pandas as pd

from workflow_scripts.vgg import command, images
from workflow_scripts.vgg.archives import read_member, require
from workflow_scripts.vgg.shards import bounds, write_shard


def rows(
    archive: BinaryIO,
    index: pd.DataFrame,
    name: str,
    smallest_side: int | None,
    only_shrink: bool,
    resize_filter: str,
    jpeg_quality: int,
) -> Iterator[tuple[str, int, bytes, int, int]]:
    """(id, label, jpeg, height, width) of each image of `index`.

    smallest_side: pixels to rescale to; None keeps the original bytes.
    only_shrink: keep the original bytes of images that are no larger than that.
    """
    progress = command.Progress(len(index), "images")
    for row in index.itertuples():
        where = f"{name}: {row.id}"
        encoded = read_member(archive, row.offset, row.size, where)
        height, width = images.size_of(encoded, where)
        if smallest_side and not (only_shrink and min(height, width) <= smallest_side):
            pixels = images.decode(encoded, where)
            pixels = images.rescale(pixels, smallest_side, resize_filter)
            encoded = images.encode_jpeg(pixels, jpeg_quality)
            height, width = pixels.shape[:2]
        yield row.id, row.label, encoded, height, width
        progress.update(1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--archive", required=True, help="train, validation or test tar")
    parser.add_argument("--index", required=True, help="the archive's index (parquet)")
    parser.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")
    parser.add_argument("--shards", type=int, required=True, help="number of shards of the split")
    parser.add_argument(
        "--smallest-side", type=int, help="pixels to rescale to; original bytes if not given"
    )
    parser.add_argument(
        "--only-shrink", action="store_true", help="do not enlarge images smaller than that"
    )
    parser.add_argument("--resize-filter", choices=images.RESIZE_FILTERS, default="bicubic")
    parser.add_argument("--jpeg-quality", type=int, default=95, help="of rescaled images")
    parser.add_argument("--output", required=True, help="shard to write (Arrow IPC file)")
    options = parser.parse_args(arguments)
    index = pd.read_parquet(options.index)
    first, last = bounds(len(index), options.shard, options.shards)
    with open(require(options.archive), "rb") as archive:
        write_shard(
            options.output,
            rows(
                archive,
                index.iloc[first:last],
                options.archive,
                options.smallest_side,
                options.only_shrink,
                options.resize_filter,
                options.jpeg_quality,
            ),
        )


if __name__ == "__main__":
    command.run(main)
