"""Submissions for the ILSVRC test server: up to five labels an image, best first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..core.files import InputError
from ..evaluation.posteriors import mean_posteriors

SUBMITTED = 5
LEFT_OUT = slice(SUBMITTED)  # of the labels in order, for an image that was left out


def submitted_labels(posteriors: Sequence[str]) -> dict[str, np.ndarray]:
    """The labels of the highest mean posteriors of each image, best first, by its id."""
    submitted: dict[str, np.ndarray] = {}
    for ids, _, means in mean_posteriors(posteriors):
        best = np.argsort(-means, axis=1, kind="stable")[:, :SUBMITTED]
        submitted.update(zip(ids, best, strict=True))
    return submitted


def check_complete(
    submitted: Collection[str],
    images: Collection[str],
    skipped: Collection[str],
    posteriors: str,
    index: str,
) -> None:
    """Raise InputError unless there are labels for all images but those that packing left out.

    posteriors, index: the files that the labels and the images' names come from.
    """
    for name in sorted(set(submitted) ^ (set(images) - set(skipped))):
        what = "lacks" if name not in submitted else "has an answer for"
        raise InputError(
            f"{posteriors}: {what} {name}, but the test server wants a line for each of "
            f"the {len(images)} images of {index}, and packing left out {len(skipped)} of "
            "them; delete the posteriors and evaluate again"
        )


def lines_of_labels(
    submitted: Mapping[str, np.ndarray], images: Sequence[str], classes: int
) -> np.ndarray:
    """The labels of each image's line, int [images, 5]; fewer if there are fewer classes."""
    left_out = np.arange(classes)[LEFT_OUT]
    return np.array([submitted.get(name, left_out) for name in images])
