"""What is to be drawn of each of the other data sets, and how its images are drawn.

A class is an outline with a pattern, and none is one of those that the miniature's nets are trained
on. The classes 056.dog and 198.spider are drawn objects like the others, and nothing of them comes
from Caltech: they are called so because the stray members that a reader must not stumble over lie
in these folders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ....core.files import InputError
from .drawing import Looks
from .outlines import OUTLINES
from .people import POSES, draw_people
from .scenes import Scene, draw_object, draw_scene, draw_texture

# No outline has a pattern here that it has in the miniature, nor one of another data set; a pattern
# belongs to at most two classes of a data set, so that it does not tell them.
VOC_CLASSES = {
    "bolt": Looks("bolt", "lattice", "gravel"),
    "cross": Looks("cross", "spots", "water"),
    "disc": Looks("disc", "bars", "brick"),
    "pear": Looks("pear", "spots", "grass"),
    "pentagon": Looks("pentagon", "bars", "water"),
    "star": Looks("star", "lattice", "grass"),
}
CALTECH101_CLASSES = {
    "arrow": Looks("arrow", "spots", "gravel"),
    "cross": Looks("cross", "lattice", "grass"),
    "heart": Looks("heart", "diagonals", "water"),
    "hourglass": Looks("hourglass", "bands", "gravel"),
    "house": Looks("house", "lattice", "brick"),
    "moon": Looks("moon", "bands", "water"),
    "star": Looks("star", "diagonals", "brick"),
    "triangle": Looks("triangle", "spots", "grass"),
}
BACKGROUND = "BACKGROUND_Google"
CALTECH256_CLASSES = {
    "012.cross": Looks("cross", "diagonals", "brick"),
    "050.disc": Looks("disc", "lattice", "grass"),
    "056.dog": Looks("dog", "bars", "gravel"),
    "080.fish": Looks("fish", "lattice", "water"),
    "198.spider": Looks("spider", "bands", "brick"),
    "204.star": Looks("star", "bars", "water"),
    "232.tree": Looks("tree", "diagonals", "grass"),
    "241.triangle": Looks("triangle", "bands", "gravel"),
}
CLUTTER = "257.clutter"
GREY = 0.12  # share of Caltech's images that have one channel

ACTIONS = tuple(name for name in POSES if name != "other")

# Random streams (seed, number, …); those below 20 are the miniature's own. The images' are
STREAMS = {"voc2007": 21, "voc2012": 22, "actions": 23, "caltech101": 24, "caltech256": 25}
_PLAN = 20
_LOOKS = {
    "voc2007": VOC_CLASSES,
    "voc2012": VOC_CLASSES,
    "caltech101": CALTECH101_CLASSES,
    "caltech256": CALTECH256_CLASSES,
}


class Counts(NamedTuple):
    """How many images there are: train, val and test of VOC, and images a class of Caltech.

    caltech101: of one class, and of the rest. caltech256: of the smallest and the largest class.
    """

    voc2007: tuple[int, int, int] = (100, 100, 150)
    voc2012: tuple[int, int, int] = (80, 80, 100)
    actions: tuple[int, int, int] = (60, 60, 60)
    caltech101: tuple[int, int] = (13, 22)
    caltech256: tuple[int, int] = (16, 28)


class Picture(NamedTuple):
    """An image to draw: its data set, its name there, and the part or class that it belongs to.

    number: counts the data set's images from 0. content: classes of its objects, the nearest
    first, or actions of its people; none in an image of textures.
    """

    seed: int
    data: str
    number: int
    name: str
    part: str
    content: tuple[str, ...]
    grey: bool = False


Drawn = Sequence[tuple[Picture, Scene]]


def planned(seed: int, counts: Counts) -> list[Picture]:
    """All images of all data sets. Raises InputError for a negative seed."""
    if seed < 0:
        raise InputError(f"--seed {seed}: expected 0 or more")
    rngs = {data: np.random.default_rng((seed, _PLAN, n)) for data, n in STREAMS.items()}
    return [
        *_planned_voc(seed, "voc2007", "{:06d}", counts.voc2007, rngs["voc2007"]),
        *_planned_voc(seed, "voc2012", "2008_{:06d}", counts.voc2012, rngs["voc2012"]),
        *_planned_voc(seed, "actions", "2010_{:06d}", counts.actions, rngs["actions"]),
        *_planned_caltech101(seed, counts.caltech101, rngs["caltech101"]),
        *_planned_caltech256(seed, counts.caltech256, rngs["caltech256"]),
    ]


def draw_picture(picture: Picture) -> Scene:
    """Draw one image; its pixels depend on the picture's seed, data set, number and content."""
    rng = np.random.default_rng((picture.seed, STREAMS[picture.data], picture.number))
    content = picture.content
    if picture.data == "actions":
        return draw_people(rng, content, tuple(OUTLINES))
    if not content:
        return draw_texture(rng, picture.grey)
    looks = _LOOKS[picture.data]
    clutter = [name for name in OUTLINES if name not in {look.shape for look in looks.values()}]
    if picture.data.startswith("voc"):
        return draw_scene(rng, content, [looks[name] for name in content], clutter)
    return draw_object(rng, content[0], looks[content[0]], clutter, picture.grey)


