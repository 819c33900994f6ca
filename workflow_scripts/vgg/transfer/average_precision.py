"""Average precision as VOC's devkits have it (VOCevalcls.m, VOCap.m), for appendix B's VOC tables.

Labels are those of VOC's lists: 1, −1, or 0 for an example that shows only difficult objects of a
class, which is neither a true nor a false positive, nor one to be found. Scores are comparable
within a class only; an example without a result has −∞ and comes last, but counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.files import InputError

KINDS = ("eleven-point", "area")
STEPS = 10  # of recall between 0 and 1, for eleven points
BLOCK = 2**20  # numbers in a temporary array of resamples, 8 MiB


@dataclass(frozen=True)
class Ranking:
    """A class's counted examples, those not of label 0, by falling score.

    order: int64 [counted], their places in the list of examples.
    positive: int64 [positives], places in `order` of those that have the class.
    """

    order: np.ndarray
    positive: np.ndarray


def ranked(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """Order a class's examples, as sort(-out) does in the devkit.

    scores: float [examples]. labels: int8 [examples], of 1, 0 and −1.
    Examples of equal score stay in the order of the list, as MATLAB's sort promises, so average
    precision depends on that order where there are ties between positives and negatives.
    Raises InputError for a score that is NaN, ValueError for arrays that are none of these.
    """
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} are not of one list")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError("a label is none of 1, 0 and −1")
    if (missing := np.isnan(scores)).any():
        raise InputError(
            f"example {missing.argmax()} has a score that is no number (NaN), so it has no place "
            "in the order; describe the images and train the classifiers again"
        )
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    order = order[labels[order] != 0]
    return Ranking(order, np.flatnonzero(labels[order] > 0))


def average_precision(scores: np.ndarray, labels: np.ndarray, kind: str) -> float | None:
    """A class's average precision, in 0–1; None, never 0, if it has no positive.

    Arguments are those of `ranked`. kind: "eleven-point" is VOC-2007's, the mean over the recalls
    0, 0.1 … 1 of the greatest precision at that recall or a higher one; the list's last positive
    has recall 1, so there always is one. "area", from VOC-2010 on, is the area under that
    greatest precision over recall. Neither is scikit-learn's, which takes precision as it is.

    Recall is compared in whole numbers, 10 · found ≥ k · positives. The devkit divides, and its
    0:0.1:1 has 0.30000000000000004 in fourth place, which 3 found of 10 do not reach: there its
    number may be lower, for classes whose positives are a multiple of 10 and at this point only.
    The other ten points, 0.6 and 0.7 too, are what a division gives (in MATLAB: Octave and
    numpy's arange miss these two as well).
    Raises what `ranked` raises, and ValueError for another kind.
    """
    ones = np.ones((1, len(labels)), np.int64)
    found = float(resampled(ranked(scores, labels), ones, kind)[0])
    return None if np.isnan(found) else found


def resampled(ranking: Ranking, weights: np.ndarray, kind: str) -> np.ndarray:
    """Average precision of each resample of a class's examples, float64 [resamples], in 0–1.

    weights: int [resamples, examples], how often each resample draws each example. The result is
    that of the list in which each example is repeated that often, one copy after the other; NaN
    where no positive is drawn. Beside it, memory is that of a few arrays of BLOCK numbers, or of
    one resample if that is more.
    Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"average precision is {' or '.join(KINDS)}, not {kind!r}")
    found = np.full(len(weights), np.nan)
    if not len(ranking.positive):
        return found
    step = max(1, BLOCK // len(ranking.order))
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        found[block] = _of_block(ranking, weights[block], kind)
    return found


def _of_block(ranking: Ranking, weights: np.ndarray, kind: str) -> np.ndarray:
    """The same for a few resamples at once.

    Only places right after a positive are looked at: between them precision falls while recall
    stays. Copies of a positive raise it one after the other, so the last of them has the greatest
    from the first on. One that is not drawn leaves the numbers of what was drawn before it.
    """
    drawn = np.take(weights, ranking.order[ranking.positive], axis=1)
    right = drawn.cumsum(1, dtype=np.int64)
    listed = np.take(weights, ranking.order[: ranking.positive[-1] + 1], axis=1)
    first = np.append(0, ranking.positive[:-1] + 1)  # after each positive, up to the next
    listed = np.add.reduceat(listed, first, axis=1, dtype=np.int64).cumsum(1)
    precision = right / np.maximum(listed, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or higher
    positives = right[:, -1:]
    if kind == "area":
        found = (drawn * best).sum(1) / np.maximum(positives[:, 0], 1)
    else:
        short = [(STEPS * right < k * positives).sum(1) for k in range(STEPS + 1)]
        found = np.take_along_axis(best, np.stack(short, 1), axis=1).mean(1)
    return np.where(positives[:, 0] > 0, found, np.nan)


def mean_average_precision(
    scores: np.ndarray, labels: np.ndarray, kind: str, scored: np.ndarray
) -> tuple[float, list[float | None]]:
    """The mean over classes, and each class's average precision; all in percent.

    scores: float [examples, classes]. labels: int8 [examples, classes], of 1, 0 and −1.
    kind: as for `average_precision`. scored: bool [classes], those that count: among VOC's
    actions "other" does not.
    Classes that do not count or have no positive are None, and not in the mean.
    Raises InputError if none is left, and for a counting class what `average_precision` raises.
    """
    check_scored(scores, labels, scored)
    per_class: list[float | None] = []
    for column, counts in enumerate(scored):
        found = average_precision(scores[:, column], labels[:, column], kind) if counts else None
        per_class.append(None if found is None else 100 * found)
    known = [found for found in per_class if found is not None]
    if not known:
        raise InputError(no_positives(len(labels)))
    return float(np.mean(known)), per_class


def check_scored(scores: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> None:
    """Raise ValueError unless these are arguments of `mean_average_precision`, by their shapes."""
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} are not of one set")
    if scored.dtype != bool or scored.shape != scores.shape[1:]:
        raise ValueError("scored is to say True or False of each class")


def no_positives(examples: int) -> str:
    """The message of a set on which no average precision can be measured."""
    return (
        f"no class that counts has a positive among {examples:,} examples, so there is no mean "
        "average precision; use a set with labels, or correct its lists"
    )
