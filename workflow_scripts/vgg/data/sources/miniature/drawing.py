"""Draw one image of the miniature: a textured, lit object over clutter, as a small photograph.

Shape and texture make the class; hue, size, place, light and background are random.
"""

from __future__ import annotations

import functools
import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Width and height in units; few exact ratios, so that many images share a size at any S.
ASPECTS = ((4, 3), (1, 1), (6, 5), (5, 6), (8, 7), (7, 8))
SHORT_SIDE = (100, 150)  # pixels: ILSVRC's 350 to 500, divided by 3.5
JPEG_QUALITY = (90, 95)

# What makes the set harder or easier to learn. Most images are loud, so that a small net finds a
# cue early; the error that remains comes from the hard ones.
HARD_IMAGES = 0.08  # share whose object is small and faint and whose texture is any class's
HARD_SIZE = (0.25, 0.5)
HARD_CONTRAST = (0.1, 0.5)
OBJECT_SIZE = (0.75, 1.0)  # diameter of the object as a share of the mean side
WANDER = 0.4  # 0: objects in the middle; 1: anywhere inside the image
ROTATION = 15  # degrees, either way
STRETCH = 0.12  # width against height of the object, either way
TEXTURE_RANDOMISED = 0.05  # share of the others whose texture says nothing of the class
TEXTURE_CONTRAST = (0.75, 0.95)
OBJECT_COLOUR = ((0.1, 0.7), (0.75, 1.0))  # saturation and value of the texture's light parts
BACKGROUND_COLOUR = ((0.05, 0.45), (0.3, 0.65))  # these well apart make the texture a loud cue
BACKGROUND_VARIETY = 0.4  # 0: one colour a background; 1: unrelated colours side by side
DISTRACTORS = (0, 4)  # small plain shapes of any class, out of focus behind the object
STROKES = (0, 2)  # twigs in front of the object
STROKE_WIDTH = (0.015, 0.04)  # share of the short side
NOISE = (1.5, 6.0)  # standard deviation in grey levels

SUPERSAMPLING = 3
TILE = 512  # side of the precomputed textures, in pixels
PERIOD = 13  # pixels between two repetitions of a texture


class Drawing(NamedTuple):
    """A JPEG with its size and the object's box (xmin, ymin, xmax, ymax), all in pixels.

    The box holds edges, 0 <= xmin < xmax <= width, of the whole object, also where occluded.
    """

    jpeg: bytes
    width: int
    height: int
    box: tuple[int, int, int, int]


def draw(rng: np.random.Generator, shape: str, texture: str) -> Drawing:
    """Draw an object with a shape of `SHAPES` and, in most images, a texture of `TEXTURES`."""
    width, height = _random_size(rng)
    hard = rng.random() < HARD_IMAGES
    if hard or rng.random() < TEXTURE_RANDOMISED:
        texture = list(TEXTURES)[rng.integers(len(TEXTURES))]
    sizes, contrasts = OBJECT_SIZE, TEXTURE_CONTRAST
    if hard:
        sizes, contrasts = HARD_SIZE, HARD_CONTRAST
    radius = rng.uniform(*sizes) * (width + height) / 4
    contrast = rng.uniform(*contrasts)
    canvas = _filled(width, height, _placed(rng, width, height, SHAPES[shape], radius=radius))
    mask = canvas.reduce(SUPERSAMPLING)
    lit, shaded = _relief(rng, canvas, width, height)

    image = _background(rng, width, height)
    image *= 1 - rng.uniform(0.3, 0.8) * shaded
    surface = _surface(rng, width, height, texture, contrast=contrast)
    surface *= 0.95 + rng.uniform(0.4, 0.9) * (lit - shaded)
    image += _array(mask) * (surface - image)
    count = int(rng.integers(*STROKES, endpoint=True))
    if count:
        paint = _colours(rng, 1, *BACKGROUND_COLOUR)[0]
        image += _strokes(rng, width, height, count) * (paint - image)
    image *= _upscaled(rng.uniform(0.75, 1.2, (2, 3)), width, height)
    box = mask.point(_VISIBLE).getbbox()
    assert box is not None, "an object is always drawn"
    return Drawing(_developed(rng, image), width, height, box)


