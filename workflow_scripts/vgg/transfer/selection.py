"""C is chosen by what machines reach on a validation part, and machines are trained with it.

The inner products of all images of a data set are computed once; parts, and the splits of a set
that has several, are rows and columns of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.declarations import declared
from .splits import Split
from .svm import Machines, Svm, trained

GRID = tuple(2.0**power for power in range(-6, 7))
REFITS = ("all", "learnt")
ROWS_AT_ONCE = 1024  # of the images that are given scores

# Of scores, float64 [images, classes], and labels, int8 [images, classes]; higher is better.
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Refit:
    """What is trained once C is chosen.

    svm_refit: "all" trains anew on all training images, those to choose by among them; "learnt"
        keeps what was learnt without these.
    """

    svm_refit: str = declared("all", values=REFITS, choice=True)


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and what it gives.

    C: the chosen one. figures: the measure on the validation part at each C of `grid`.
    scores: of the test images, float64 [test, classes].
    """

    C: float
    grid: tuple[float, ...]
    figures: tuple[float, ...]
    scores: np.ndarray

    @property
    def note(self) -> str | None:
        """What a reader should know of C: that a better one may lie beyond an end of the grid."""
        if len(self.grid) < 2 or self.C not in (self.grid[0], self.grid[-1]):
            return None
        end, beyond = ("least", "less") if self.grid[0] == self.C else ("greatest", "more")
        return f"C = {self.C:g} is the {end} that was tried; {beyond} may be better"


def choose(
    gram: np.ndarray,
    labels: np.ndarray,
    split: Split,
    measure: Measure,
    svm: Svm,
    refit: Refit,
    grid: Sequence[float] = GRID,
) -> Chosen:
    """Train at each C on the part to learn from, choose one, and give scores to the test images.

    gram: float32 or float64 [images, images], inner products of all images of the data set.
    labels: int8 [images, classes], as `trained` has them; `measure` is given those of the
    validation part as they are. grid: of C, ascending.

    The best C has the highest figure; of equal ones the smallest is taken.
    Memory: beside `gram`, its part for all training images, or for those learnt from, one after
    the other, and what `trained` takes.
    Raises what `trained` does, and ValueError if a part is empty, a figure is not a number, or
    `svm_refit` is unknown.
    """
    if refit.svm_refit not in REFITS:
        raise ValueError(f"unknown refit {refit.svm_refit!r}")
    if not all(map(len, (split.learn, split.validate, split.test))):
        raise ValueError("a part of the split is empty")
    best, figures = _best(gram, labels, split, measure, svm, grid)
    places = split.learn
    if refit.svm_refit == "all":
        start = np.zeros((len(split.train), labels.shape[1]))
        start[np.searchsorted(split.train, split.learn)] = best.coefficients
        places = split.train
        (best,) = trained(_part(gram, places), labels[places], [best.C], svm, start)
    scores = _scores(best, gram, split.test, places)
    return Chosen(best.C, tuple(grid), tuple(figures), scores)


def _best(
    gram: np.ndarray,
    labels: np.ndarray,
    split: Split,
    measure: Measure,
    svm: Svm,
    grid: Sequence[float],
) -> tuple[Machines, list[float]]:
    """The machines with the highest figure, the first of equals, and the figures of all."""
    best: Machines | None = None
    figures: list[float] = []
    for machines in trained(_part(gram, split.learn), labels[split.learn], grid, svm):
        scores = _scores(machines, gram, split.validate, split.learn)
        figure = float(measure(scores, labels[split.validate]))
        if math.isnan(figure):
            raise ValueError(f"at C = {machines.C:g} what is measured is not a number")
        if best is None or figure > max(figures):
            best = machines
        figures.append(figure)
    assert best is not None, "`trained` refuses an empty grid"
    return best, figures


def _part(gram: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The inner products of some images with each other, a copy."""
    return gram[np.ix_(places, places)]


def _scores(
    machines: Machines, gram: np.ndarray, images: np.ndarray, examples: np.ndarray
) -> np.ndarray:
    """Scores of images, float64 [images, classes], by machines that learnt from examples."""
    found = np.empty((len(images), len(machines.intercepts)))
    for first in range(0, len(images), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        found[rows] = machines.scores(gram[np.ix_(images[rows], examples)])
    return found
