"""Pixels: decoding, the one resize used everywhere, and crops of a rescaled image (paper §3)."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from .files import InputError

RESIZE_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def decode(encoded: bytes | memoryview, name: str) -> np.ndarray:
    """Decode an image file to RGB, uint8 [height, width, 3]; EXIF orientation is ignored.

    name: what an error calls the image.
    Raises InputError if neither libjpeg-turbo nor Pillow can read it.
    """
    if bytes(encoded[:2]) == b"\xff\xd8":
        try:
            return simplejpeg.decode_jpeg(encoded, colorspace="RGB")
        except ValueError:
            pass  # CMYK, or stray bytes that a strict decoder refuses and Pillow reads
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(
            f"{name}: cannot be decoded as an image ({error}); is the archive complete and intact?"
        ) from error


def size_of(encoded: bytes | memoryview, name: str) -> tuple[int, int]:
    """Height and width in pixels, from the header alone. Raises InputError as `decode` does."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{name}: not an image ({error}); is the archive intact?") from error


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """Encode uint8 [height, width, 3] RGB as a JPEG without chroma subsampling."""
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
    """Rescale uint8 [height, width, 3] isotropically so that its smallest side has that length."""
    height, width = rescaled_size(*pixels.shape[:2], smallest_side)
    if (height, width) == pixels.shape[:2]:
        return pixels
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
