"""Oddities of image files: ILSVRC-2012 has PNGs, CMYK JPEGs, broken EXIF and tiny images.

None of it stops packing; it is counted, so that a report can say what the pixels came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from . import images
from .exif import of_exif

KINDS = {
    "png": "a PNG, though named JPEG",
    "webp": "a WebP, though named JPEG",
    "bmp": "a BMP, though named JPEG",
    "gif": "a GIF, though named JPEG; its first picture is taken",
    "tiff": "a TIFF, though named JPEG",
    "cmyk": "stored as CMYK or YCCK; converted to RGB without its colour profile",
    "grey-scale": "stored with one channel; R, G and B are that channel",
    "exif-orientation": "to be turned or mirrored, says EXIF; ignored, pixels are as stored",
    "corrupt-exif": "EXIF that ends early or points outside itself; ignored",
    "progressive": "a progressive JPEG; its pixels are as good as any",
    "trailing-bytes": "bytes after the JPEG's end; ignored",
    "strict-decoder-refused": (
        "a JPEG with stray bytes, damage or rare subsampling, read by the lenient decoder"
    ),
    "smaller-than-crop": "smallest side shorter than the nets' input; enlarged by rescaling",
    "elongated": "one side more than four times as long as the other",
    "one-colour": "all pixels are equal",
}
ELONGATED = 4
# 0xFF and what can follow it in a marker: no stuffed zero of coded pixels, fill byte or restart.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
START, END, TEMPORARY, EXIF = 0xD8, 0xD9, 0x01, 0xE1
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame: size, channels
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
EXIF_SIGNATURE = b"Exif\0\0"


def examine(encoded: bytes, name: str, crop: int) -> tuple[np.ndarray, list[str]]:
    """Decode an image file as `images.decode` does, and say what is odd about it.

    name: what an error calls the image. crop: side of the nets' input in pixels.
    Returns uint8 [height, width, 3] RGB, and those of KINDS that apply, in its order.
    Raises InputError if the file cannot be decoded.
    """
    strict = images.decode_strictly(encoded)
    refused = strict is None
    pixels = images.decode_leniently(encoded, name) if strict is None else strict
    if encoded[:2] == images.JPEG_SIGNATURE:
        kinds = of_jpeg(encoded)
        if refused and "cmyk" not in kinds:
            kinds.add("strict-decoder-refused")
    else:
        kinds = of_other_format(encoded, name)
    kinds |= of_pixels(pixels, crop)
    return pixels, [kind for kind in KINDS if kind in kinds]


def of_jpeg(encoded: bytes) -> set[str]:
    """Oddities of the structure of a JPEG file, by its markers alone."""
    kinds = set()
    exif = []
    channels = None
    for marker, start, end in segments(encoded):
        if marker in FRAMES and channels is None:
            channels = encoded[start + 5]
            if marker in PROGRESSIVE:
                kinds.add("progressive")
        elif marker == EXIF and encoded.startswith(EXIF_SIGNATURE, start):
            exif.append(encoded[start + len(EXIF_SIGNATURE) : end])
        elif marker == END and end < len(encoded):
            kinds.add("trailing-bytes")
    if channels in (1, 4):
        kinds.add("grey-scale" if channels == 1 else "cmyk")
    return kinds | of_exif(b"".join(exif)) if exif else kinds


def of_other_format(encoded: bytes, name: str) -> set[str]:
    """Oddities of a file that is no JPEG. Raises InputError as `images.opened` does."""
    with images.opened(encoded, name) as image:
        kinds = {str(image.format).lower()}
        if image.mode in ("1", "L", "LA"):
            kinds.add("grey-scale")
        elif image.mode == "CMYK":
            kinds.add("cmyk")
        exif = image.info.get("exif")
        return kinds | of_exif(exif.removeprefix(EXIF_SIGNATURE)) if exif else kinds


def of_pixels(pixels: np.ndarray, crop: int) -> set[str]:
    """Oddities of uint8 [height, width, 3], of which nets see `crop` × `crop` pixels."""
    kinds = set()
    smallest, largest = sorted(pixels.shape[:2])
    if smallest < crop:
        kinds.add("smaller-than-crop")
    if largest > ELONGATED * smallest:
        kinds.add("elongated")
    row = pixels[0]
    few = (row, pixels[len(pixels) // 2])  # nearly always enough, and a hundred times as fast
    if all((part == row[0]).all() for part in few) and (pixels == row).all():
        kinds.add("one-colour")
    return kinds


def segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment's content, the end-of-image marker's [end, end) last.

    As libjpeg does, skips stray bytes between segments, and coded pixels. Ends where the file does.
    """
    place = len(images.JPEG_SIGNATURE)
    while found := MARKER.search(jpeg, place):
        place = found.end()
        marker = jpeg[place - 1]
        if marker == END:
            yield marker, place, place
            return
        if marker not in (START, TEMPORARY):
            length = int.from_bytes(jpeg[place : place + 2], "big")
            yield marker, place + 2, place + length
            place += length
