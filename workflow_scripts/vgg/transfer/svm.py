"""Linear support vector machines, one a class, from inner products alone (appendix B).

The paper names no solver and no loss. Here a class has the machine that scikit-learn's LinearSVC
has by default: for examples x, signs y and x̃ = (x, 1), it minimises

    ½‖w̃‖² + C Σ max(0, 1 − y w̃·x̃)²

so that the intercept, the last number of w̃, is regularised as the others are. The optimum is a sum
of examples, w̃ = Σ βᵢ x̃ᵢ, of which scores need only the inner products K + 1, and so does Newton's
method (Chapelle, "Training a support vector machine in the primal", Neural Computation 19, 2007):
on the examples inside the margin the loss is a square, and its optimum solves a linear system.
Conjugate gradients solve those of all classes at once, with one matrix product a step.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.declarations import declared
from ..core.files import InputError

SVM_LOSSES = ("squared-hinge", "hinge")
DIFFICULT = ("left-out", "negatives")
PRECISIONS = (np.float32, np.float64)
TOLERANCE = 1e-6
NOTHING = 1e-9  # what a gradient is that short of
NEWTON_STEPS = 100  # at one C; ten or so are needed
CG_STEPS = 1000  # in one of these; dozens are needed
LOOSE, TIGHT = 1e-3, 1e-9  # by how much a system's residual is made smaller
POOR = 0.5  # of a whole step; a shorter one says that the direction was too rough
SMALLEST = np.finfo(float).tiny
FURTHEST = 10.0  # of whole steps; a longer step would be rounding's
HINGE_TOLERANCE, HINGE_STEPS = 1e-4, 10_000_000  # scikit-learn's own; less than 1e-5 may never be
ROWS_AT_ONCE = 1024  # of a float32 matrix, that are taken to float64


class LacksExamples(InputError):
    """A class has no positive, or no negative, example to be learnt from.

    place: the class's, counted from 0. words: what a caller that knows its name says of it.
    """

    def __init__(self, place: int, kind: str, examples: int):
        self.place = place
        self.words = (
            f"has no {kind} example among the {examples} that it is to be learnt from; add images "
            "of that kind, or leave the class out"
        )
        super().__init__(f"class {place}, counted from 0, {self.words}")


class NotReached(RuntimeError):
    """A class's machine has not come near its optimum.

    place: the class's, counted from 0. words: what a caller that knows its name says of it.
    """

    def __init__(self, place: int, others: int, cost: float, steps: int):
        self.place = place
        also = f" (nor did {others} of the others)" if others else ""
        self.words = (
            f"has not come near its machine's optimum at C = {cost:g} in {steps} steps{also}; a "
            "smaller C may do, or inner products in float64, or of descriptors of norm 1"
        )
        super().__init__(f"class {place}, counted from 0, {self.words}")


@dataclass(frozen=True)
class Svm:
    """What machines are trained for.

    svm_loss: "squared-hinge" as above; "hinge" without the square, by scikit-learn's SVC, which
        does not regularise the intercept.
    svm_difficult: what examples of label 0 are to a class, VOC's that show it only as difficult.
    """

    svm_loss: str = declared("squared-hinge", values=SVM_LOSSES, choice=True)
    svm_difficult: str = declared("left-out", values=DIFFICULT, choice=True)


@dataclass(frozen=True)
class Machines:
    """One machine a class, trained at one C.

    coefficients: float64 [examples, classes], of the examples that they were trained on.
    intercepts: float64 [classes]; the sums of coefficients where they are regularised.
    """

    C: float
    coefficients: np.ndarray
    intercepts: np.ndarray

    def scores(self, gram: np.ndarray) -> np.ndarray:
        """Scores of other images, float64 [images, classes].

        gram: float32 or float64 [images, examples], inner products with the examples trained on.
        """
        found = np.empty((len(gram), len(self.intercepts)))
        for rows in _blocks(len(gram)):
            found[rows] = gram[rows].astype(np.float64, copy=False) @ self.coefficients
        return found + self.intercepts


def trained(
    gram: np.ndarray,
    labels: np.ndarray,
    costs: Sequence[float],
    svm: Svm,
    start: np.ndarray | None = None,
) -> Iterator[Machines]:
    """Machines at each C of `costs`, which ascend, each begun where the last one ended.

    gram: float32 or float64 [examples, examples], symmetric. labels: int8 [examples, classes], 1
    for the class, −1 for others, and 0 as `svm_difficult` says. start: coefficients
    [examples, classes] to begin with; they have no part in the result but by rounding and within
    the tolerance.

    With the squared hinge, w̃ is as near to the optimum as a millionth of its own length, so that a
    score of an image of norm 1 is within √2 · 10⁻⁶ ‖w̃‖ of the optimum's: the objective is strongly
    convex, so the gradient's norm bounds that distance. That is of the matrix as given: objective
    and gradient are computed in float64, whatever `gram` is, and float32 serves the search for
    directions. How much the digits of a float32 matrix matter grows with C and with the squared
    norms of what it was made of; up to C = 64 and norms of 1 they do not. Where coefficients become
    so large that the tolerance is lost in rounding, it is an error, never a worse result.
    Memory: beside `gram`, about a dozen arrays of float64 [classes, examples].
    The number of BLAS's threads has a part in the last digits, as in all matrix products.

    Raises ValueError for arrays or costs that are none of these, LacksExamples if a class has no
    positive or no negative one, InputError if "hinge" is asked for where scikit-learn is missing,
    and NotReached if the tolerance is not kept.
    """
    _check(gram, labels, costs, start)
    signs = labels
    if svm.svm_difficult == "negatives":
        signs = np.where(labels == 0, np.int8(-1), labels)
    _check_classes(signs)
    if svm.svm_loss == "hinge":
        for cost in costs:
            yield _by_scikit_learn(gram, signs, cost)
        return
    signs = np.ascontiguousarray(signs.T)
    coefficients = np.zeros(signs.shape) if start is None else start.T.astype(np.float64)
    largest = _largest_eigenvalue(gram)
    for cost in costs:
        _optimise(gram, signs, cost, coefficients, largest)
        yield Machines(cost, coefficients.T.copy(), coefficients.sum(1))


def _check(
    gram: np.ndarray, labels: np.ndarray, costs: Sequence[float], start: np.ndarray | None
) -> None:
    """Raise ValueError unless these are arguments of `trained`, as far as a look tells."""
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.dtype not in PRECISIONS:
        raise ValueError(f"inner products {gram.dtype} {gram.shape} are no square float matrix")
    if labels.ndim != 2 or len(labels) != len(gram) or not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError(
            f"labels {labels.shape} of {len(gram)} examples are not a row each of 1, 0 and −1"
        )
    if not len(costs) or not costs[0] > 0 or any(not a < b for a, b in pairwise(costs)):
        raise ValueError(f"the costs {list(costs)} do not ascend from above 0")
    if start is not None and start.shape != labels.shape:
        raise ValueError(f"coefficients {start.shape} to begin with, for labels {labels.shape}")


def _check_classes(signs: np.ndarray) -> None:
    """Raise LacksExamples unless each class, a column of `signs`, has examples of both kinds."""
    for sign, kind in ((1, "positive"), (-1, "negative")):
        has = (signs == sign).any(0)
        if not has.all():
            place = int(has.argmin())
            raise LacksExamples(place, kind, int(np.count_nonzero(signs[:, place])))


def _optimise(
    gram: np.ndarray, signs: np.ndarray, cost: float, coefficients: np.ndarray, largest: float
) -> None:
    """Change coefficients, float64 [classes, examples], into those of the optimum at one C.

    signs: int8 [classes, examples]. largest: no eigenvalue of K + 1 is larger.

    Where β = 2C (y − f) on the examples inside the margin and 0 elsewhere, the gradient is 0. It
    is the sum of examples weighted by what β is more than that, the surplus. Classes that have come
    so far are left out of the products to come. `before` are the examples inside the margin at the
    last step: where they stay, the next system's solution is the optimum.
    """
    rows, own, y = np.arange(len(signs)), coefficients.copy(), signs
    values = products(own, gram)
    before, accuracy = np.zeros(signs.shape, bool), np.full(len(signs), LOOSE)
    for _ in range(NEWTON_STEPS):
        inside = (y != 0) & (y * values < 1)
        surplus = own - 2 * cost * inside * (y - values)
        share = _allowed_share(gram, own, values, surplus, largest)
        left = ~(share >= 1)  # what is not a number has not come there
        coefficients[rows[~left]] = own[~left]
        if not left.any():
            return
        rows, own, y, values, before, accuracy, inside, surplus, share = (
            array[left]
            for array in (rows, own, y, values, before, accuracy, inside, surplus, share)
        )
        settled = (inside == before).all(1)
        wanted = np.where(settled, 0.5 * share, LOOSE).clip(TIGHT, accuracy)
        direction = _newton_direction(gram, inside, own, surplus, wanted, cost)
        changes = products(direction, gram)
        lines = zip(own, direction, values, changes, y, strict=True)
        steps = np.array([_step(*line, cost) for line in lines])
        own += steps[:, None] * direction
        values += steps[:, None] * changes
        accuracy = np.where(steps < POOR, np.maximum(0.01 * accuracy, TIGHT), accuracy)
        before = inside
    raise NotReached(int(rows[0]), len(rows) - 1, cost, NEWTON_STEPS)


def _allowed_share(
    gram: np.ndarray,
    coefficients: np.ndarray,
    values: np.ndarray,
    surplus: np.ndarray,
    largest: float,
) -> np.ndarray:
    """What the tolerance allows of each class's gradient, over its norm, float64 [classes].

    All are [classes, examples]. The norm is first bounded; computed only where that may tell more.
    It is 0 where ‖w̃‖² is less than 0, which rounded inner products can make it.
    """
    squares = _dots(coefficients, values)
    allowed = np.maximum(TOLERANCE * np.sqrt(np.maximum(squares, 0)), NOTHING)
    allowed[squares < -NOTHING] = 0
    norms = np.linalg.norm(surplus, axis=1)
    unsure = (norms <= allowed) & (norms * np.sqrt(largest) > allowed)
    norms *= np.sqrt(largest)
    if unsure.any():
        of_unsure = surplus[unsure]
        norms[unsure] = np.sqrt(np.abs(_dots(of_unsure, products(of_unsure, gram))))
    return allowed / np.maximum(norms, SMALLEST)


def _newton_direction(
    gram: np.ndarray,
    inside: np.ndarray,
    coefficients: np.ndarray,
    surplus: np.ndarray,
    accuracy: np.ndarray,
    cost: float,
) -> np.ndarray:
    """From coefficients to the optimum, were the same examples inside the margin, [classes, …].

    For those examples (K + 1 + 1/2C) β = y, for others β = 0. Solved by conjugate gradients until
    the residual's norm is `accuracy` [classes] times the first one, or after CG_STEPS.
    """
    ridge = 1 / (2 * cost)
    found = np.where(inside, 0, -coefficients)
    residual = -ridge * surplus
    if found.any():
        residual -= _fast_products(found, gram)
    residual *= inside
    search, squares = residual.copy(), _dots(residual, residual)
    rows, enough = np.arange(len(found)), accuracy**2 * squares
    for _ in range(CG_STEPS):
        left = squares > enough
        if not left.any():
            break
        if not left.all():
            rows, enough, inside, residual, search, squares = (
                array[left] for array in (rows, enough, inside, residual, search, squares)
            )
        image = (_fast_products(search, gram) + ridge * search) * inside
        length = (squares / _dots(search, image))[:, None]
        found[rows] += length * search
        residual -= length * image
        before, squares = squares, _dots(residual, residual)
        search = residual + (squares / before)[:, None] * search
    return found


def _dots(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Inner products of rows, [rows]."""
    return np.einsum("ij,ij->i", these, those)


