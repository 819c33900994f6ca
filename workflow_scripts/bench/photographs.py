"""Photographs as JPEGs like ILSVRC-2012's, to measure with: 500×375 pixels, 90–110 KB.

The sources are the colour photographs that scikit-image and matplotlib come with. Each image is a
window of one of them, of random place, size and orientation, resampled to 500×375 or 375×500 and
encoded by Pillow with 4:2:0 chroma and the quality, 80–99, at which it takes 90–110 KB.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (500, 375)
UPRIGHT_SHARE = 0.25
QUALITIES = range(80, 100)
BYTES = range(90_000, 110_001)
OF_SCIKIT_IMAGE = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)


def sources() -> list[Image.Image]:
    """The photographs that the packages come with."""
    import matplotlib
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    paths = [folder / name for name in OF_SCIKIT_IMAGE]
    paths.append(Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg"))
    return [Image.open(path).convert("RGB") for path in paths]


def photographs(number: int, seed: int = 0) -> Iterator[bytes]:
    """So many JPEG files, the same for the same seed."""
    draw, pictures = np.random.default_rng(seed), sources()
    while number:
        picture = pictures[draw.integers(len(pictures))]
        width, height = SIZE[::-1] if draw.random() < UPRIGHT_SHARE else SIZE
        zoom = min(picture.width / width, picture.height / height) * draw.uniform(0.6, 1)
        left = draw.uniform(0, picture.width - width * zoom)
        top = draw.uniform(0, picture.height - height * zoom)
        box = (left, top, left + width * zoom, top + height * zoom)
        window = picture.resize((width, height), Image.Resampling.LANCZOS, box)
        if draw.random() < 0.5:
            window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if encoded := encoded_to_size(window):
            number -= 1
            yield encoded


def encoded_to_size(picture: Image.Image) -> bytes | None:
    """A JPEG of 90–110 KB, or None if no quality gives that."""
    low, high = QUALITIES[0], QUALITIES[-1]
    while low <= high:
        quality = (low + high) // 2
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        size = file.tell()
        if size in BYTES:
            return file.getvalue()
        low, high = (quality + 1, high) if size < BYTES[0] else (low, quality - 1)
    return None
