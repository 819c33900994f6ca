"""Draw people: stick figures in poses that tell what they do, with what they ride or read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from .drawing import PERIOD, random_size
from .outlines import arc
from .painting import PATTERNS, SUPERSAMPLING
from .scenes import Layer, Scene, composed, polygon_area, some_ground

# Lengths are shares of a person's height.
LIMB = 0.085  # thickness
HEAD = 0.1  # radius
LEANING = 4  # degrees, either way
FIDGETING = 0.02  # by which a joint is elsewhere, in either direction
PERSON_FILLING = (0.72, 0.95)  # as `FILLING`, of the image or of its half


class Pose(NamedTuple):
    """How a person of height 1 stands, x to the right and y down from the top of its head.

    limbs: chains of joints, the head's centre among them. things: outlines behind the person,
    and what they are called, "" if they are not annotated.
    """

    limbs: dict[str, list[tuple[float, float]]]
    things: Sequence[np.ndarray] = ()
    called: str = ""


def _square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * side / 2 + (x, y)


_WHEELS = [0.22 * arc(0, 360) + (x, 0.88) for x in (-0.3, 0.34)]

# Named as in VOC; `other` just stands.
POSES = {
    "jumping": Pose(
        {
            "head": [(0, 0.12)],
            "body": [(0, 0.22), (0, 0.56)],
            "arms": [(-0.32, -0.06), (-0.2, 0.16), (0, 0.26), (0.2, 0.16), (0.32, -0.06)],
            "legs": [(-0.36, 0.9), (-0.2, 0.7), (0, 0.56), (0.2, 0.7), (0.36, 0.9)],
        }
    ),
    "reading": Pose(
        {
            "head": [(0.03, 0.1)],
            "body": [(0, 0.2), (0, 0.58)],
            "arms": [(0, 0.26), (0.08, 0.44), (0.28, 0.42)],
            "legs": [(-0.08, 0.97), (-0.05, 0.78), (0, 0.58), (0.07, 0.78), (0.08, 0.97)],
        },
        [_square(0.33, 0.34, 0.3)],
    ),
    "ridingbike": Pose(
        {
            "head": [(0.16, 0.1)],
            "body": [(0.08, 0.22), (-0.14, 0.52)],
            "arms": [(0.08, 0.26), (0.18, 0.44), (0.36, 0.46)],
            "legs": [(-0.14, 0.54), (0.12, 0.62), (0.02, 0.9)],
        },
        _WHEELS,
        "bicycle",
    ),
    "running": Pose(
        {
            "head": [(0.24, 0.12)],
            "body": [(0.18, 0.23), (-0.04, 0.55)],
            "arms": [(-0.16, 0.5), (-0.1, 0.32), (0.16, 0.27), (0.26, 0.46), (0.44, 0.36)],
            "legs": [(-0.46, 0.78), (-0.2, 0.8), (-0.04, 0.56), (0.24, 0.66), (0.16, 0.94)],
        }
    ),
    "other": Pose(
        {
            "head": [(0, 0.1)],
            "body": [(0, 0.2), (0, 0.56)],
            "arms": [(-0.15, 0.56), (-0.13, 0.4), (0, 0.25), (0.13, 0.4), (0.15, 0.56)],
            "legs": [(-0.1, 0.97), (-0.06, 0.78), (0, 0.56), (0.06, 0.78), (0.1, 0.97)],
        }
    ),
}


def draw_people(rng: np.random.Generator, actions: Sequence[str], clutter: Sequence[str]) -> Scene:
    """Draw one person for each of `actions`, side by side, with what they ride or read."""
    width, height = random_size(rng)
    across = width / len(actions)
    layers: list[Layer] = []
    for number, action in enumerate(actions):
        figure, things = _posed(rng, POSES[action])
        points = np.concatenate([_figure_extent(figure), *things])
        low, high = points.min(0), points.max(0)
        scale = rng.uniform(*PERSON_FILLING) * ((across, height) / (high - low)).min()
        room = (across, height) - scale * (high - low)
        place = room * rng.uniform(0, 1, 2) - scale * low + (number * across, 0)
        layers += _person_layers(
            rng,
            (width, height),
            action,
            {name: scale * joints + place for name, joints in figure.items()},
            [scale * thing + place for thing in things],
            scale,
        )
    return composed(rng, width, height, some_ground(rng), layers, clutter)


def _posed(rng, pose: Pose) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """A pose's joints and things, a little off, leaning, and looking either way."""
    angle = math.radians(rng.uniform(-LEANING, LEANING))
    cosine, sine = math.cos(angle), math.sin(angle)
    mirrored = rng.choice([-1, 1])
    matrix = np.array([[cosine, sine], [-sine, cosine]]) * (mirrored * rng.uniform(0.92, 1.08), 1)
    figure = {
        name: (np.array(joints) + rng.uniform(-FIDGETING, FIDGETING, (len(joints), 2))) @ matrix
        for name, joints in pose.limbs.items()
    }
    return figure, [thing @ matrix for thing in pose.things]


def _figure_extent(figure: dict[str, np.ndarray]) -> np.ndarray:
    """Points as far out as a figure of height 1 goes, float [points, 2]."""
    around = np.array([(-1, -1), (1, 1)])
    return np.concatenate(
        [
            (joint + (HEAD if name == "head" else LIMB / 2) * around)
            for name, joints in figure.items()
            for joint in joints
        ]
    )


def _person_layers(
    rng, size: tuple[int, int], action: str, figure, things: list[np.ndarray], scale: float
) -> list[Layer]:
    """A person and the things behind it, if there are any. Pixels, and pixels a person's height."""
    patterns = [list(PATTERNS)[number] for number in rng.integers(len(PATTERNS), size=2)]
    period = PERIOD * scale * 0.5
    canvas = _stroked(size, figure, scale)
    area = float(np.asarray(canvas, np.float32).sum()) / 255
    layers = [Layer("person", canvas, area, patterns[0], period, action)]
    if things:
        canvas = Image.new("L", (SUPERSAMPLING * size[0], SUPERSAMPLING * size[1]))
        pen = ImageDraw.Draw(canvas)
        for thing in things:
            pen.polygon((SUPERSAMPLING * thing).ravel().tolist(), fill=255)
        area = SUPERSAMPLING**2 * sum(map(polygon_area, things))
        layers.append(Layer(POSES[action].called, canvas, area, patterns[1], period))
    return layers


def _stroked(size: tuple[int, int], figure: dict[str, np.ndarray], scale: float) -> Image.Image:
    """An enlarged 8-bit canvas with limbs as thick strokes with round ends, and a head."""
    canvas = Image.new("L", (SUPERSAMPLING * size[0], SUPERSAMPLING * size[1]))
    pen = ImageDraw.Draw(canvas)
    for name, joints in figure.items():
        points = SUPERSAMPLING * joints
        radius = SUPERSAMPLING * scale * (HEAD if name == "head" else LIMB / 2)
        pen.line(points.ravel().tolist(), fill=255, width=round(2 * radius))
        for x, y in points.tolist():
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return canvas