def _step(
    coefficients: np.ndarray,
    direction: np.ndarray,
    values: np.ndarray,
    changes: np.ndarray,
    signs: np.ndarray,
    cost: float,
) -> float:
    """How far to go along a direction, for one class: to where its objective is least.

    All are [examples]; values and changes are (K + 1) times coefficients and direction.
    The objective is a square between the places at which an example's loss begins or ends, and its
    derivative a line that rises, continuous there: the one that crosses 0 is looked for. Where no
    example's does before the whole step, that is taken, as the system it solves is the right one;
    and where the objective does not fall, which near the optimum its last digits may hide.
    """
    slack, closing = 1 - signs * values, signs * changes  # the loss is (slack − t closing)²
    slack, closing = slack[signs != 0], closing[signs != 0]
    lossy = slack > 0
    ends = np.flatnonzero(np.where(lossy, closing > 0, closing < 0))
    places = slack[ends] / closing[ends]
    if not (places <= 1).any():
        return 1.0
    order = np.argsort(places, kind="stable")
    ends, places = ends[order], places[order]
    sign = np.where(lossy[ends], -1, 1)
    constants = _sums(closing * slack, lossy, ends, sign)
    slopes = _sums(closing * closing, lossy, ends, sign)
    constants = coefficients @ changes - 2 * cost * constants
    slopes = direction @ changes + 2 * cost * slopes
    if constants[0] >= 0:
        return 1.0
    piece = np.append(constants[:-1] + places * slopes[:-1] >= 0, True).argmax()
    falls, slope = -constants[piece], slopes[piece]
    return float(falls / slope) if falls < FURTHEST * slope else FURTHEST


