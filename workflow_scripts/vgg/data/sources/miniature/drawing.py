"""Draw one image of the miniature: a patterned, lit object on some ground, as a small photograph.

Shape and pattern together make the class, and a class is mostly found on one kind of ground; hue,
size, place, light and clutter are random. docs/miniature.md has the reasons for each property.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ....core.files import InputError
from .outlines import SHAPES
from .painting import (
    GROUNDS,
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

# Width and height in units; few exact ratios, so that many images share a size at any S.
ASPECTS = ((4, 3), (1, 1), (6, 5), (5, 6), (8, 7), (7, 8))
SHORT_SIDE = (150, 214)  # pixels: ILSVRC's 350 to 500, times 96 / 224

# Each property of ILSVRC that `World` can leave out, with what is drawn then.
OBJECT_SIZE = (0.25, 1.1)  # diameter as a share of the image's mean side; log-uniform
ONE_SIZE = 0.55
PERIOD = 0.12  # of the object's pattern, as a share of the diameter; 0.9 to 1.5 times, by pattern
ONE_PERIOD = 14.0  # pixels
AT_HOME = 0.7  # share of the images in which an object lies on its class's own ground

WANDER = 0.8  # 0: objects in the middle; 1: anywhere inside the image
GROUND_COLOUR = ((0.05, 0.45), (0.3, 0.65))
GROUND_VARIETY = 0.4  # 0: one colour a ground; 1: unrelated colours side by side
GROUND_CONTRAST = (0.1, 0.3)
GROUND_PERIOD = (11, 20)  # pixels
DISTRACTORS = (0, 4)  # small plain shapes of any class, out of focus behind the object
STROKES = (0, 2)  # twigs in front of the object

# What a distractor of the object's outline needs to be annotated as another object of its class.
LEAST_SIDE = 0.2  # of its box, inside the image, as a share of the image's shorter side
LEAST_SEEN = 0.6  # share of it in the image, outside the object's box, under no other distractor
LEAST_CONTRAST = 20  # mean difference to the colours around, in grey levels


class Looks(NamedTuple):
    """What a class looks like: a name of `SHAPES`, one of `PATTERNS`, and one of `GROUNDS`."""

    shape: str
    pattern: str
    ground: str


Box = tuple[int, int, int, int]  # xmin, ymin, xmax, ymax


class Drawing(NamedTuple):
    """A JPEG, its size and the boxes of all objects of its class, the main one first, in pixels.

    Boxes hold edges, 0 <= xmin < xmax <= width, of whole objects, also where occluded, but without
    what the image's border cuts off.
    """

    jpeg: bytes
    width: int
    height: int
    boxes: tuple[Box, ...]


class Distractor(NamedTuple):
    """A shape's name, its outline in pixels of the small background, and its RGB colour."""

    shape: str
    outline: np.ndarray
    paint: tuple[int, int, int]


class Clutter(NamedTuple):
    """The small background without its distractors, and these, the foremost last."""

    picture: Image.Image
    distractors: list[Distractor]


@dataclass(frozen=True)
class World:
    """The properties of ILSVRC that the drawings have; each can be left out, for comparison.

    sizes: objects from small to image-filling, instead of all of one size.
    detail: an object's pattern is as fine as the object is small, instead of equally coarse in all.
    context: a class is mostly found on one kind of ground, instead of on any.
    """

    sizes: bool = True
    detail: bool = True
    context: bool = True


PROPERTIES = tuple(field.name for field in fields(World))


def world_without(properties: Collection[str]) -> World:
    """A world that lacks some of `PROPERTIES`. Raises InputError for an unknown one."""
    if unknown := sorted(set(properties) - set(PROPERTIES)):
        raise InputError(f"no property {unknown[0]!r}; expected some of {', '.join(PROPERTIES)}")
    return World(**dict.fromkeys(properties, False))


def draw(rng: np.random.Generator, looks: Looks, world: World) -> Drawing:
    """Draw an image of an object that looks as said."""
    width, height = random_size(rng)
    smallest, largest = OBJECT_SIZE
    share = smallest * (largest / smallest) ** rng.random() if world.sizes else ONE_SIZE
    diameter = share * (width + height) / 2
    outlines = _placed(rng, width, height, SHAPES[looks.shape], radius=diameter / 2)
    canvas = filled(width, height, outlines)
    mask = canvas.reduce(SUPERSAMPLING)
    lit, shaded = _relief(rng, canvas, width, height)

    at_home = world.context and rng.random() < AT_HOME
    ground = looks.ground if at_home else list(GROUNDS)[rng.integers(len(GROUNDS))]
    image, clutter = _background(rng, width, height, ground)
    image *= 1 - rng.uniform(0.3, 0.8) * shaded
    period = PERIOD * diameter if world.detail else ONE_PERIOD
    surface = surface_of(rng, width, height, looks.pattern, period)
    surface *= 0.95 + rng.uniform(0.4, 0.9) * (lit - shaded)
    image += coverage(mask) * (surface - image)
    count = int(rng.integers(*STROKES, endpoint=True))
    if count:
        paint = random_colours(rng, 1, *GROUND_COLOUR)[0]
        image += twigs(rng, width, height, count) * (paint - image)
    image *= upscaled(rng.uniform(0.75, 1.2, (2, 3)), width, height)
    box = mask.point(VISIBLE).getbbox()
    assert box is not None, "an object is always drawn"
    boxes = (box, *_others(clutter, looks.shape, box, width, height))
    return Drawing(developed(rng, image), width, height, boxes)


