"""Pack one shard: read its images where they lie, rescale them if asked, write Arrow.

Every image is decoded, so that what training and evaluation will meet is known: what is odd about
the images is counted in a report, and one that cannot be decoded stops the packing or is left out.

Example:

    python -m workflow_scripts.pack_shards --index results/miniature/index/val.parquet \\
        --shard 0 --shards 1 --crop 96 --report mine.json --output mine.arrow
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command, costs
from workflow_scripts.vgg.core.parquet import read_frame, read_metadata
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.packing import Packing
from workflow_scripts.vgg.data.shards import bounds, write_shard
from workflow_scripts.vgg.data.sources.members import (
    ON_BAD_IMAGE,
    Unchanged,
)


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
    given = parser.parse_args(arguments)
    index = read_frame(given.index, ["id", "label", "file", "offset", "size"])
    unchanged = Unchanged(given.index, read_metadata(given.index))
    first, last = bounds(len(index), given.shard, given.shards)
    packing = Packing(
        smallest_side=given.smallest_side,
        only_shrink=given.only_shrink,
        resize_filter=given.resize_filter,
        jpeg_quality=given.jpeg_quality,
        crop=given.crop,
        on_bad_image=given.on_bad_image,
    )
    with costs.working_on(last - first):
        write_shard(given.output, packing.rows(index.iloc[first:last], unchanged))
    write_json(given.report, packing.report())


if __name__ == "__main__":
    command.run(main)