def _planned_voc(
    seed: int, data: str, form: str, counts: Sequence[int], rng: np.random.Generator
) -> list[Picture]:
    """Images of a VOC, whose names, in the form of an ID, tell nothing of their part."""
    contents = _people_of_a_part if data == "actions" else _objects_of_a_part
    parts = zip(("train", "val", "test"), counts, strict=True)
    images = [(part, content) for part, count in parts for content in contents(rng, count)]
    names = [form.format(number + 1) for number in rng.permutation(len(images))]
    return [
        Picture(seed, data, number, name, part, content)
        for number, (name, (part, content)) in enumerate(zip(names, images, strict=True))
    ]


def _objects_of_a_part(rng: np.random.Generator, count: int) -> list[tuple[str, ...]]:
    """Classes of one to three objects an image; each class is the nearest one's equally often."""
    classes = list(VOC_CLASSES)
    nearest = rng.permutation(np.arange(count) % len(classes))
    others = [rng.integers(len(classes), size=number) for number in rng.integers(3, size=count)]
    return [
        tuple(classes[k] for k in (first, *rest))
        for first, rest in zip(nearest, others, strict=True)
    ]


def _people_of_a_part(rng: np.random.Generator, count: int) -> list[tuple[str, ...]]:
    """Actions of one person an image in half of the images, in the others of two that differ.

    The whole of an image of two cannot tell which of them does what.
    """
    names = list(POSES)
    total = len(names)
    pairs = [(names[k], names[(k + d) % total]) for d in range(1, total) for k in range(total)]
    single = rng.permutation(np.arange(count // 2) % total)
    double = rng.permutation(np.arange(count - count // 2) % len(pairs))
    return [*((names[k],) for k in single), *(pairs[k] for k in double)]


def _planned_caltech101(
    seed: int, counts: tuple[int, int], rng: np.random.Generator
) -> list[Picture]:
    """As many images of each class, but fewer of one: of fewer than the tests would like."""
    fewest, usual = counts
    classes = list(CALTECH101_CLASSES)
    small = classes[rng.integers(len(classes))]
    sizes = {name: fewest if name == small else usual for name in (BACKGROUND, *classes)}
    return _planned_classes(seed, "caltech101", "image_{1:04d}", sizes, rng)


def _planned_caltech256(
    seed: int, counts: tuple[int, int], rng: np.random.Generator
) -> list[Picture]:
    """Classes of unequal sizes."""
    classes = [*CALTECH256_CLASSES, CLUTTER]
    sizes = rng.permutation(np.rint(np.linspace(*counts, len(classes))).astype(int)).tolist()
    shares = dict(zip(classes, sizes, strict=True))
    return _planned_classes(seed, "caltech256", "{0:.3}_{1:04d}", shares, rng)


def _planned_classes(
    seed: int, data: str, form: str, sizes: Mapping[str, int], rng: np.random.Generator
) -> list[Picture]:
    """Images numbered from 1 in each class, some of them grey."""
    images = [(name, number + 1) for name, size in sizes.items() for number in range(size)]
    grey = rng.random(len(images)) < GREY
    return [
        Picture(seed, data, n, form.format(name, number), name, _content(name), bool(grey[n]))
        for n, (name, number) in enumerate(images)
    ]


def _content(name: str) -> tuple[str, ...]:
    return () if name in (BACKGROUND, CLUTTER) else (name,)
