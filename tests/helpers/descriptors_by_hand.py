"""Descriptors as the appendix has them, by loops over windows and Pillow's resize alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from tests.checks.recompute_cells import feature_map


def rescaled(image: Image.Image, side: int) -> Image.Image:
    """An image whose smallest side has that length."""
    size = [round(length * side / min(image.size)) for length in image.size]
    return image if list(image.size) == size else image.resize(size, Image.Resampling.BICUBIC)


def descriptor(
    tensors: Mapping[str, torch.Tensor],
    layers: str,
    x: torch.Tensor,
    side: int,
    relu: str = "after",
    pool_rounding: str = "floor",
) -> np.ndarray:
    """The mean over all windows of the last map, side × side, of both views of x, [1, 3, …]."""
    views = []
    for view in (x, x.flip(3)):
        last = feature_map(dict(tensors), layers, view, pool_rounding)
        found = []
        for top in range(last.shape[2] - side + 1):
            for left in range(last.shape[3] - side + 1):
                window = last[:, :, top : top + side, left : left + side].reshape(1, -1)
                hidden = F.linear(
                    window, tensors["classifier.0.weight"], tensors["classifier.0.bias"]
                ).clamp(min=0)
                second = F.linear(
                    hidden, tensors["classifier.3.weight"], tensors["classifier.3.bias"]
                )
                found.append(second.clamp(min=0) if relu == "after" else second)
        views.append(torch.cat(found).mean(0))
    return ((views[0] + views[1]) / 2).numpy()


def normalised(rows: np.ndarray) -> np.ndarray:
    """Each row over its Euclidean norm."""
    return rows / np.sqrt((rows**2).sum(1, keepdims=True))


def put_together(scales: Sequence[np.ndarray], pooling: str, feature_l2: str) -> np.ndarray:
    """The descriptors [images, …] of several scales as one."""
    own = [part.astype(np.float64) for part in scales]
    if pooling == "mean":
        own = [sum(own) / len(own)]
    elif pooling == "max":
        own = [np.max(own, axis=0)]
    if feature_l2 == "each-and-whole":
        own = [normalised(part) for part in own]
    whole = np.hstack(own)
    return whole if feature_l2 == "none" else normalised(whole)


def assert_close(found: np.ndarray, expected: np.ndarray, bound: float = 1e-4) -> None:
    """Alike but for rounding; bound: of the greatest number."""
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * scale)
