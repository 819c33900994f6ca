"""Pixels: decoding, the one resize used everywhere, and crops of a rescaled image (paper §3)."""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from cykooz_resizer import (
    CropBox,
    FilterType,
    ImageData,
    PixelType,
    ResizeAlg,
    ResizeOptions,
    Resizer,
)
from PIL import Image, ImageChops, UnidentifiedImageError

from ..core.declarations import declared
from ..core.files import InputError
from .jpeg_rows import Band, band_of

RESIZE_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
FAST_FILTERS = {"bicubic": FilterType.catmull_rom, "bilinear": FilterType.bilinear}
FILTER_RADII = {"bicubic": 2, "bilinear": 1}  # in pixels of the coarser of the two images
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # all that Pillow may try: bitmaps only
JPEG_SIGNATURE = b"\xff\xd8"
MAX_PIXELS = 2**30 // 12  # of an image; Pillow's own limit, a quarter of a gigabyte of RGB
MAX_JPEG_SIDE = 65_500  # libjpeg's limit, a little less than the format's


@dataclass(frozen=True)
class Resizing:
    """The reading of how images are rescaled."""

    resize_filter: str = declared("bicubic", values=RESIZE_FILTERS, choice=True)


_SILENCE = threading.Lock()  # the filters of Python's warnings are shared by all threads


def decode(
    encoded: bytes | memoryview, name: str, rows: tuple[int, int] | None = None
) -> np.ndarray:
    """Decode an image file to RGB, uint8 [height, width, 3]; EXIF orientation is ignored.

    name: what an error calls the image.
    rows: first and one past the last of those that are needed; the others may hold anything.
    Raises InputError if neither libjpeg-turbo nor Pillow can read it, if it is cut short, has more
    than MAX_PIXELS pixels, or one channel of more than 8 bits.
    """
    band = band_of(encoded, *rows) if rows else None
    pixels = decode_strictly(encoded) if band is None else decode_band(band)
    return decode_leniently(encoded, name) if pixels is None else pixels


