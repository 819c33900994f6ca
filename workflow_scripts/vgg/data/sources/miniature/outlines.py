"""Outlines of what is drawn, within a circle or square of radius 1, x to the right and y down."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def arc(first: float, last: float, radius: float = 1, centre: float = 0) -> np.ndarray:
    """Points of a circle's arc between two angles in degrees, float [48, 2]."""
    angles = np.radians(np.linspace(first, last, 48))
    return np.stack([radius * np.cos(angles) + centre, radius * np.sin(angles)], 1)


def spokes(*radii: float, corners: int) -> np.ndarray:
    """A polygon with `corners` corners, the first on top, at distances `radii` in turn."""
    angles = np.arange(corners) * 2 * math.pi / corners
    radius = np.resize(radii, corners)
    return np.stack([radius * np.sin(angles), -radius * np.cos(angles)], 1)


def _mirrored(half: Sequence[tuple[float, float]]) -> np.ndarray:
    """A polygon of its right half, from top to bottom, and the same on the left."""
    return np.array([*half, *((-x, y) for x, y in reversed(half))])


def _pear() -> np.ndarray:
    """A stalk on the outline of circles that grow downwards."""
    step = np.linspace(0, 1, 24)
    radius, middle = 0.28 + 0.36 * step**1.5, -0.46 + 0.82 * step
    y = np.linspace(-0.74, 1, 48)
    half = np.sqrt(np.clip(radius**2 - (y[:, None] - middle) ** 2, 0, None)).max(1)
    stalk = [(0.07, -1.0), (0.05, -0.73)]
    return _mirrored([*stalk, *zip(half[1:].tolist(), y[1:].tolist(), strict=True)])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([np.sin(t) ** 3, -(y + 2.5) / 15], 1)


_BOLT = [(0.3, -1), (-0.6, 0.15), (-0.1, 0.15), (-0.35, 1), (0.6, -0.25), (0.1, -0.25), (0.65, -1)]
_ARROW = [(-1, -0.28), (0.1, -0.28), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.28), (-1, 0.28)]
_HOUSE = [(0, -1), (1, -0.15), (0.75, -0.15), (0.75, 0.9)]
_DOOR = [(-0.2, 0.95), (-0.2, 0.3), (0.2, 0.3), (0.2, 0.95)]
_TREE = [(0, -1), (0.5, -0.35), (0.3, -0.35), (0.75, 0.5), (0.18, 0.5), (0.18, 1)]
_TAIL = [(1, -0.6), (0.8, 0), (1, 0.6)]
# Of a dog that stands with its head on the right, from the tip of its tail.
_DOG = [
    *((-1, -0.65), (-0.7, -0.2), (0.3, -0.2), (0.42, -0.6), (0.5, -0.95), (0.68, -0.62)),
    *((1, -0.42), (0.98, -0.2), (0.68, -0.14), (0.6, 0.3), (0.6, 0.95), (0.38, 0.95)),
    *((0.34, 0.36), (-0.36, 0.36), (-0.4, 0.95), (-0.62, 0.95), (-0.7, 0.3), (-0.82, -0.05)),
]

_GLASS = [(-0.8, -1), (0.8, -1), (0.15, 0), (0.8, 1), (-0.8, 1), (-0.15, 0)]
_CROSS = [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3)]

# Those of the miniature's classes: the first outline is filled, others are cut out of it.
SHAPES = {
    "disc": [arc(0, 360)],
    "star": [spokes(1.05, 0.45, corners=10)],
    "cross": [np.array(_CROSS + [(-x, -y) for x, y in _CROSS]) / 3],
    "triangle": [spokes(1.1, corners=3)],
    "hourglass": [np.array(_GLASS)],
}

# All outlines; those of `SHAPES` the miniature's nets know.
OUTLINES: dict[str, list[np.ndarray]] = {
    **SHAPES,
    "arrow": [np.array(_ARROW)],
    "bolt": [np.array(_BOLT)],
    "dog": [np.array(_DOG)],
    "fish": [np.concatenate([arc(20, 340) * (0.75, 0.55) - (0.2, 0), np.array(_TAIL)])],
    "heart": [_heart()],
    "house": [_mirrored(_HOUSE), np.array(_DOOR)],
    "moon": [np.concatenate([arc(51.3, 308.7), arc(282.6, 77.4, 0.8, 0.45)])],
    "pear": [_pear()],
    "pentagon": [spokes(1, corners=5)],
    "spider": [spokes(1.08, 0.36, corners=16)],
    "tree": [_mirrored(_TREE)],
}
