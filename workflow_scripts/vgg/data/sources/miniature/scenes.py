"""Draw images of the data sets that features are tried on: scenes, lone objects, textures.

They are of the miniature's world: the same patterns and grounds, the same light, twigs and grain.
Outlines that no net has been trained on stand beside known ones. What is blurred in the background
has the outline of no class of the data set, so that all objects of its classes are annotated.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .drawing import (
    AT_HOME,
    DISTRACTORS,
    GROUND_COLOUR,
    GROUND_CONTRAST,
    GROUND_PERIOD,
    GROUND_VARIETY,
    PERIOD,
    STROKES,
    Box,
    Looks,
    random_size,
)
from .outlines import OUTLINES
from .painting import (
    GROUNDS,
    JPEG_QUALITY,
    PATTERNS,
    SMOOTH,
    SUPERSAMPLING,
    VISIBLE,
    coverage,
    developed,
    filled,
    noise,
    pattern_of,
    random_colours,
    random_cut,
    surface_of,
    turned,
    twigs,
    upscaled,
)

# Scenes of several objects; sizes are diameters as shares of the image's mean side, log-uniform.
SIZE = (0.2, 0.6)
FAR_SIZE = (0.07, 0.115)
FAR = 0.08  # share of the objects that are so small
BEHIND = 0.15  # share of the second and third objects that lie mostly behind the one before them
CUT = 0.2  # share of the objects that may go beyond the image's border,
OVERHANG = 0.3  # by so much of their width and height
TRIES = 3  # places of which an object gets the one that overlaps others least

# When an annotator says what of an object.
SMALL = 0.12  # longer side of the box as a share of the image's mean side; below: difficult
HIDDEN = 0.8  # share that is behind others; from here on: difficult
UNSEEN = 0.95  # likewise; from here on it is not annotated
OCCLUDED = 0.05  # likewise; above: occluded
TRUNCATED = 0.2  # share that lies outside the box; above: truncated

FILLING = (0.8, 0.98)  # a lone object's extent, as a share of the most that the image holds
TEXTURE_PERIOD = (8, 28)  # pixels


class Sight(NamedTuple):
    """An annotated thing: its name, the box of what is seen of it, and what is said about it.

    A box holds edges in pixels, 0 <= xmin < xmax <= width. `action` is that of a person, else "".
    """

    name: str
    box: Box
    truncated: bool = False
    occluded: bool = False
    difficult: bool = False
    action: str = ""


class Scene(NamedTuple):
    """A JPEG, its size in pixels, and what is annotated in it, the nearest first."""

    jpeg: bytes
    width: int
    height: int
    sights: tuple[Sight, ...]


class Layer(NamedTuple):
    """Something to paint: its name, "" if it is not annotated, its coverage, and its pattern.

    canvas: 8-bit, enlarged. area: of the whole, also beyond the border, in pixels of the canvas.
    period: of the pattern, in pixels of the image.
    """

    name: str
    canvas: Image.Image
    area: float
    pattern: str
    period: float
    action: str = ""


def draw_scene(
    rng: np.random.Generator, names: Sequence[str], looks: Sequence[Looks], clutter: Sequence[str]
) -> Scene:
    """Draw objects of the given names and looks, the nearest first, on the first one's ground.

    clutter: the outlines that blurred things in the background may have.
    """
    width, height = random_size(rng)
    layers: list[Layer] = []
    boxes: list[np.ndarray] = []
    for name, look in zip(names, looks, strict=True):
        outlines, diameter = _placed_object(rng, width, height, OUTLINES[look.shape], boxes)
        boxes.append(_extent(outlines))
        layers.append(_layer(name, look, width, height, outlines, diameter))
    return composed(rng, width, height, some_ground(rng, looks[0].ground), layers, clutter)


def draw_object(
    rng: np.random.Generator, name: str, look: Looks, clutter: Sequence[str], grey: bool = False
) -> Scene:
    """Draw one object in the middle, as large as the image."""
    width, height = random_size(rng)
    outlines = turned(rng, OUTLINES[look.shape], 1.0)
    low, high = outlines[0].min(0), outlines[0].max(0)
    size = np.array([width, height])
    scale = rng.uniform(*FILLING) * (size / (high - low)).min()
    place = size * rng.uniform(0.49, 0.51, 2) - scale * (low + high) / 2
    outlines = [scale * outline + place for outline in outlines]
    layer = _layer(name, look, width, height, outlines, 2 * scale)
    ground = some_ground(rng, look.ground)
    return _greyed(rng, composed(rng, width, height, ground, [layer], clutter), grey)


def draw_texture(rng: np.random.Generator, grey: bool = False) -> Scene:
    """Draw a ground and, over an irregular part of it, the pattern of no object."""
    width, height = random_size(rng)
    image = _ground(rng, width, height, some_ground(rng), ())
    pattern = list(PATTERNS)[rng.integers(len(PATTERNS))]
    surface = surface_of(rng, width, height, pattern, rng.uniform(*TEXTURE_PERIOD))
    patches = upscaled(rng.normal(0, 1, (3, 4)), width, height)
    image += np.clip(0.5 + patches, 0, 1) * (surface - image)
    return _greyed(rng, Scene(_photographed(rng, image), width, height, ()), grey)


def _placed_object(
    rng, width: int, height: int, shape: list[np.ndarray], others: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], float]:
    """Outlines in pixels of an object of random size, turned and put somewhere; its diameter."""
    smallest, largest = FAR_SIZE if rng.random() < FAR else SIZE
    diameter = smallest * (largest / smallest) ** rng.random() * (width + height) / 2
    behind = rng.random() < BEHIND and len(others) > 0
    if behind:
        diameter = rng.uniform(0.6, 1.0) * (others[-1][2:] - others[-1][:2]).max()
    outlines = turned(rng, shape, diameter / 2)
    extent = _extent(outlines)
    sides = extent[2:] - extent[:2]
    over = OVERHANG * sides if rng.random() < CUT else 0 * sides
    places = rng.uniform(-over, (width, height) - sides + over, (TRIES, 2)) - extent[:2]
    if behind:
        middle = (others[-1][:2] + others[-1][2:]) / 2
        places = middle + 0.2 * diameter * rng.uniform(-1, 1, (1, 2)) - sides / 2 - extent[:2]
    place = min(places, key=lambda p: sum(_common(extent + np.tile(p, 2), o) for o in others))
    return [outline + place for outline in outlines], diameter


def _extent(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """xmin, ymin, xmax, ymax of an object's outlines."""
    return np.concatenate([outlines[0].min(0), outlines[0].max(0)])


