"""Small pictures as WebP in data URIs, which a page holds in itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

THUMBNAIL = 192  # pixels of a thumbnail's longest side, at most
QUALITY = 80


def data_uri(pixels: np.ndarray, quality: int | None = None) -> str:
    """Encode uint8 [height, width, 3 or 4] RGB or RGBA; lossless unless given a quality (0–100)."""
    file = io.BytesIO()
    how = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    Image.fromarray(pixels).save(file, "WEBP", method=6, **how)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def thumbnail(pixels: np.ndarray, longest_side: int = THUMBNAIL) -> str:
    """A photograph, uint8 [height, width, 3] RGB, shrunk to `longest_side` if it is larger."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return data_uri(np.asarray(image), QUALITY)