def decode_band(band: Band) -> np.ndarray | None:
    """The whole image, uint8 [height, width, 3] RGB, with undefined pixels outside the band.

    None if the band is damaged, the image huge, or of a form that simplejpeg does not know.
    """
    if band.height * band.width > MAX_PIXELS:
        return None
    pixels = np.empty((band.height, band.width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(
            band.jpeg, colorspace="RGB", buffer=pixels[band.rows], strict=band.ends
        )
    except Exception:  # as in `decode_strictly`
        return None
    return pixels


def decode_strictly(encoded: bytes | memoryview) -> np.ndarray | None:
    """Decode a JPEG by libjpeg-turbo, which is fast and refuses the slightest damage.

    Returns uint8 [height, width, 3] RGB, or None for what is left to `decode_leniently`: damaged or
    huge JPEGs, CMYK ones (simplejpeg inverts them even if they are not), those of which simplejpeg
    knows no name for the subsampling, and other formats.
    """
    if bytes(encoded[:2]) != JPEG_SIGNATURE:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(encoded)
        if colours in ("CMYK", "YCCK") or height * width > MAX_PIXELS:
            return None
        return simplejpeg.decode_jpeg(encoded, colorspace="RGB")
    except Exception:  # mostly ValueError, but KeyError for 4:4:1, and nobody says what else
        return None


def decode_leniently(encoded: bytes | memoryview, name: str) -> np.ndarray:
    """Decode an image of any of FORMATS by Pillow; returns uint8 [height, width, 3] RGB.

    Stray bytes are skipped, and damaged JPEG data give damaged pixels, unless the end is missing.
    An animation's first picture counts. Transparency is dropped: colours stored under transparent
    pixels show. Of 16-bit RGB, the high bytes are taken. CMYK becomes (255 − C)(255 − K) / 255 and
    so on, without its colour profile. TIFF's own orientation tag is obeyed.
    Raises InputError as `decode` does.
    """
    with opened(encoded, name) as image:
        image.load()
        if image.mode[0] in "IF":  # I, I;16, F: Pillow would clip them at 255
            raise InputError(
                f"{name}: has one channel of more than 8 bits ({image.mode}); convert it to 8 bits"
            )
        is_jpeg = image.format in ("JPEG", "MPO")
        if is_jpeg and image.mode == "CMYK" and "adobe" not in image.info:
            image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for Adobe's, inverted
        return np.array(image.convert("RGB"))


@contextlib.contextmanager
def opened(encoded: bytes | memoryview, name: str) -> Iterator[Image.Image]:
    """An image file opened by Pillow, its pixels not yet read; Python's warnings are off inside.

    Raises InputError, naming the image, for whatever goes wrong with it inside the block too.
    """
    try:
        with _SILENCE, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
                if image.height * image.width > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except InputError:
        raise
    except MemoryError as error:  # no fault of the image, which must not be left out for it
        raise MemoryError(f"{name}: no memory is left to decode it; give the job more") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: has more than the {MAX_PIXELS} pixels that an image may have; shrink it"
        ) from error
    except Exception as error:  # what Pillow raises on broken files has nothing in common
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InputError(
            f"{name}: cannot be decoded as an image ({reason}); is the file complete?"
        ) from error


def encode_jpeg(pixels: np.ndarray, quality: int, name: str = "an image") -> bytes:
    """Encode uint8 [height, width, 3] RGB as a JPEG without chroma subsampling.

    With a restart marker behind every eight rows, by which `decode` finds the rows that it needs.
    name: what an error calls the image.
    Raises InputError if a side is longer than a JPEG's can be.
    """
    if max(pixels.shape[:2]) > MAX_JPEG_SIDE:
        raise InputError(
            f"{name}: {pixels.shape[0]}×{pixels.shape[1]} pixels cannot be stored as a JPEG, whose "
            f"sides have at most {MAX_JPEG_SIDE}; the image is too elongated to be rescaled, so "
            "cut it"
        )
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG", quality=quality, subsampling="4:4:4", restart_marker_rows=1
    )
    return file.getvalue()


def pixels_at(scale: float, crop: int) -> int:
    """Pixels of a smallest side given in the paper's units, where the crop is always 224."""
    return round(scale * crop / 224)


def rescaled_size(height: int, width: int, smallest_side: int) -> tuple[int, int]:
    """Height and width after isotropic rescaling to `smallest_side` pixels (§3.1)."""
    if height <= width:
        return smallest_side, max(smallest_side, round(width * smallest_side / height))
    return max(smallest_side, round(height * smallest_side / width)), smallest_side


