"""What drawings are made with: filled outlines, patterns, colours, twigs, grain, and their JPEG.

Random numbers come from the generator that a function is given, in an order that must stay: pixels
of equal seeds are equal.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

JPEG_QUALITY = (90, 95)
CONTRAST = (0.4, 0.95)  # of the object's pattern
ROTATION = 15  # degrees, either way
STRETCH = 0.12  # width against height of the object, either way
OBJECT_COLOUR = ((0.1, 0.7), (0.75, 1.0))  # saturation and value of the pattern's light parts
STROKE_WIDTH = (0.015, 0.04)  # share of the short side
NOISE = (1.5, 6.0)  # standard deviation in grey levels

SUPERSAMPLING = 3
TILE = 512  # side of the precomputed noise, in pixels
SMOOTH = Image.Resampling.BICUBIC
VISIBLE = [0] * 128 + [255] * 128  # by value of an 8-bit mask, whether it is seen: from a half on

# Functions of the phases x (to the right) and y (down); positive is light, negative dark.
Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]
PATTERNS: dict[str, Pattern] = {
    "spots": lambda x, y: 1.2 * (np.sin(x / 1.2) + np.sin(y / 1.2)) - 0.6,
    "bands": lambda x, y: np.sin(y / 1.5),
    "bars": lambda x, y: np.sin(x * 1.1),
    "lattice": lambda x, y: 2 * np.maximum(np.sin(x / 1.3), np.sin(y / 1.3)) - 1.5,
    "diagonals": lambda x, y: np.sin((x + y) / math.sqrt(2)),
}
GROUNDS: dict[str, Pattern] = {
    "grass": lambda x, y: np.sin(x + 0.7 * np.sin(y / 4)),
    "water": lambda x, y: np.sin(y + 0.7 * np.sin(x / 4)),
    "gravel": lambda x, y: np.sin(x) * np.sin(y) + np.sin(0.7 * x + 1.1) * np.sin(1.6 * y),
    "brick": lambda x, y: 2 * np.maximum(np.sin(x / 2), np.sin(y)) - 1.2,
}


def turned(rng, outlines: list[np.ndarray], radius: float) -> list[np.ndarray]:
    """Outlines turned and stretched a little at random, in pixels about the first one's centre.

    outlines: float [points, 2] each. radius: pixels that 1 is.
    """
    angle = math.radians(rng.uniform(-ROTATION, ROTATION))
    cosine, sine = math.cos(angle), math.sin(angle)
    stretch = 1 + rng.uniform(-STRETCH, STRETCH)
    matrix = radius * np.array([[cosine, sine], [-sine, cosine]]) * (stretch, 1 / stretch)
    return [outline @ matrix for outline in outlines]


def filled(width: int, height: int, outlines: list[np.ndarray]) -> Image.Image:
    """An enlarged 8-bit canvas with the first outline filled and the others cut out of it."""
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    for number, outline in enumerate(outlines):
        pen.polygon((outline * SUPERSAMPLING).ravel().tolist(), fill=0 if number else 255)
    return canvas


def surface_of(rng, width: int, height: int, pattern: str, period: float) -> np.ndarray:
    """Float32 (3, height, width): the object's pattern in a dark and a light colour."""
    light, other = random_colours(rng, 2, *OBJECT_COLOUR)
    contrast = rng.uniform(*CONTRAST)
    dark = (1 - contrast) * light + 0.2 * contrast * other
    values = pattern_of(rng, width, height, PATTERNS[pattern], period * rng.uniform(0.85, 1.15))
    return dark + values * (light - dark)


def pattern_of(rng, width: int, height: int, function: Pattern, period: float) -> np.ndarray:
    """Float32 (height, width) in 0 to 1: a pattern of some period in pixels, a little turned."""
    angle = math.radians(rng.uniform(-ROTATION, ROTATION))
    step = np.float32(2 * math.pi / period)
    columns = step * np.arange(width, dtype=np.float32)
    rows = step * np.arange(height, dtype=np.float32)[:, None]
    first_x, first_y = rng.uniform(0, 8 * math.pi, 2).astype(np.float32)
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x = first_x + cosine * columns + sine * rows
    y = first_y - sine * columns + cosine * rows
    return np.clip(np.float32(0.5) + np.float32(0.8) * function(x, y), 0, 1)


def twigs(rng, width: int, height: int, count: int) -> np.ndarray:
    """Float32 (height, width) in 0 to 1: coverage of bent twigs across the image."""
    size = np.array([width, height]) * SUPERSAMPLING
    canvas = Image.new("L", tuple(size.tolist()))
    pen = ImageDraw.Draw(canvas)
    t = np.linspace(-1, 2, 24)[:, None]
    for _ in range(count):
        start, bend, end = rng.uniform(0, 1, (3, 2)) * size
        bend = (start + end) / 2 + 0.2 * (bend - start)
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        thickness = max(2, round(rng.uniform(*STROKE_WIDTH) * size.min()))
        pen.line(curve.ravel().tolist(), fill=255, width=thickness)
    return coverage(canvas.reduce(SUPERSAMPLING))


def developed(rng, image: np.ndarray) -> bytes:
    """The JPEG of a float image (3, height, width) in 0 to 255, with film grain."""
    height, width = image.shape[1:]
    image += rng.uniform(*NOISE) * random_cut(rng, noise(0.5), width, height)
    pixels = np.clip(image, 0, 255, out=image).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def random_colours(rng, count: int, saturations, values) -> np.ndarray:
    """RGB colours of any hue, float32 (count, 3, 1, 1) in 0 to 255; the rest is HSV ranges."""
    low, high = zip((0, 6), saturations, values, strict=True)
    hue, saturation, value = rng.uniform(low, high, (count, 3)).T[..., None]
    sector = np.add(hue, (5, 3, 1)) % 6
    rgb = value * (1 - saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))
    return (255 * rgb).astype(np.float32)[..., None, None]


def coverage(mask: Image.Image) -> np.ndarray:
    """Float32 (height, width) in 0 to 1 of an 8-bit image."""
    return np.asarray(mask) * np.float32(1 / 255)


def upscaled(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """A few values, float (rows, columns), as a smooth float32 field (height, width)."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), SMOOTH))


def random_cut(rng, tile: np.ndarray, width: int, height: int) -> np.ndarray:
    """A random part (height, width) of a square array."""
    top, left = rng.integers(0, (TILE - height, TILE - width))
    return tile[top : top + height, left : left + width]


@functools.cache
def noise(*sigmas: float) -> np.ndarray:
    """Float32 (TILE, TILE) noise of unit variance: the sum of a Gaussian field for each sigma."""
    frequency = np.fft.fftfreq(TILE)
    squared = frequency[:, None] ** 2 + frequency**2
    white = np.fft.fft2(np.random.default_rng(0).standard_normal((TILE, TILE)))
    fields = [np.fft.ifft2(white * np.exp(-2 * (math.pi * s) ** 2 * squared)).real for s in sigmas]
    total = sum(field / field.std() for field in fields)
    return (total / total.std()).astype(np.float32)
