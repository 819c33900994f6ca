"""How images become a shard's rows: decoded, rescaled if asked, and looked at for what is odd."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ..core.files import InputError
from ..core.progress import Progress
from . import images
from .oddities import examine
from .sources.members import BAD_IMAGE_CURE, Unchanged, read_members, shown

LARGEST_SCALE = 1024  # at which an image of original bytes must still be read, in the paper's units
REPORT_NUMBERS = ("images", "source_bytes", "bytes")
REPORT_KEYS = (*REPORT_NUMBERS, "oddities", "skipped")  # of a packing report


@dataclass
class Packing:
    """How images become a shard's rows, and what was met on the way.

    smallest_side: pixels to rescale to; None keeps the original bytes.
    only_shrink: keep the original bytes of images that are no larger than that.
    crop: side of the nets' input in pixels.
    on_bad_image: "error" stops at an image that cannot be decoded, "skip" leaves it out.
    cure: what the error says can be done about it.
    """

    smallest_side: int | None
    only_shrink: bool
    resize_filter: str
    jpeg_quality: int
    crop: int
    on_bad_image: str = "error"
    cure: str = BAD_IMAGE_CURE
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
        progress = Progress(len(index), "images packed")
        places = zip(index["file"], index["offset"], index["size"], strict=True)
        for row, encoded in zip(index.itertuples(), read_members(places, unchanged), strict=True):
            try:
                stored, height, width = self.encoded(encoded, row)
            except InputError as error:
                if self.on_bad_image == "error":
                    raise InputError(f"{error}; {self.cure}") from error
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
        file = shown(row.file)
        where = file if row.id == file else f"{file}: {row.id}"
        if not content:
            raise InputError(f"{where}: has no bytes")
        if len(content) != row.size:
            raise InputError(f"{where}: its file ends inside it")
        pixels, kinds = examine(content, where, self.crop)
        height, width = pixels.shape[:2]
        side = self.smallest_side
        if side and not (self.only_shrink and min(height, width) <= side):
            pixels = images.rescale(
                pixels, side, self.resize_filter, resized=images.resize_fast, name=where
            )
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
        """Numbers and bytes of the images packed, ids by oddity, and the images left out."""
        return {
            "images": self.packed,
            "source_bytes": self.source_bytes,
            "bytes": self.stored_bytes,
            "oddities": self.oddities,
            "skipped": self.skipped,
        }


def join_reports(reports: Sequence[dict]) -> dict:
    """One report of several shards': numbers are added, lists follow each other."""
    oddities: dict[str, list[str]] = {}
    for report in reports:
        for kind, ids in report["oddities"].items():
            oddities.setdefault(kind, []).extend(ids)
    return {
        **{key: sum(report[key] for report in reports) for key in REPORT_NUMBERS},
        "oddities": dict(sorted(oddities.items())),
        "skipped": [image for report in reports for image in report["skipped"]],
    }
