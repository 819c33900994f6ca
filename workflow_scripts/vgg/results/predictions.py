"""The classes that a set of evaluations predicts for each image, and those it gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..evaluation.posteriors import mean_posteriors, rank_of_class
from .uncertainty import wilson

FIRST = 5  # classes that are kept of each image


@dataclass(frozen=True)
class Predictions:
    """The classes that the mean of some posteriors ranks first for each image, in id order.

    ids: names. labels: int [images], true classes. classes: int [images, 5], those of the highest
    posteriors, best first, ties in the order of labels; fewer if there are fewer classes.
    posteriors: float64 [images, 5], theirs. true_posterior: float64 [images], the true class's.
    rank: int [images], how many classes stand before the true one.
    """

    ids: list[str]
    labels: np.ndarray
    classes: np.ndarray
    posteriors: np.ndarray
    true_posterior: np.ndarray
    rank: np.ndarray


def predictions(paths: Sequence[str | Path]) -> Predictions:
    """The predictions of the mean of several files' posteriors, read in chunks of images.

    Raises InputError if an image has no label.
    """
    names, parts = [], []
    for ids, labels, posteriors in mean_posteriors(paths):
        if labels.min() < 0:
            raise InputError(f"{paths[0]}: {ids[labels.argmin()]} has no label, so it has no error")
        best = np.argsort(-posteriors, axis=1, kind="stable")[:, :FIRST]
        names += ids
        parts.append(
            (
                labels,
                best,
                np.take_along_axis(posteriors, best, 1),
                posteriors[np.arange(len(labels)), labels],
                rank_of_class(posteriors, labels),
            )
        )
    return Predictions(names, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def one_of_each_class(order: np.ndarray, labels: np.ndarray, count: int) -> list[int]:
    """The first `count` images of an order that are all of different classes.

    order: int [images], places, best first. labels: int [images], by place.
    """
    _, first = np.unique(labels[order], return_index=True)
    return order[np.sort(first)[:count]].tolist()


def hardest(found: Predictions, count: int) -> list[int]:
    """Places of the images whose true class has the lowest posterior, hardest first."""
    return np.argsort(found.true_posterior, kind="stable")[:count].tolist()


def best_fused(fusion: Predictions, nets: Sequence[Predictions], count: int) -> list[int]:
    """Places of the images that the fusion has right and single nets have wrong, best first.

    First those that more nets have wrong; among equals, those where the fusion's true class leads
    the second by more. A mean never exceeds the better of its parts, so its gain over that would
    rank images on which the nets agree.
    """
    wrong = sum(((net.rank >= 1).astype(int) for net in nets), np.zeros(len(fusion.ids), int))
    lead = fusion.posteriors[:, 0] - fusion.posteriors[:, 1]
    order = np.lexsort((-lead, -wrong))
    return order[((fusion.rank == 0) & (wrong > 0))[order]][:count].tolist()


def class_errors(found: Predictions, classes: int) -> list[dict]:
    """Errors of each class in percent, by label; top-1 with Wilson's 95% interval.

    Fields: images, wrong, top1_error, top1_low, top1_high, wrong_top5, top5_error; errors are None
    for a class without images.
    """
    images = np.bincount(found.labels, minlength=classes).tolist()
    wrong = np.bincount(found.labels[found.rank >= 1], minlength=classes).tolist()
    wrong_top5 = np.bincount(found.labels[found.rank >= 5], minlength=classes).tolist()
    errors = []
    for n, k, k5 in zip(images, wrong, wrong_top5, strict=True):
        low, high = wilson(k, n) if n else (None, None)
        errors.append(
            {
                "images": n,
                "wrong": k,
                "top1_error": 100 * k / n if n else None,
                "top1_low": low,
                "top1_high": high,
                "wrong_top5": k5,
                "top5_error": 100 * k5 / n if n else None,
            }
        )
    return errors


def confusions(found: Predictions) -> list[tuple[int, int, int, float]]:
    """Confused pairs (true label, predicted label, images, share of the true class in percent).

    The most frequent first; among equals, those of a larger share, then in the order of labels.
    """
    wrong = found.rank >= 1
    pairs = Counter(
        zip(found.labels[wrong].tolist(), found.classes[wrong, 0].tolist(), strict=True)
    )
    images = np.bincount(found.labels).tolist()
    counted = [(true, other, n, 100 * n / images[true]) for (true, other), n in pairs.items()]
    return sorted(counted, key=lambda pair: (-pair[2], -pair[3], pair[0], pair[1]))
