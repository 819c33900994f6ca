"""The first-layer filters of a trained net as a small picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..core.files import InputError
from ..nets.safetensors_checks import check_tensors
from .thumbnails import data_uri

FIRST_LAYER = "features.0.weight"
COLUMNS = 8  # filters side by side, at most
GAP = 1  # pixels between two filters


def read_filters(path: str | Path) -> np.ndarray:
    """The first layer of a weights file, float32 [filters, 3 (RGB), side, side].

    Raises InputError if it is missing, damaged, or has no such layer.
    """
    check_tensors(path)
    try:
        with safe_open(path, "numpy") as file:
            return file.get_tensor(FIRST_LAYER)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable weights file ({error})") from error


def grid(filters: np.ndarray, columns: int) -> np.ndarray:
    """Filters as a picture, uint8 [height, width, 4] RGBA, in their order, row by row.

    filters: float [filters, 3, side, side]. A weight w is drawn as 128 + 127 · w / (the greatest
    |w| of all filters), rounded: 128 is zero. Gaps and places left over are transparent.
    """
    count, _, side, _ = filters.shape
    largest = np.abs(filters).max() or 1.0
    pixels = np.round(128 + 127 * (filters / largest)).astype(np.uint8).transpose(0, 2, 3, 1)
    rows, step = -(-count // columns), side + GAP
    picture = np.zeros((rows * step - GAP, columns * step - GAP, 4), np.uint8)
    for number in range(count):
        y, x = (number // columns) * step, (number % columns) * step
        picture[y : y + side, x : x + side, :3] = pixels[number]
        picture[y : y + side, x : x + side, 3] = 255
    return picture


def filters_entry(path: str | Path) -> dict:
    """The picture of a weights file's filters, and what the page says of it."""
    filters, model = read_filters(path), Path(path).stem
    count, _, side, _ = filters.shape
    picture = grid(filters, min(COLUMNS, count))
    return {
        "model": model,
        "filters": count,
        "side": side,
        "largest": float(np.abs(filters).max()),
        "height": picture.shape[0],
        "width": picture.shape[1],
        "image": data_uri(picture),
        "alt": f"The {count} filters of the first layer of {model}, {side}×{side} each.",
    }
