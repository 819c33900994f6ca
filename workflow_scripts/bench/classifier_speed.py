"""Classifiers of descriptors (appendix B): ours beside scikit-learn's LinearSVC, class by class.

Both minimise the same objective. Ours takes all classes together and each C from where the last one
ended, by inner products; LinearSVC is asked as its users ask it, with its own settings, for each
class and C, in as many threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workflow_scripts.vgg.transfer.combining import gram, stacked
from workflow_scripts.vgg.transfer.svm import Svm, trained

from .measuring import Line, alternate, stopwatch

LEARNT, TESTED, CLASSES = 2_000, 1_000, 20
LENGTH = 4_096  # numbers of a descriptor
COSTS = (0.25, 1.0, 4.0)
NORMALISED = "each-and-whole"
RAISED, SIGNAL, MARKED = 0.1, 0.3, 0.08  # see `descriptors`
LEAST_SAME = 0.999  # of decisions; both stop within a tolerance of the optimum


def descriptors(examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors, float32 [examples, LENGTH], and labels, int8 [examples, CLASSES].

    As behind a ReLU: a class raises a share RAISED of the numbers, by SIGNAL in the mean, over
    noise of a standard deviation of 1, and what is below 0 is 0. An example is of one class, and of
    each other with a probability of MARKED.
    """
    draw = np.random.default_rng(0)
    labels = np.where(draw.random((examples, CLASSES)) < MARKED, 1, -1).astype(np.int8)
    labels[np.arange(examples), draw.integers(0, CLASSES, examples)] = 1
    raised = SIGNAL * draw.standard_exponential((CLASSES, LENGTH), np.float32)
    raised *= draw.random((CLASSES, LENGTH)) < RAISED
    noise = draw.standard_normal((examples, LENGTH), np.float32)
    return np.maximum((labels > 0).astype(np.float32) @ raised + noise, 0), labels


def by_ours(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scores of those behind the first LEARNT at each C, float64 [C, examples, classes]."""
    products = gram([vectors], NORMALISED)
    machines = trained(products[:LEARNT, :LEARNT], labels[:LEARNT], COSTS, Svm())
    return np.stack([own.scores(products[LEARNT:, :LEARNT]) for own in machines])


def by_scikit_learn(vectors: np.ndarray, labels: np.ndarray, threads: int = 1) -> np.ndarray:
    """The same by LinearSVC, which lets go of Python's lock, so that threads serve it."""
    from joblib import parallel_config
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    vectors, found = stacked([vectors], NORMALISED, np.float32), []
    with parallel_config("threading", n_jobs=threads):
        for cost in COSTS:
            machines = OneVsRestClassifier(LinearSVC(C=cost)).fit(
                vectors[:LEARNT], labels[:LEARNT] > 0
            )
            found.append(machines.decision_function(vectors[LEARNT:]))
    return np.stack(found)


def lines(threads: int) -> list[Line]:
    """The line on classifiers. Raises RuntimeError if both do not decide alike."""
    vectors, labels = descriptors(LEARNT + TESTED)
    scores: dict[str, np.ndarray] = {}

    def seconds(name: str, work: Callable[[], np.ndarray]) -> Callable[[], float]:
        return lambda: stopwatch(lambda: scores.update({name: work()}))

    rival = "scikit-learn's LinearSVC"
    measured = alternate(
        {
            "ours": seconds("ours", lambda: by_ours(vectors, labels)),
            rival: seconds(rival, lambda: by_scikit_learn(vectors, labels, threads)),
        },
        seconds=True,
    )
    same = float(((scores["ours"] > 0) == (scores[rival] > 0)).mean())
    if not same >= LEAST_SAME:
        raise RuntimeError(f"only {same:.3%} of decisions are scikit-learn's")
    return [
        Line(
            "features",
            f"SVMs, {LEARNT:,} × {LENGTH:,}, {CLASSES} classes, {len(COSTS)} C",
            "s",
            ours=measured["ours"],
            rival=measured[rival],
            least_over_rival=1.0,
            note=f"inner products included; {same:.3%} of {scores['ours'].size:,} decisions on "
            "other examples are the same",
        )
    ]
