"""OverFeat's greedy merging of the boxes of one class, as the paper uses it (appendix A).

OverFeat (§4.3) adds the area of intersection to the distance of the centres, and merges the pair
with the smallest sum first. Taken literally that punishes overlap, and adds square pixels to
pixels; the default reads it as what it must mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.declarations import declared

MERGE_DISTANCES = ("centres-and-overlap", "literal", "overlap-only")
MERGE_MEANS = ("weighted", "plain")
# Sums are rounded once, so they do not depend on the order of what is added.
RATINGS: dict[str, Callable] = {"sum": math.fsum, "mean": statistics.fmean, "max": max}
BOX_RATINGS = tuple(RATINGS)
LARGEST, SMALLEST = np.finfo(float).max, np.finfo(float).tiny


@dataclass(frozen=True)
class Merging:
    """How boxes of one class are merged and rated.

    merge_threshold: pairs whose distance exceeds it are not merged; at least 0. In the units of
        `merge_distance`.
    merge_distance: as for `distances`.
    merge_mean: "weighted" by the predictions behind either box; "plain" takes the two as they
        stand, OverFeat's words, by which late ones weigh more.
    box_rating: of the scores of the predictions behind a box; OverFeat adds them.
    """

    merge_threshold: float = declared(help="boxes further apart than this are not merged")
    merge_distance: str = declared("centres-and-overlap", values=MERGE_DISTANCES, choice=True)
    merge_mean: str = declared("weighted", values=MERGE_MEANS, choice=True)
    box_rating: str = declared("sum", values=BOX_RATINGS, choice=True)


@dataclass(frozen=True)
class Merged:
    """Merged boxes, in canonical order of the first prediction behind each (see `merged`).

    boxes: float64 [merged, 4], corners. ratings: float64 [merged].
    members: int64 [predictions], which of the merged boxes each prediction is a part of.
    """

    boxes: np.ndarray
    ratings: np.ndarray
    members: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """How many predictions are behind each merged box, int64 [merged]."""
        return np.bincount(self.members)

    def best(self) -> tuple[np.ndarray, float]:
        """The box [4] with the highest rating, the first of equals, and its rating."""
        place = int(self.ratings.argmax())
        return self.boxes[place], float(self.ratings[place])


def merged(boxes: np.ndarray, scores: np.ndarray, merging: Merging, unit: float) -> Merged:
    """Merge the nearest two boxes, and again, until the nearest two exceed the threshold.

    boxes: float64 [n, 4], corners, as coordinates in pixels of the image. scores: float64 [n].
    unit: the longer side of the image in pixels, for the distance "literal".

    The canonical order is by xmin, ymin, xmax, ymax, then score; a merged box keeps the place of
    the first of its two. Of equal distances the pair that comes first in this order is merged, so
    the order in which predictions are given has no part in the result, to the last bit. Equal boxes
    merge first and stay where they are, except by "literal": predictions given twice double summed
    ratings and move no box.
    Raises ValueError if there are no boxes, if they or the scores are not finite, if the threshold
    is not at least 0, or for an unknown `merge_distance`.
    """
    return next(merged_at([merging.merge_threshold], boxes, scores, merging, unit))


def merged_at(
    thresholds: Sequence[float],
    boxes: np.ndarray,
    scores: np.ndarray,
    merging: Merging,
    unit: float,
) -> Iterator[Merged]:
    """What `merged` gives at each of several thresholds, which ascend, at the cost of the last.

    A greater threshold goes on where a lesser one stops. The one of `merging` has no part in it.
    Raises what `merged` does, and ValueError if thresholds do not ascend.
    """
    if not len(boxes):
        raise ValueError("no boxes to merge")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("boxes or scores that are not finite cannot be merged")
    if not min(thresholds) >= 0:
        raise ValueError(f"the threshold of merging is {min(thresholds)}, not at least 0")
    if list(thresholds) != sorted(thresholds):
        raise ValueError(f"the thresholds {list(thresholds)} do not ascend")
    order = np.lexsort((scores, *boxes.T[::-1]))
    rating = RATINGS[merging.box_rating]
    found = None
    for corners, owners in _merged_in_order(boxes[order].T, merging, thresholds, unit):
        kept, places = np.unique(owners, return_inverse=True)
        if found is None or len(kept) < len(found.boxes):  # else nothing was merged since
            members = np.empty_like(owners)
            members[order] = places
            ratings = [rating(scores[members == place]) for place in range(len(kept))]
            found = Merged(np.ascontiguousarray(corners[:, kept].T), np.array(ratings), members)
        yield found


def _merged_in_order(
    corners: np.ndarray, merging: Merging, thresholds: Sequence[float], unit: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Corners [4, n] when nothing is left to merge at each threshold, and the place of the box that
    each is a part of, int64 [n]. They are changed in place by the next threshold.

    The nearest other box of each is kept, and looked for again only where a merge has changed it,
    so that a merge costs a few rows of the table of distances and not all of it.
    """
    corners = corners.copy()
    places = np.arange(corners.shape[1])
    owners, counts, gone = places.copy(), np.ones(len(places)), np.zeros(len(places), bool)
    table = distances(corners[:, :, None], corners[:, None], merging.merge_distance, unit)
    table[places, places] = np.inf
    nearest = table.argmin(1)
    least = table[places, nearest]
    for threshold in np.minimum(thresholds, LARGEST):  # infinity stands for no distance
        while least[one := least.argmin()] <= threshold:
            other = nearest[one]
            share = 0.5
            if merging.merge_mean == "weighted":
                share = counts[other] / (counts[one] + counts[other])
            # In this form the mean of equal boxes is that box, to the last bit.
            corners[:, one] += share * (corners[:, other] - corners[:, one])
            counts[one] += counts[other]
            owners[owners == other] = one
            gone[other] = True

            row = distances(corners[:, one, None], corners, merging.merge_distance, unit)
            row[gone] = row[one] = np.inf
            table[one] = table[:, one] = row
            table[other] = table[:, other] = least[other] = np.inf
            changed = (row <= least) | (nearest == one) | (nearest == other)
            again = np.flatnonzero(changed & ~gone)  # the merged box too: `other` was its nearest
            nearest[again] = table[again].argmin(1)
            least[again] = table[again, nearest[again]]
        yield corners, owners


