"""Pictures with filled rectangles, true boxes to go with shards, and overlap by counting pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from workflow_scripts.vgg.data.box_targets import BoxReadings, BoxTargets
from workflow_scripts.vgg.data.images import encode_jpeg
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.data.truth import Truth, write_truth

Rectangle = tuple[int, int, int, int]  # edges in pixels: left, top, right, bottom
LIT = 127  # pixels above this, in a rectangle's channel, belong to it


def drawn(height: int, width: int, *rectangles: Rectangle) -> np.ndarray:
    """A black picture uint8 [height, width, 3]; one rectangle is white, of several each has a
    channel."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel, (left, top, right, bottom) in enumerate(rectangles):
        channels = slice(None) if len(rectangles) == 1 else channel
        pixels[top:bottom, left:right, channels] = 255
    return pixels


def box_of(lit: np.ndarray) -> list[int] | None:
    """The edges of the smallest rectangle around the lit pixels of a mask; None if none is lit."""
    if not lit.any():
        return None
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def write_pictures(path: Path, pictures: Sequence[np.ndarray]) -> str:
    """Pack pictures as training images are, each labelled with its place."""
    rows = [
        (f"n00000001_{place:04d}", place, encode_jpeg(pixels, 95), *pixels.shape[:2])
        for place, pixels in enumerate(pictures)
    ]
    write_shard(path, rows)
    return str(path)


def targets_of(
    pictures: Sequence[tuple[int, int, Sequence[Rectangle]]], crop: int, **readings: str
) -> BoxTargets:
    """The targets of pictures given as (height, width, rectangles)."""
    counts = [len(rectangles) for _, _, rectangles in pictures]
    boxes = [
        [left / width, top / height, right / width, bottom / height]
        for height, width, rectangles in pictures
        for left, top, right, bottom in rectangles
    ]
    return BoxTargets(
        np.concatenate([[0], np.cumsum(counts)]), np.array(boxes), crop, BoxReadings(**readings)
    )


def write_boxes_of(
    path: Path,
    shards: Sequence[str],
    boxes: Mapping[str, Sequence[Sequence[float]]],
    blacklisted: Sequence[str] = (),
) -> str:
    """True boxes of all images of some shards; `boxes` gives the relative corners of some."""
    opened = Shards(shards)
    sizes = dict(zip(opened.ids(), zip(opened.widths, opened.heights, strict=True), strict=True))
    ids = sorted(sizes)
    own = [boxes.get(name, ()) for name in ids]
    flat = [box for some in own for box in some]
    truth = Truth(
        ids,
        np.concatenate([[0], np.cumsum([len(some) for some in own])]),
        np.array(flat, float).reshape(-1, 4),
        np.array([sizes[name][0] for name in ids], np.int32),
        np.array([sizes[name][1] for name in ids], np.int32),
        np.array([name in blacklisted for name in ids]),
    )
    write_truth(path, truth, {})
    return str(path)


def lit(box: Sequence[float], width: int, height: int) -> np.ndarray:
    """The pixels of an image, bool [height, width], that a box of first and last pixels has."""
    xmin, ymin, xmax, ymax = (int(value) for value in box)
    pixels = np.zeros((height, width), bool)
    pixels[max(ymin, 0) : ymax + 1, max(xmin, 0) : xmax + 1] = True
    return pixels


def is_right(
    box: Sequence[float], true: Sequence[Sequence[float]], width: int, height: int
) -> bool:
    """Whether a box of first and last pixels covers a half, or more, of what it and a true one, of
    relative corners, cover together; by counting pixels."""
    guessed = lit(box, width, height)
    for xmin, ymin, xmax, ymax in true:
        edges = round(xmin * width), round(ymin * height), round(xmax * width), round(ymax * height)
        own = lit((edges[0], edges[1], edges[2] - 1, edges[3] - 1), width, height)
        if 2 * (guessed & own).sum() >= (guessed | own).sum():
            return True
    return False


def rescaled(encoded: bytes | memoryview, smallest_side: int) -> np.ndarray:
    """An image as Pillow alone decodes and rescales it, float32 [height, width, 3]."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    short = min(image.size)
    if short != smallest_side:
        size = [round(side * smallest_side / short) for side in image.size]
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)