def random_size(rng) -> tuple[int, int]:
    """A width and height of exactly one of the aspects."""
    aspect = ASPECTS[rng.integers(len(ASPECTS))]
    shortest, longest = SHORT_SIDE
    unit = rng.integers(-(-shortest // min(aspect)), longest // min(aspect), endpoint=True)
    return int(unit * aspect[0]), int(unit * aspect[1])


def _placed(rng, width: int, height: int, outlines, radius: float) -> list[np.ndarray]:
    """Outlines turned, scaled and put somewhere inside the image, in pixels."""
    outlines = turned(rng, outlines, radius)
    low, high = outlines[0].min(0), outlines[0].max(0)
    # A turned shape can be wider than the image; it then touches one side and is cut at another.
    room = np.maximum((width, height) - (high - low), 0)
    place = (0.5 + WANDER * rng.uniform(-0.5, 0.5, 2)) * room - low
    return [outline + place for outline in outlines]


def _relief(rng, canvas: Image.Image, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The object's softened mask moved towards the light and away from it, float32 0 to 1.

    The second is the shadow on the ground; their difference lights the object's rounded edges.
    """
    soft = coverage(canvas.reduce(4 * SUPERSAMPLING).resize((width, height), SMOOTH))
    light = rng.uniform(0, 2 * math.pi)
    reach = 0.03 * min(width, height)
    shift = round(reach * math.sin(light)), round(reach * math.cos(light))
    return np.roll(soft, shift, (0, 1)), np.roll(soft, (-shift[0], -shift[1]), (0, 1))


def _background(rng, width: int, height: int, ground: str) -> tuple[np.ndarray, Clutter]:
    """Float32 (3, height, width) in 0 to 255: soft colours, blurred shapes, patterned ground."""
    colours = random_colours(rng, 6, *GROUND_COLOUR).reshape(2, 3, 3)
    colours = colours[:1, :1] + GROUND_VARIETY * (colours - colours[:1, :1])
    # Drawn small, blurred and enlarged: out of focus at a tenth of the cost.
    small = np.rint(np.array([width, height]) / rng.uniform(2.5, 4.5)).astype(int)
    picture = Image.fromarray(colours.astype(np.uint8)).resize(small.tolist(), SMOOTH)
    clutter = Clutter(picture.copy(), [])
    pen = ImageDraw.Draw(picture)
    count = rng.integers(*DISTRACTORS, endpoint=True)
    names = rng.choice(list(SHAPES), count)
    paints = random_colours(rng, count, *GROUND_COLOUR).astype(int).tolist()
    for name, paint in zip(names, paints, strict=True):
        outline = turned(rng, SHAPES[name][:1], rng.uniform(0.08, 0.22) * small.min())[0]
        outline = outline + rng.uniform(0, 1, 2) * small
        red, green, blue = (channel[0][0] for channel in paint)
        clutter.distractors.append(Distractor(name, outline, (red, green, blue)))
        pen.polygon(outline.ravel().tolist(), fill=(red, green, blue))
    picture = picture.filter(ImageFilter.GaussianBlur(0.8)).resize((width, height), SMOOTH)
    image = np.asarray(picture).transpose(2, 0, 1).astype(np.float32, order="C")
    pattern = pattern_of(rng, width, height, GROUNDS[ground], rng.uniform(*GROUND_PERIOD))
    image *= 1 + rng.uniform(*GROUND_CONTRAST) * (pattern - 0.5)
    image *= 1 + rng.uniform(0.02, 0.1) * random_cut(rng, noise(0.7, 3.0, 9.0), width, height)
    return image, clutter


def _others(clutter: Clutter, shape: str, main: Box, width: int, height: int) -> list[Box]:
    """Boxes of the distractors that have the object's outline and are seen well enough."""
    columns, rows = clutter.picture.size
    scale = np.array([width, height] * 2) / (columns, rows, columns, rows)
    margin = min(columns, rows) // 2  # holds what the border cuts off
    inside = (margin, margin, margin + columns, margin + rows)
    left, top, right, bottom = (np.rint(main / scale).astype(int) + margin).tolist()
    boxes: list[Box] = []
    for number, distractor in enumerate(clutter.distractors):
        if distractor.shape != shape:
            continue
        canvas = Image.new("L", (columns + 2 * margin, rows + 2 * margin))
        pen = ImageDraw.Draw(canvas)
        pen.polygon((distractor.outline + margin).ravel().tolist(), fill=255)
        drawn = canvas.crop(inside)
        if (edges := drawn.getbbox()) is None:
            continue
        xmin, ymin, xmax, ymax = np.rint(edges * scale).astype(int).tolist()
        behind = np.asarray(clutter.picture, np.int16)[np.asarray(drawn) > 0]
        whole = canvas.histogram()[255]
        for later in clutter.distractors[number + 1 :]:
            pen.polygon((later.outline + margin).ravel().tolist(), fill=0)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=0)
        seen = canvas.crop(inside).histogram()[255]
        if (
            min(xmax - xmin, ymax - ymin) >= LEAST_SIDE * min(width, height)
            and seen >= LEAST_SEEN * whole
            and np.abs(behind - distractor.paint).mean() >= LEAST_CONTRAST
        ):
            boxes.append((xmin, ymin, xmax, ymax))
    return boxes
