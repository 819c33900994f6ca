"""Entries of the page of pictures: what classifiers rank first and last, by class (appendix B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.files import InputError
from ..data.images import decode
from ..data.shards import Shards
from ..results.feature_measures import Measure
from ..transfer.average_precision import STEPS, Ranking, ranked
from ..transfer.scores import Tested
from .thumbnails import thumbnail

VERTICES = 300  # of a drawn curve, at most
BEST, MEDIAN, WORST = ("best", "median", "worst")


class ExampleImages:
    """The images of another data set's shards by name, as small pictures."""

    def __init__(self, paths: Sequence[str | Path]):
        self._shards = Shards(paths)
        self._places = {name: place for place, name in enumerate(self._shards.ids())}

    def thumbnail(self, name: str) -> str:
        """An image as a data URI. Raises InputError if no shard has it."""
        if name not in self._places:
            raise InputError(
                f"image {name}: has scores but is in none of the shards; pack the data set anew"
            )
        return thumbnail(decode(self._shards.jpeg(self._places[name]), f"image {name}"))


@dataclass(frozen=True)
class Listed:
    """The test images of a data set of several labels, listed for each class by a row's scores.

    title: the data set's. undescribed: names of images that could not be read.
    """

    measure: Measure
    of_seed: list[Tested]
    title: str
    undescribed: frozenset[str] = frozenset()

    @cached_property
    def scores(self) -> np.ndarray:
        """The scores of all tested examples, float32 [tested, classes]."""
        return self.measure.scores(self.of_seed)

    @cached_property
    def places(self) -> np.ndarray:
        """Their places among the examples, int64 [tested]."""
        return self.measure.tested()

    def ranking(self, column: int) -> Ranking:
        """The order for the class in a column."""
        return ranked(self.scores[:, column], self.measure.examples.labels[self.places, column])

    def classes(self) -> list[dict]:
        """The classes that count and have a positive, by falling average precision.

        Each with `average_precision` in percent, `positives`, `counted` (images of it or not,
        without those that show only difficult objects of it), its curve, and `role`: "best",
        "median" (the lower of two), "worst" or None. Equal ones stand in the data set's order.
        """
        precisions = _known(self.measure.per_class(self.of_seed))
        roles = {}
        for role, place in ((MEDIAN, len(precisions) // 2), (WORST, -1), (BEST, 0)):
            roles[list(precisions)[place]] = role
        entries = []
        for column, precision in precisions.items():
            ranking = self.ranking(column)
            entries.append(
                {
                    "class": self.measure.examples.classes[column],
                    "role": roles.get(column),
                    "average_precision": precision,
                    "positives": len(ranking.positive),
                    "counted": len(ranking.order),
                    **curve(ranking, eleven=self.measure.definition == "eleven-point"),
                }
            )
        return entries

    def first_and_last(self, name: str, images: ExampleImages, count: int) -> dict:
        """What is ranked first and last for a class: `count` images of each kind.

        first_right: those of the class with the highest scores. first_wrong: of those that are not
        of it. last_right: those of the class with the lowest, lowest first, without first_right.
        Images that could not be read are not shown.
        """
        column = self.measure.examples.classes.index(name)
        ranking = self.ranking(column)
        seen = np.flatnonzero(
            [self._name(place) not in self.undescribed for place in ranking.order]
        )
        right = np.intersect1d(ranking.positive, seen)
        wrong = np.setdiff1d(seen, right)
        shown = {
            "first_right": right[:count],
            "first_wrong": wrong[:count],
            "last_right": right[count:][::-1][:count],
        }
        return {
            group: [self._image(column, int(r), ranking, images) for r in ranks]
            for group, ranks in shown.items()
        }

    def _name(self, place: int) -> str:
        """The image at a place among the tested examples."""
        own = self.measure.examples
        return own.image_ids[own.images[self.places[place]]]

    def _image(self, column: int, rank: int, ranking: Ranking, images: ExampleImages) -> dict:
        """An image with its classes, and its score and rank for the class in a column.

        difficult: classes of which it shows only difficult objects.
        """
        own, place = self.measure.examples, ranking.order[rank]
        example, name = self.places[place], self._name(place)
        labels = dict(zip(own.classes, own.labels[example].tolist(), strict=True))
        classes, difficult = ([c for c in labels if labels[c] == label] for label in (1, 0))
        return {
            "id": name,
            "image": images.thumbnail(name),
            "score": float(self.scores[place, column]),
            "rank": rank + 1,
            "classes": classes,
            "difficult": difficult,
            "alt": (
                f"Test image {name} of {self.title}: {', '.join(classes) or 'no class'}; "
                f"rank {rank + 1} for {own.classes[column]}."
            ),
        }


def curve(ranking: Ranking, eleven: bool) -> dict[str, list[float]]:
    """Precision against recall of a class that has a positive, in percent.

    recall, precision: after its first counted example, and from there right after each positive and
    right before the next one, between which precision falls; up to the last positive. Of more than
    VERTICES, as many in equal steps. interpolated: if there are `eleven` points, the greatest
    precision at the recalls 0, 10 … 100 or higher ones, whose mean is the average precision; else
    none.
    """
    listed = ranking.positive + 1  # examples up to each positive, and with it
    found = np.arange(1, len(listed) + 1)
    after = found / listed
    ends = np.stack([found, found], 1).reshape(-1)[:-1]
    counts = np.stack([listed, np.append(listed[1:] - 1, 0)], 1).reshape(-1)[:-1]
    if listed[0] > 1:  # no positive comes first
        ends, counts = np.append(0, ends), np.append(1, counts)
    if len(ends) > VERTICES:
        kept = np.linspace(0, len(ends) - 1, VERTICES).round().astype(int)
        ends, counts = ends[kept], counts[kept]
    points: list[float] = []
    if eleven:
        best = np.maximum.accumulate(after[::-1])[::-1]
        first = [int((STEPS * found < k * len(found)).sum()) for k in range(STEPS + 1)]
        points = (100 * best[first]).tolist()
    return {
        "recall": (100 * ends / len(found)).tolist(),
        "precision": (100 * ends / counts).tolist(),
        "interpolated": points,
    }


def recalled_classes(measure: Measure, of_seed: list[Tested]) -> list[dict]:
    """The classes of a data set of one class an image that were tested, by falling recall.

    Each with `recall` in percent, the mean over random splits, `per_split` (None for a split that
    tests no image of it), and `tests`, its test images of all splits together. Equal ones stand in
    the order of the data set.
    """
    splits = measure.over_splits(of_seed).per_class
    tested = [measure.labels[places] for places, _ in measure.splits(of_seed)]
    counts = np.bincount(np.concatenate(tested), minlength=len(measure.examples.classes))
    return [
        {
            "class": measure.examples.classes[column],
            "recall": recall,
            "per_split": [of_split[column] for of_split in splits],
            "tests": int(counts[column]),
        }
        for column, recall in _known(measure.per_class(of_seed)).items()
    ]


def _known(values: list[float | None]) -> dict[int, float]:
    """The classes of which a measure is known, by their columns, the highest first."""
    known = {column: value for column, value in enumerate(values) if value is not None}
    return dict(sorted(known.items(), key=lambda one: -one[1]))
