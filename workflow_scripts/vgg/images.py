"""Pixels: decoding, the one resize used everywhere, and crops of a rescaled image (paper §3)."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import Image, ImageChops, UnidentifiedImageError

from .files import InputError

RESIZE_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # all that Pillow may try: bitmaps only
JPEG_SIGNATURE = b"\xff\xd8"
MAX_PIXELS = 2**30 // 12  # of an image; Pillow's own limit, a quarter of a gigabyte of RGB
MAX_JPEG_SIDE = 65_500  # libjpeg's limit, a little less than the format's
_SILENCE = threading.Lock()  # the filters of Python's warnings are shared by all threads


def decode(encoded: bytes | memoryview, name: str) -> np.ndarray:
    """Decode an image file to RGB, uint8 [height, width, 3]; EXIF orientation is ignored.

    name: what an error calls the image.
    Raises InputError if neither libjpeg-turbo nor Pillow can read it, if it is cut short, has more
    than MAX_PIXELS pixels, or one channel of more than 8 bits.
    """
    pixels = decode_strictly(encoded)
    return decode_leniently(encoded, name) if pixels is None else pixels


def decode_strictly(encoded: bytes | memoryview) -> np.ndarray | None:
    """Decode a JPEG by libjpeg-turbo, which is fast and refuses the slightest damage.

    Returns uint8 [height, width, 3] RGB, or None for what is left to `decode_leniently`: damaged or
    huge JPEGs, CMYK ones (simplejpeg inverts them even if they are not), and other formats.
    """
    if bytes(encoded[:2]) != JPEG_SIGNATURE:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(encoded)
        if colours in ("CMYK", "YCCK") or height * width > MAX_PIXELS:
            return None
        return simplejpeg.decode_jpeg(encoded, colorspace="RGB")
    except ValueError:
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
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: has more than the {MAX_PIXELS} pixels that an image may have; shrink it"
        ) from error
    except Exception as error:  # what Pillow raises on broken files has nothing in common
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise InputError(
            f"{name}: cannot be decoded as an image ({reason}); is the archive complete and intact?"
        ) from error


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode uint8 [height, width, 3] RGB as a JPEG without chroma subsampling.

    Raises InputError if a side is longer than a JPEG's can be.
    """
    if max(pixels.shape[:2]) > MAX_JPEG_SIDE:
        raise InputError(
            f"{pixels.shape[0]}×{pixels.shape[1]} pixels cannot be stored as a JPEG, whose sides "
            f"have at most {MAX_JPEG_SIDE}; the image is too elongated to be rescaled, so cut it"
        )
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality, "RGB", colorsubsampling="444", fastdct=False
    )


def pixels_at(scale: float, crop: int) -> int:
    """Pixels of a smallest side given in the paper's units, where the crop is always 224."""
    return round(scale * crop / 224)


def rescaled_size(height: int, width: int, smallest_side: int) -> tuple[int, int]:
    """Height and width after isotropic rescaling to `smallest_side` pixels (§3.1)."""
    if height <= width:
        return smallest_side, max(smallest_side, round(width * smallest_side / height))
    return max(smallest_side, round(height * smallest_side / width)), smallest_side


def rescale(pixels: np.ndarray, smallest_side: int, resize_filter: str) -> np.ndarray:
    """Rescale uint8 [height, width, 3] isotropically so that its smallest side has that length.

    Raises InputError if that needs more than MAX_PIXELS pixels: the image is a few pixels wide.
    """
    height, width = rescaled_size(*pixels.shape[:2], smallest_side)
    if (height, width) == pixels.shape[:2]:
        return pixels
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{pixels.shape[0]}×{pixels.shape[1]} pixels are too elongated to be rescaled to a "
            f"smallest side of {smallest_side}; cut the image"
        )
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), RESIZE_FILTERS[resize_filter]))


def crop_of_rescaled(
    pixels: np.ndarray, smallest_side: int, crop: int, top: float, left: float, resize_filter: str
) -> np.ndarray:
    """A square crop of the image rescaled to `smallest_side`, without rescaling the rest of it.

    pixels: uint8 [height, width, 3]. top, left: in [0, 1), the crop's place among all integer ones.
    Returns uint8 [crop, crop, 3]; equal to rescaling and then cropping within 2 levels.
    """
    height, width = pixels.shape[:2]
    new_height, new_width = rescaled_size(height, width, smallest_side)
    y = int(top * (new_height - crop + 1))
    x = int(left * (new_width - crop + 1))
    if (new_height, new_width) == (height, width):
        return pixels[y : y + crop, x : x + crop]
    down, across = height / new_height, width / new_width
    box = (x * across, y * down, (x + crop) * across, (y + crop) * down)
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((crop, crop), RESIZE_FILTERS[resize_filter], box=box))


def centre_crop(pixels: np.ndarray, crop: int) -> np.ndarray:
    """The central uint8 [crop, crop, 3] of [height, width, 3]."""
    y, x = ((side - crop) // 2 for side in pixels.shape[:2])
    return pixels[y : y + crop, x : x + crop]