def _random_size(rng) -> tuple[int, int]:
    """A width and height of exactly one of the aspects."""
    aspect = ASPECTS[rng.integers(len(ASPECTS))]
    shortest, longest = SHORT_SIDE
    unit = rng.integers(-(-shortest // min(aspect)), longest // min(aspect), endpoint=True)
    return int(unit * aspect[0]), int(unit * aspect[1])


def _placed(rng, width: int, height: int, outlines, radius: float) -> list[np.ndarray]:
    """Outlines turned, scaled and put somewhere inside the image, in pixels."""
    outlines = _turned(rng, outlines, radius)
    low, high = outlines[0].min(0), outlines[0].max(0)
    # A turned shape can be wider than the image; it then touches one side and is cut at another.
    room = np.maximum((width, height) - (high - low), 0)
    place = (0.5 + WANDER * rng.uniform(-0.5, 0.5, 2)) * room - low
    return [outline + place for outline in outlines]


def _turned(rng, outlines: list[np.ndarray], radius: float) -> list[np.ndarray]:
    angle = math.radians(rng.uniform(-ROTATION, ROTATION))
    cosine, sine = math.cos(angle), math.sin(angle)
    stretch = 1 + rng.uniform(-STRETCH, STRETCH)
    matrix = radius * np.array([[cosine, sine], [-sine, cosine]]) * (stretch, 1 / stretch)
    return [outline @ matrix for outline in outlines]


def _filled(width: int, height: int, outlines: list[np.ndarray]) -> Image.Image:
    """An enlarged 8-bit canvas with the first outline filled and the others cut out of it."""
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    for number, outline in enumerate(outlines):
        pen.polygon((outline * SUPERSAMPLING).ravel().tolist(), fill=0 if number else 255)
    return canvas


def _relief(rng, canvas: Image.Image, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The object's softened mask moved towards the light and away from it, float32 0 to 1.

    The second is the shadow on the ground; their difference lights the object's rounded edges.
    """
    soft = _array(canvas.reduce(4 * SUPERSAMPLING).resize((width, height), _SMOOTH))
    light = rng.uniform(0, 2 * math.pi)
    reach = 0.03 * min(width, height)
    shift = round(reach * math.sin(light)), round(reach * math.cos(light))
    return np.roll(soft, shift, (0, 1)), np.roll(soft, (-shift[0], -shift[1]), (0, 1))


def _background(rng, width: int, height: int) -> np.ndarray:
    """Float32 (3, height, width) in 0 to 255: soft colours, blurred shapes, rough ground."""
    colours = _colours(rng, 6, *BACKGROUND_COLOUR).reshape(2, 3, 3)
    colours = colours[:1, :1] + BACKGROUND_VARIETY * (colours - colours[:1, :1])
    # Drawn small, blurred and enlarged: out of focus at a tenth of the cost.
    small = np.rint(np.array([width, height]) / rng.uniform(2.5, 4.5)).astype(int)
    picture = Image.fromarray(colours.astype(np.uint8)).resize(small.tolist(), _SMOOTH)
    pen = ImageDraw.Draw(picture)
    count = rng.integers(*DISTRACTORS, endpoint=True)
    names = rng.choice(list(SHAPES), count)
    paints = _colours(rng, count, *BACKGROUND_COLOUR).astype(int).tolist()
    for name, paint in zip(names, paints, strict=True):
        outline = _turned(rng, SHAPES[name][:1], rng.uniform(0.08, 0.22) * small.min())[0]
        outline = outline + rng.uniform(0, 1, 2) * small
        pen.polygon(outline.ravel().tolist(), fill=tuple(channel[0][0] for channel in paint))
    picture = picture.filter(ImageFilter.GaussianBlur(0.8)).resize((width, height), _SMOOTH)
    image = np.asarray(picture).transpose(2, 0, 1).astype(np.float32, order="C")
    image *= 1 + rng.uniform(0.02, 0.14) * _cut(rng, _noise(0.7, 3.0, 9.0), width, height)
    return image


def _surface(rng, width: int, height: int, texture: str, contrast: float) -> np.ndarray:
    """Float32 (3, height, width): the object's texture in a dark and a light colour."""
    light, other = _colours(rng, 2, *OBJECT_COLOUR)
    dark = (1 - contrast) * light + 0.2 * contrast * other
    pattern = _window(rng, _tile(texture), width, height)
    return dark + pattern * (light - dark)


def _strokes(rng, width: int, height: int, count: int) -> np.ndarray:
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
    return _array(canvas.reduce(SUPERSAMPLING))


def _developed(rng, image: np.ndarray) -> bytes:
    """The JPEG of a float image (3, height, width) in 0 to 255, with film grain."""
    height, width = image.shape[1:]
    image += rng.uniform(*NOISE) * _cut(rng, _noise(0.5), width, height)
    pixels = np.clip(image, 0, 255, out=image).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _colours(rng, count: int, saturations, values) -> np.ndarray:
    """RGB colours of any hue, float32 (count, 3, 1, 1) in 0 to 255; the rest is HSV ranges."""
    low, high = zip((0, 6), saturations, values, strict=True)
    hue, saturation, value = rng.uniform(low, high, (count, 3)).T[..., None]
    sector = np.add(hue, (5, 3, 1)) % 6
    rgb = value * (1 - saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))
    return (255 * rgb).astype(np.float32)[..., None, None]


def _array(mask: Image.Image) -> np.ndarray:
    """Float32 (height, width) in 0 to 1 of an 8-bit image."""
    return np.asarray(mask) * np.float32(1 / 255)


def _upscaled(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """A few values, float (rows, columns), as a smooth float32 field (height, width)."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), _SMOOTH))


def _window(rng, tile: Image.Image, width: int, height: int) -> np.ndarray:
    """Float32 (height, width) in 0 to 1: a random part of a tile, scaled and a little turned."""
    scale, angle = rng.uniform(0.75, 1.2), math.radians(rng.uniform(-ROTATION, ROTATION))
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    reach = scale * math.hypot(width, height) / 2
    x, y = rng.uniform(reach, TILE - reach, 2)
    corner = (x - a * width / 2 - b * height / 2, y + b * width / 2 - a * height / 2)
    matrix = (a, b, corner[0], -b, a, corner[1])
    size = (width, height)
    return _array(tile.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _cut(rng, tile: np.ndarray, width: int, height: int) -> np.ndarray:
    """A random part (height, width) of a square array."""
    top, left = rng.integers(0, (TILE - height, TILE - width))
    return tile[top : top + height, left : left + width]


_SMOOTH = Image.Resampling.BICUBIC
_VISIBLE = [0] * 128 + [255] * 128


def _arc(first: float, last: float, radius: float = 1, centre: float = 0) -> np.ndarray:
    angles = np.radians(np.linspace(first, last, 48))
    return np.stack([radius * np.cos(angles) + centre, radius * np.sin(angles)], 1)


def _spokes(*radii: float, corners: int) -> np.ndarray:
    """A polygon with `corners` corners, the first on top, at distances `radii` in turn."""
    angles = np.arange(corners) * 2 * math.pi / corners
    radius = np.resize(radii, corners)
    return np.stack([radius * np.sin(angles), -radius * np.cos(angles)], 1)


def _heart() -> np.ndarray:
    t = np.radians(np.arange(0, 360, 6))
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y - 2.5], 1) / 16


_ARROW = [(-1, -0.35), (0.1, -0.35), (0.1, -0.9), (1, 0), (0.1, 0.9), (0.1, 0.35), (-1, 0.35)]
_GLASS = [(-0.8, -1), (0.8, -1), (0.15, 0), (0.8, 1), (-0.8, 1), (-0.15, 0)]
_CROSS = [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3)]

# Outlines within a circle or square of radius 1, x to the right and y down: a hull, then holes.
SHAPES = {
    "disc": [_arc(0, 360)],
    "ring": [_arc(0, 360), _arc(0, 360, 0.5)],
    "triangle": [_spokes(1.1, corners=3)],
    "square": [np.array([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)])],
    "star": [_spokes(1.05, 0.45, corners=10)],
    "cross": [np.array(_CROSS + [(-x, -y) for x, y in _CROSS]) / 3],
    "crescent": [np.concatenate([_arc(50, 310), _arc(285, 75, 0.8, 0.45)])],
    "heart": [_heart()],
    "arrow": [np.array(_ARROW)],
    "hourglass": [np.array(_GLASS)],
}


@functools.cache
def _noise(*sigmas: float) -> np.ndarray:
    """Float32 (TILE, TILE) noise of unit variance: the sum of a Gaussian field for each sigma."""
    frequency = np.fft.fftfreq(TILE)
    squared = frequency[:, None] ** 2 + frequency**2
    white = np.fft.fft2(np.random.default_rng(0).standard_normal((TILE, TILE)))
    fields = [np.fft.ifft2(white * np.exp(-2 * (math.pi * s) ** 2 * squared)).real for s in sigmas]
    total = sum(field / field.std() for field in fields)
    return (total / total.std()).astype(np.float32)


def _zigzag(x: np.ndarray) -> np.ndarray:
    return 2 * np.arcsin(np.sin(x / 2))


# Functions of the phases x (to the right) and y (down); positive is light, negative dark.
TEXTURES = {
    "spots": lambda x, y: 1.5 * np.sin(x) * np.sin(y) - 0.4,
    "bands": lambda x, y: np.sin(y / 1.5),
    "bars": lambda x, y: np.sin(x * 1.1),
    "checks": lambda x, y: 3 * np.sin(x / 2) * np.sin(y / 2),
    "speckles": lambda x, y: _noise(1.3),
    "diagonals": lambda x, y: np.sin((x + y) / math.sqrt(2)),
    "waves": lambda x, y: np.sin(y + 1.6 * np.sin(x / 2)),
    "lattice": lambda x, y: 2 * np.maximum(np.sin(x / 1.3), np.sin(y / 1.3)) - 1.5,
    "chevrons": lambda x, y: np.sin(1.2 * y + _zigzag(x)),
    "blotches": lambda x, y: 2 * _noise(5.0),
}


@functools.cache
def _tile(texture: str) -> Image.Image:
    """A texture as a TILE-sided 8-bit image; 5 to 15 ms, once a process."""
    phase = np.arange(TILE) * 2 * math.pi / PERIOD
    values = 0.5 + 0.8 * TEXTURES[texture](*np.meshgrid(phase, phase))
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
