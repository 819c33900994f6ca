"""Mutated image files through all that reads one.

    python -m tests.checks.fuzz_images --number 5000

An image is read or refused by name, and nothing else happens. Where it is read, its pixels are
those that Pillow reads, damaged ones too; rows read alone are those of the whole. A short run is
part of the tests. Seeds are fixed: a number names its file.
"""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from PIL import Image, ImageChops

from tests import checks
from tests.helpers.odd_images import (
    exif,
    inks,
    jpeg,
    odd_images,
    picture,
    sampled_otherwise,
    saved,
    with_exif,
)
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import images
from workflow_scripts.vgg.data.oddities import examine
from workflow_scripts.vgg.report.thumbnails import thumbnail

T = TypeVar("T")
CROP = 64
NAME = "train.tar: n00000001_7"
SPECIAL = b"\x00\x01\x7f\x80\xc0\xc2\xc4\xd0\xd8\xd9\xda\xdb\xfe\xff"  # JPEG's markers and limits
BANDS = ((0, 8), (16, 24), (30, 40), (90, 96))


def starting_points() -> list[bytes]:
    """Files of every format and form, small ones, so that much of them is header."""
    rng = np.random.default_rng(1)
    colours, grey, cmyk = picture(rng, 48, 64), picture(rng, 48, 64)[:, :, 0], inks(rng, 48, 64)
    few = colours // 128 * 255
    fourths = jpeg(colours, subsampling="4:2:0", quality=85)
    forms = [
        *(jpeg(colours, subsampling=s, quality=85) for s in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")),
        *(jpeg(colours, progressive=True, subsampling=s) for s in ("4:4:4", "4:2:0")),
        *(sampled_otherwise(fourths, (luma, 0x11, 0x11)) for luma in (0x14, 0x41, 0x12)),
        *(jpeg(colours, restart_marker_rows=1, subsampling=s) for s in ("4:4:4", "4:2:0")),
        jpeg(colours, restart_marker_blocks=3),
        *(jpeg(grey, progressive=progressive) for progressive in (False, True)),
        *(
            jpeg(cmyk, "CMYK", invert=True, progressive=progressive)
            for progressive in (False, True)
        ),
        with_exif(jpeg(colours), exif(">", 6)),
        *(saved(colours, "PNG", **options) for options in ({}, {"compress_level": 0})),
        saved(few, "PNG", "P", transparency=bytes([0, 100, 255])),
        *(saved(grey, "PNG", mode) for mode in ("1", "L", "LA")),
        *(saved(colours, "WEBP", **options) for options in ({"lossless": True}, {"exif": exif()})),
        saved(few, "GIF", "P"),
        *(saved(colours, "BMP", mode) for mode in ("RGB", "P", "1")),
        *(saved(colours, "TIFF", compression=how) for how in (None, "tiff_lzw", "jpeg")),
    ]
    return [*forms, *(odd.content for odd in odd_images(rng).values())]


def mutated(files: list[bytes], number: int) -> bytes:
    """The file of that number: one of `files`, as it is at first, then damaged in a few places."""
    content = bytearray(files[number % len(files)])
    rng = np.random.default_rng([17, number])
    for _ in range(rng.integers(1, 4) if number >= len(files) else 0):
        place = int(rng.integers(len(content)))
        if rng.random() < 0.5:  # headers hold most of the sense
            place %= 700
        noise = rng.integers(0, 256, 40, np.uint8).tobytes()
        length, way = int(rng.integers(1, 40)), rng.integers(12)
        if way < 3:
            content[place : place + 1] = noise[:1]
        elif way < 6:
            content[place : place + 1] = bytes([SPECIAL[rng.integers(len(SPECIAL))]])
        elif way < 9:
            content[place : place + 1] = bytes(v ^ 1 << length % 8 for v in content[place:][:1])
        elif way == 9:
            content[place : place + length] = rng.choice([b"", noise[:length]])
        elif way == 10:
            other = files[rng.integers(len(files))]
            content[place : place + length] = other[place : place + length]
        elif rng.random() < 0.5:
            del content[max(place, 2) :]
    return bytes(content)


def by_pillow(content: bytes) -> np.ndarray:
    """What Pillow alone makes of it, but for CMYK that is not Adobe's, which Pillow inverts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
                image = ImageChops.invert(image)
            return np.array(image.convert("RGB"))


def unless_refused(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None if it refuses the image by its name."""
    try:
        return read()
    except InputError as error:
        if not str(error).startswith(f"{NAME}: "):
            raise
        return None


def check(content: bytes) -> str:
    """What became of a file; anything wrong is raised, as AssertionError or as it came."""
    read = unless_refused(lambda: examine(content, NAME, CROP))
    pixels, kinds = read or (None, [])
    for first, end in BANDS:
        some = unless_refused(lambda rows=(first, end): images.decode(content, NAME, rows))
        if pixels is not None:
            assert some is not None, "rows are refused, but not the whole"
            assert some.shape == pixels.shape
            assert np.array_equal(some[first:end], pixels[first:end]), "rows differ"
    if pixels is None:
        return "refused"
    assert np.array_equal(pixels, images.decode(memoryview(content), NAME))
    assert thumbnail(pixels).startswith("data:")
    jpeg = content[:2] == images.JPEG_SIGNATURE
    strict = jpeg and not {"strict-decoder-refused", "cmyk"}.intersection(kinds)
    try:
        assert np.array_equal(pixels, by_pillow(content)), "Pillow reads something else"
    except OSError:
        assert strict, "Pillow alone reads it, and refuses it"
        return "read by libjpeg-turbo alone"
    if not jpeg:
        return "read, no JPEG"
    return "read by libjpeg-turbo as by Pillow" if strict else "read by Pillow"


def run(numbers: Iterable[int]) -> Counter:
    """How often each outcome of `check` came; an error names the number."""
    files, outcomes = starting_points(), Counter()
    for number in numbers:
        try:
            outcomes[check(mutated(files, number))] += 1
        except Exception as error:
            error.add_note(f"file {number}")
            raise
    return outcomes


if __name__ == "__main__":
    parser = checks.parser(__doc__)
    parser.add_argument("--number", type=int, default=5000, help="of files")
    parser.add_argument("--first", type=int, default=0, help="of the numbers")
    given = parser.parse_args()
    print(dict(run(range(given.first, given.first + given.number))))