def _common(one: np.ndarray, other: np.ndarray) -> float:
    """The area that two boxes have in common."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(np.maximum(sides, 0).prod())


def _layer(
    name: str, look: Looks, width: int, height: int, outlines: list[np.ndarray], diameter: float
) -> Layer:
    """An object as a layer; its pattern is as fine as it is small."""
    area = polygon_area(outlines[0]) - sum(map(polygon_area, outlines[1:]))
    canvas = filled(width, height, outlines)
    return Layer(name, canvas, SUPERSAMPLING**2 * area, look.pattern, PERIOD * diameter)


def polygon_area(outline: np.ndarray) -> float:
    """The area within a polygon."""
    x, y = outline.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def composed(
    rng, width: int, height: int, ground: str, layers: Sequence[Layer], clutter: Sequence[str]
) -> Scene:
    """Paint layers, the first the nearest, and tell what is seen of those that have a name."""
    image = _ground(rng, width, height, ground, clutter)
    light = rng.uniform(0, 2 * math.pi)
    masks = [coverage(layer.canvas.reduce(SUPERSAMPLING)) for layer in layers]
    for layer, mask in zip(reversed(layers), reversed(masks), strict=True):
        _paint(rng, image, layer, mask, light)
    free = np.ones((height, width), np.float32)
    sights = []
    for layer, mask in zip(layers, masks, strict=True):
        if layer.name and (sight := _sight(layer, mask, free)):
            sights.append(sight)
        free *= 1 - mask
    return Scene(_photographed(rng, image), width, height, tuple(sights))


def _paint(rng, image: np.ndarray, layer: Layer, mask: np.ndarray, light: float) -> None:
    """Paint one layer with its shadow, in place."""
    height, width = mask.shape
    lit, shaded = _relief(layer.canvas, width, height, light)
    image *= 1 - rng.uniform(0.3, 0.8) * shaded
    surface = surface_of(rng, width, height, layer.pattern, layer.period)
    surface *= 0.95 + rng.uniform(0.4, 0.9) * (lit - shaded)
    image += mask * (surface - image)


def _relief(
    canvas: Image.Image, width: int, height: int, light: float
) -> tuple[np.ndarray, np.ndarray]:
    """The softened mask moved towards the light, an angle, and away from it, float32 0 to 1."""
    soft = coverage(canvas.reduce(4 * SUPERSAMPLING).resize((width, height), SMOOTH))
    reach = 0.03 * min(width, height)
    shift = round(reach * math.sin(light)), round(reach * math.cos(light))
    return np.roll(soft, shift, (0, 1)), np.roll(soft, (-shift[0], -shift[1]), (0, 1))


def _sight(layer: Layer, mask: np.ndarray, free: np.ndarray) -> Sight | None:
    """What is annotated of a layer, where nearer ones leave `free`. None: it is not seen.

    All by the rules of VOC's annotators, twigs aside: a box is that of the visible part.
    """
    height, width = mask.shape
    seen = mask * free
    hidden = 1 - float(seen.sum()) / float(mask.sum())
    shown = Image.fromarray((255 * seen + 0.5).astype(np.uint8)).point(VISIBLE)
    box = shown.getbbox()
    if hidden >= UNSEEN or box is None:
        return None
    xmin, ymin, xmax, ymax = box
    inside, left = mask[ymin:ymax, xmin:xmax].sum(), seen[ymin:ymax, xmin:xmax].sum()
    small = max(xmax - xmin, ymax - ymin) < SMALL * (width + height) / 2
    return Sight(
        layer.name,
        box,
        truncated=bool(1 - SUPERSAMPLING**2 * inside / layer.area > TRUNCATED),
        occluded=bool(1 - left / inside > OCCLUDED),
        difficult=small or hidden >= HIDDEN,
        action=layer.action,
    )


def some_ground(rng, home: str | None = None) -> str:
    """Mostly the ground that is given, else any."""
    anywhere = list(GROUNDS)[rng.integers(len(GROUNDS))]
    return home if home and rng.random() < AT_HOME else anywhere


def _ground(rng, width: int, height: int, ground: str, clutter: Sequence[str]) -> np.ndarray:
    """Float32 (3, height, width) in 0 to 255: soft colours, blurred clutter, patterned ground."""
    colours = random_colours(rng, 6, *GROUND_COLOUR).reshape(2, 3, 3)
    colours = colours[:1, :1] + GROUND_VARIETY * (colours - colours[:1, :1])
    small = np.rint(np.array([width, height]) / rng.uniform(2.5, 4.5)).astype(int)
    picture = Image.fromarray(colours.astype(np.uint8)).resize(small.tolist(), SMOOTH)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(*DISTRACTORS, endpoint=True) if clutter else 0):
        shape = OUTLINES[clutter[rng.integers(len(clutter))]]
        outline = turned(rng, shape[:1], rng.uniform(0.08, 0.22) * small.min())[0]
        outline = outline + rng.uniform(0, 1, 2) * small
        red, green, blue = random_colours(rng, 1, *GROUND_COLOUR).astype(int).ravel().tolist()
        pen.polygon(outline.ravel().tolist(), fill=(red, green, blue))
    picture = picture.filter(ImageFilter.GaussianBlur(0.8)).resize((width, height), SMOOTH)
    image = np.asarray(picture).transpose(2, 0, 1).astype(np.float32, order="C")
    pattern = pattern_of(rng, width, height, GROUNDS[ground], rng.uniform(*GROUND_PERIOD))
    image *= 1 + rng.uniform(*GROUND_CONTRAST) * (pattern - 0.5)
    image *= 1 + rng.uniform(0.02, 0.1) * random_cut(rng, noise(0.7, 3.0, 9.0), width, height)
    return image


def _photographed(rng, image: np.ndarray) -> bytes:
    """The JPEG of a painted image, with twigs in front of it, under uneven light."""
    height, width = image.shape[1:]
    count = int(rng.integers(*STROKES, endpoint=True))
    if count:
        paint = random_colours(rng, 1, *GROUND_COLOUR)[0]
        image += twigs(rng, width, height, count) * (paint - image)
    image *= upscaled(rng.uniform(0.75, 1.2, (2, 3)), width, height)
    return developed(rng, image)


def _greyed(rng, scene: Scene, grey: bool) -> Scene:
    """The scene, as a JPEG of one channel if asked for."""
    if not grey:
        return scene
    stream = io.BytesIO()
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    with Image.open(io.BytesIO(scene.jpeg)) as picture:
        picture.convert("L").save(stream, "JPEG", quality=quality)
    return scene._replace(jpeg=stream.getvalue())
