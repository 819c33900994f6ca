"""Annotate drawings in PASCAL VOC's XML, now and then oddly, in the ways of ILSVRC's annotations.

Read rightly, an odd annotation says exactly what one that is not odd says.
"""

from __future__ import annotations

import numpy as np

from .drawing import Drawing

# The shares of XMLs that have each. All but the last change any XML; `beyond` changes those in
# which an object touches the image's border, about a sixth.
ODDITIES = {
    "enlarged": 0.0125,  # size and boxes of the picture that the annotator saw, twice the image's
    "no-size": 0.0125,  # width and height 0
    "swapped": 0.0125,  # xmin with xmax, ymin with ymax, or both
    "percent-s": 0.0125,  # the file name is %s
    "words": 0.0125,  # objects named by the class's words
    "outside": 0.0125,  # one more object, wholly outside the image
    "empty": 0.0125,  # one more object, without extent, at the image's lower right corner
    "beyond": 0.1,  # a box that goes on where the image ends
}
FARTHEST = 20  # pixels by which a box goes beyond the border


def drawn_oddity(rng: np.random.Generator) -> str | None:
    """One of `ODDITIES`, or for most none."""
    place = np.searchsorted(np.cumsum(list(ODDITIES.values())), rng.random(), side="right")
    return [*ODDITIES, None][place]


def annotation(
    folder: str, name: str, drawing: Drawing, wnid: str, words: str, rng: np.random.Generator
) -> bytes:
    """The XML of an image; corners are the first and the last pixel of an object, from 0."""
    oddity = drawn_oddity(rng)
    boxes = np.array(drawing.boxes) - np.array([0, 0, 1, 1])
    size = np.array([drawing.width, drawing.height])
    if oddity == "enlarged":
        size, boxes = 2 * size, 2 * boxes + np.array([0, 0, 1, 1])
    elif oddity == "no-size":
        size = 0 * size
    elif oddity == "swapped":
        orders = ((2, 1, 0, 3), (0, 3, 2, 1), (2, 3, 0, 1))
        boxes = boxes[:, orders[rng.integers(len(orders))]]
    elif oddity == "outside":
        # The main object's box, moved by the image's width or height.
        side, way = rng.integers(2), rng.choice([-1, 1])
        away = way * np.tile(np.where(np.arange(2) == side, size, 0), 2)
        boxes = np.insert(boxes, rng.integers(len(boxes) + 1), boxes[0] + away, axis=0)
    elif oddity == "empty":
        boxes = np.insert(boxes, rng.integers(len(boxes) + 1), np.tile(size, 2), axis=0)
    elif oddity == "beyond":
        far = rng.integers(1, FARTHEST, boxes.shape, endpoint=True)
        boxes[:, :2] -= np.where(boxes[:, :2] == 0, far[:, :2], 0)
        boxes[:, 2:] += np.where(boxes[:, 2:] == size - 1, far[:, 2:], 0)
    called = words.replace(" ", "_") if oddity == "words" else wnid
    objects = "".join(_object(called, box) for box in boxes.tolist())
    return f"""<annotation>
\t<folder>{folder}</folder>
\t<filename>{"%s" if oddity == "percent-s" else name}</filename>
\t<source>
\t\t<database>ILSVRC_2012</database>
\t</source>
\t<size>
\t\t<width>{size[0]}</width>
\t\t<height>{size[1]}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
""".encode()


def _object(called: str, box: list[int]) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    lines = "".join(f"\n\t\t\t<{corner}>{value}</{corner}>" for corner, value in corners)
    return f"""\t<object>
\t\t<name>{called}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>{lines}
\t\t</bndbox>
\t</object>
"""