def _sums(terms: np.ndarray, lossy: np.ndarray, ends: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Sums over the examples that have a loss: at first, and after each that begins or ends."""
    return np.cumsum(np.append(terms[lossy].sum(), sign * terms[ends]))


def products(vectors: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Vectors, float64 [vectors, examples], times the symmetric K + 1, in float64."""
    found = np.empty_like(vectors)
    for columns in _blocks(len(gram)):
        found[:, columns] = vectors @ gram[columns].astype(np.float64, copy=False).T
    return found + vectors.sum(1, keepdims=True)


def _fast_products(vectors: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """The same in the digits that K has."""
    return vectors.astype(gram.dtype, copy=False) @ gram + vectors.sum(1, keepdims=True)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(first, first + ROWS_AT_ONCE) for first in range(0, rows, ROWS_AT_ONCE))


def _largest_eigenvalue(gram: np.ndarray) -> float:
    """A bound of those of K + 1: the largest sum of a row's absolute values.

    Raises ValueError if a product is not finite.
    """
    largest = 0.0
    for rows in _blocks(len(gram)):
        sums = np.abs(gram[rows]).sum(1, dtype=np.float64)
        if not np.isfinite(sums).all():
            raise ValueError("inner products that are not finite")
        largest = max(largest, float(sums.max()))
    return largest + len(gram)


def _by_scikit_learn(gram: np.ndarray, signs: np.ndarray, cost: float) -> Machines:
    """Machines of the hinge loss, one class after the other.

    Each takes a copy of the matrix in float64: it is for sets of some thousand images. Scores are
    within about a thousandth of the optimum's.
    Raises InputError if scikit-learn is not installed, and NotReached if it does not get there.
    """
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise InputError(
            "svm_loss: hinge is trained by scikit-learn, which cannot be imported here "
            f"({error}); run `pip install scikit-learn`, or take squared-hinge"
        ) from error
    coefficients, intercepts = np.zeros(signs.shape), np.zeros(signs.shape[1])
    for place, own in enumerate(signs.T):
        rows = np.flatnonzero(own)
        machine = SVC(C=cost, kernel="precomputed", tol=HINGE_TOLERANCE, max_iter=HINGE_STEPS)
        with warnings.catch_warnings(action="ignore"):  # what it warns of is an error below
            machine.fit(gram[np.ix_(rows, rows)], own[rows])
        if machine.fit_status_:
            raise NotReached(place, 0, cost, HINGE_STEPS)
        coefficients[rows[machine.support_], place] = machine.dual_coef_[0]
        intercepts[place] = machine.intercept_[0]
    return Machines(cost, coefficients, intercepts)
