"""Submissions for the ILSVRC test server: up to five labels an image, best first, or with boxes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..core.files import InputError
from ..localisation.guesses import Guesses

SUBMITTED = 5
LEFT_OUT = slice(SUBMITTED)  # of the labels in order, for an image that was left out


def check_complete(
    submitted: Collection[str],
    images: Collection[str],
    skipped: Collection[str],
    posteriors: str,
    index: str,
) -> None:
    """Raise InputError unless there are labels for all images but those that packing left out.

    posteriors, index: the files that the labels, or guesses, and the images' names come from.
    """
    for name in sorted(set(submitted) ^ (set(images) - set(skipped))):
        what = "lacks" if name not in submitted else "has an answer for"
        raise InputError(
            f"{posteriors}: {what} {name}, but the test server wants a line for each of "
            f"the {len(images)} images of {index}, and packing left out {len(skipped)} of "
            "them; delete that file and run again"
        )


def lines_of_labels(
    submitted: Mapping[str, np.ndarray], images: Sequence[str], classes: int
) -> np.ndarray:
    """The labels of each image's line, int [images, 5]; fewer if there are fewer classes."""
    left_out = np.arange(classes)[LEFT_OUT]
    return np.array([submitted.get(name, left_out) for name in images])


def lines_of_guesses(
    guesses: Guesses, images: Sequence[str], ilsvrc2012_ids: np.ndarray
) -> list[str]:
    """The line of each image: five times an ILSVRC2012_ID and a box's first and last pixels.

    ilsvrc2012_ids: int [classes], by label. An image that was left out has the first classes, each
    with the image's first pixel.
    """
    places = {name: place for place, name in enumerate(guesses.ids)}
    left_out = np.arange(len(ilsvrc2012_ids))[LEFT_OUT]
    lines = []
    for name in images:
        labels, boxes = left_out, np.zeros((len(left_out), 4), int)
        if (place := places.get(name)) is not None:
            labels, boxes = guesses.classes[place], guesses.boxes[place]
        numbers = np.column_stack([ilsvrc2012_ids[labels], boxes])
        lines.append(" ".join(map(str, numbers.ravel().tolist())))
    return lines