def distances(these: np.ndarray, those: np.ndarray, distance: str, unit: float) -> np.ndarray:
    """Distances between boxes, float64 [...], finite; OverFeat's match score.

    these, those: corners [4, ...] and [4, ...], as they broadcast; coordinates, so that a box's
        width is xmax − xmin.
    distance: "centres-and-overlap" adds the distance of the centres, over the square root of the
        mean area, to 1 − intersection over union; "overlap-only" is the latter alone; "literal"
        adds the distance of the centres to the area of the intersection, with `unit` pixels as
        the unit of length. Boxes without area overlap wholly if their centres are the same, else
        not at all.
    Raises ValueError for an unknown one.
    """
    across = (these[0] + these[2]) - (those[0] + those[2])
    down = (these[1] + these[3]) - (those[1] + those[3])
    apart = np.sqrt(across * across + down * down) / 2
    common = _area(np.maximum(these[:2], those[:2]), np.minimum(these[2:], those[2:]))
    if distance == "literal":
        return apart / unit + common / unit**2
    both = _area(these[:2], these[2:]) + _area(those[:2], those[2:])
    united = both - common
    overlap = np.divide(common, united, out=(apart == 0).astype(float), where=united > 0)
    match distance:
        case "centres-and-overlap":
            return apart / np.sqrt(np.maximum(both / 2, SMALLEST)) + (1 - overlap)
        case "overlap-only":
            return 1 - overlap
    raise ValueError(f"unknown distance of boxes {distance!r}")


def _area(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Areas [...] between two corners [2, ...]; nothing if one ends before it begins."""
    sides = np.maximum(last - first, 0)
    return sides[0] * sides[1]
