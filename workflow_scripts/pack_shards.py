"""Pack one shard: read its images where they lie, rescale them if asked, write Arrow.

Every image is decoded, so that what training and evaluation will meet is known: what is odd about
the images is counted in a report, and one that cannot be decoded stops the packing or is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_frame, read_metadata
from workflow_scripts.vgg.core.progress import Progress
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.oddities import examine
from workflow_scripts.vgg.data.shards import bounds, write_shard
from workflow_scripts.vgg.data.sources.members import (
    BAD_IMAGE_CURE,
    ON_BAD_IMAGE,
    Unchanged,
    read_members,
)

LARGEST_SCALE = 1024  # at which an image of original bytes must still be read, in the paper's units


@dataclass
class Packing:
    """How images become a shard's rows, and what was met on the way.

    smallest_side: pixels to rescale to; None keeps the original bytes. only_shrink: keep the
    original bytes of images that are no larger than that. crop: side of the nets' input in pixels.
    on_bad_image: "error" stops at an image that cannot be decoded, "skip" leaves it out.
    """

    smallest_side: int | None
    only_shrink: bool
    resize_filter: str
    jpeg_quality: int
    crop: int
    on_bad_image: str = "error"
    packed: int = 0
    source_bytes: int = 0
    stored_bytes: int = 0
    oddities: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def rows(
        self, index: pd.DataFrame, unchanged: Unchanged | None = None
    ) -> Iterator[tuple[str, int, bytes, int, int]]:
        """(id, label, jpeg, height, width) of each image of `index`, in its order.

        Raises InputError for a bad image, naming it, unless it is to be skipped; and for a file
        that has changed since it was indexed.
        """
        progress = Progress(len(index), "images")
        places = zip(index["file"], index["offset"], index["size"], strict=True)
        for row, encoded in zip(index.itertuples(), read_members(places, unchanged), strict=True):
            try:
                stored, height, width = self.encoded(encoded, row)
            except InputError as error:
                if self.on_bad_image == "error":
                    raise InputError(f"{error}; {BAD_IMAGE_CURE}") from error
                logging.warning("left out: %s", error)
                self.skipped.append({"id": row.id, "reason": str(error)})
            else:
                self.packed += 1
                self.source_bytes += len(encoded)
                self.stored_bytes += len(stored)
                yield row.id, row.label, stored, height, width
            progress.update(1)

    def encoded(self, content: bytes, row) -> tuple[bytes, int, int]:
        """An image's bytes as they are stored, its height and width; notes its oddities."""
        where = f"{row.file}: {row.id}"
        if not content:
            raise InputError(f"{where}: has no bytes")
        if len(content) != row.size:
            raise InputError(f"{where}: its file ends inside it")
        pixels, kinds = examine(content, where, self.crop)
        height, width = pixels.shape[:2]
        side = self.smallest_side
        if side and not (self.only_shrink and min(height, width) <= side):
            pixels = images.rescale(pixels, side, self.resize_filter, images.resize_fast, where)
            content = images.encode_jpeg(pixels, self.jpeg_quality, where)
            height, width = pixels.shape[:2]
        elif not side:
            images.check_elongation(
                height, width, images.pixels_at(LARGEST_SCALE, self.crop), where
            )
        for kind in kinds:
            self.oddities.setdefault(kind, []).append(row.id)
        return content, height, width

    def report(self) -> dict:
        """What was packed: numbers, bytes, ids by oddity, and the images left out."""
        return {
            "images": self.packed,
            "source_bytes": self.source_bytes,
            "bytes": self.stored_bytes,
            "oddities": self.oddities,
            "skipped": self.skipped,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--index", required=True, help="the split's index (parquet)")
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
    parser.add_argument("--crop", type=int, default=224, help="side of the nets' input in pixels")
    parser.add_argument(
        "--on-bad-image", choices=ON_BAD_IMAGE, default="error", help="stop, or leave it out"
    )
    parser.add_argument("--report", required=True, help="packing report to write (JSON)")
    parser.add_argument("--output", required=True, help="shard to write (Arrow IPC file)")
    options = parser.parse_args(arguments)
    index = read_frame(options.index, ["id", "label", "file", "offset", "size"])
    unchanged = Unchanged(options.index, read_metadata(options.index))
    first, last = bounds(len(index), options.shard, options.shards)
    packing = Packing(
        options.smallest_side,
        options.only_shrink,
        options.resize_filter,
        options.jpeg_quality,
        options.crop,
        options.on_bad_image,
    )
    with costs.working_on(last - first):
        write_shard(options.output, packing.rows(index.iloc[first:last], unchanged))
    write_json(options.report, packing.report())


if __name__ == "__main__":
    command.run(main)