def resize(pixels: np.ndarray, height: int, width: int, resize_filter: str) -> np.ndarray:
    """The one resize used everywhere, Pillow's antialiased one: uint8 [height, width, 3]."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), RESIZE_FILTERS[resize_filter]))


def resize_fast(
    pixels: np.ndarray,
    height: int,
    width: int,
    resize_filter: str,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """The same by SIMD instructions, four times as fast: for training images, of which there are
    billions.

    pixels: uint8 [rows, columns, 3]. box: (left, top, right, bottom), the part to resize; all if
    None. Returns uint8 [height, width, 3]. The horizontal pass comes first and is rounded, as in
    Pillow; the weights have fewer bits, so that one value in 300 differs from Pillow's by a level,
    and hardly any by two. All processors give the same.
    """
    rows, columns = pixels.shape[:2]
    left, top, right, bottom = box or (0, 0, columns, rows)
    convolution = ResizeAlg.convolution(FAST_FILTERS[resize_filter])
    resizer = Resizer()  # of its own, since threads cannot share one

    def convolved(image: ImageData, width: int, height: int, box: CropBox) -> ImageData:
        result = ImageData(width, height, PixelType.U8x3)
        options = ResizeOptions(resize_alg=convolution, crop_box=box)
        resizer.resize(image, result, options)
        return result

    image = ImageData(columns, rows, PixelType.U8x3, pixels.tobytes())
    # A box may end outside by a rounding error.
    across = convolved(image, width, rows, CropBox(left, 0, min(right, columns) - left, rows))
    both = convolved(across, width, height, CropBox(0, top, width, min(bottom, rows) - top))
    return np.frombuffer(both.get_buffer(), np.uint8).reshape(height, width, 3)


def check_elongation(height: int, width: int, smallest_side: int, name: str) -> None:
    """Raise InputError if an image rescaled to `smallest_side` has more than MAX_PIXELS pixels."""
    if math.prod(rescaled_size(height, width, smallest_side)) > MAX_PIXELS:
        raise InputError(
            f"{name}: {height}×{width} pixels are too elongated to be rescaled to a smallest side "
            f"of {smallest_side}; cut the image"
        )


def rescale(
    pixels: np.ndarray,
    smallest_side: int,
    resize_filter: str,
    resized: Callable[[np.ndarray, int, int, str], np.ndarray] = resize,
    name: str = "an image",
) -> np.ndarray:
    """Rescale uint8 [height, width, 3] isotropically so that its smallest side has that length.

    resized: `resize`, or `resize_fast`. name: what an error calls the image.
    Raises InputError if that needs more than MAX_PIXELS pixels: the image is a few pixels wide.
    """
    rows, columns = pixels.shape[:2]
    height, width = rescaled_size(rows, columns, smallest_side)
    if (height, width) == (rows, columns):
        return pixels
    check_elongation(rows, columns, smallest_side, name)
    return resized(pixels, height, width, resize_filter)


def crop_of_rescaled(
    pixels: np.ndarray, smallest_side: int, crop: int, top: float, left: float, resize_filter: str
) -> np.ndarray:
    """A square crop of the image rescaled to `smallest_side`, without rescaling the rest of it.

    pixels: uint8 [height, width, 3], of which only the rows of `rows_of_crop` matter.
    top, left: in [0, 1), the crop's place among all integer ones.
    Returns uint8 [crop, crop, 3]; equal to rescaling and then cropping within 2 levels.
    """
    height, width = pixels.shape[:2]
    new_height, new_width = rescaled_size(height, width, smallest_side)
    y = int(top * (new_height - crop + 1))
    x = int(left * (new_width - crop + 1))
    if (new_height, new_width) == (height, width):
        return pixels[y : y + crop, x : x + crop]
    first_row, end_row = _span(y, crop, height, new_side=new_height, resize_filter=resize_filter)
    first_column, end_column = _span(
        x, crop, width, new_side=new_width, resize_filter=resize_filter
    )
    down, across = height / new_height, width / new_width
    box = (
        x * across - first_column,
        y * down - first_row,
        (x + crop) * across - first_column,
        (y + crop) * down - first_row,
    )
    needed = pixels[first_row:end_row, first_column:end_column]
    return resize_fast(needed, crop, crop, resize_filter, box=box)


def rows_of_crop(
    height: int, width: int, smallest_side: int, crop: int, top: float, resize_filter: str
) -> tuple[int, int]:
    """First and one past the last of the rows that `crop_of_rescaled` needs of such an image."""
    new_height, new_width = rescaled_size(height, width, smallest_side)
    y = int(top * (new_height - crop + 1))
    if (new_height, new_width) == (height, width):
        return y, y + crop
    return _span(y, crop, height, new_side=new_height, resize_filter=resize_filter)


def _span(start: int, crop: int, side: int, new_side: int, resize_filter: str) -> tuple[int, int]:
    """The pixels along one side that enter the pixels start … start + crop of the resized one."""
    scale = side / new_side
    margin = FILTER_RADII[resize_filter] * max(scale, 1) + 1
    first = max(0, math.floor(start * scale - margin))
    return first, min(side, math.ceil((start + crop) * scale + margin))


def centre_crop(pixels: np.ndarray, crop: int) -> np.ndarray:
    """The central uint8 [crop, crop, 3] of [height, width, 3]."""
    y, x = ((side - crop) // 2 for side in pixels.shape[:2])
    return pixels[y : y + crop, x : x + crop]
