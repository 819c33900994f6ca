"""Made descriptors of small data sets, and classifiers of them by scipy's optimiser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from workflow_scripts.vgg.data.examples import Examples
from workflow_scripts.vgg.transfer.descriptor_files import write_descriptors

PARTS = ("train", "val", "test")


def images_of(
    classes: Sequence[str], counts: Sequence[int] = (30, 20, 16), seed: int = 0, zeros: float = 0.0
) -> Examples:
    """Images of several classes each, in parts of these sizes. zeros: share of labels 0."""
    draw = np.random.default_rng(seed)
    number = sum(counts)
    names = [f"i{place:04d}" for place in range(number)]
    labels = np.where(draw.random((number, len(classes))) < 0.35, 1, -1).astype(np.int8)
    labels[draw.random(labels.shape) < zeros] = 0
    parts = draw.permutation(np.repeat(PARTS, counts)).tolist()
    return Examples(
        ids=names,
        image_ids=names,
        images=np.arange(number),
        parts=parts,
        labels=labels,
        known=np.ones(number, bool),
        boxes=None,
        classes=[*classes],
        scored=np.ones(len(classes), bool),
    )


def persons_of(classes: Sequence[str], images: int = 60, seed: int = 0) -> Examples:
    """One to three persons an image, one class each, of which the first does not count."""
    draw = np.random.default_rng(seed)
    of_image = draw.integers(1, 4, images)
    parts = draw.permutation(np.resize(np.repeat(PARTS, (3, 2, 1)), images))
    persons = [(image, person + 1) for image in range(images) for person in range(of_image[image])]
    place = np.array([image for image, _ in persons])
    own = draw.integers(len(classes), size=len(persons))
    return Examples(
        ids=[f"p{image:03d}:{person}" for image, person in persons],
        image_ids=[f"p{image:03d}" for image in range(images)],
        images=place,
        parts=parts[place].tolist(),
        labels=np.where(own[:, None] == np.arange(len(classes)), 1, -1).astype(np.int8),
        known=np.ones(len(persons), bool),
        boxes=np.tile([1.0, 2.0, 30.0, 40.0], (len(persons), 1)),
        classes=[*classes],
        scored=np.arange(len(classes)) > 0,
    )


def folders_of(sizes: dict[str, int]) -> Examples:
    """One class an image, whose parts are drawn."""
    names = sorted(f"{name}/{place:04d}" for name in sizes for place in range(sizes[name]))
    classes = sorted(sizes)
    own = np.array([classes.index(name.split("/")[0]) for name in names])
    return Examples(
        ids=names,
        image_ids=names,
        images=np.arange(len(names)),
        parts=[""] * len(names),
        labels=np.where(own[:, None] == np.arange(len(classes)), 1, -1).astype(np.int8),
        known=np.ones(len(names), bool),
        boxes=None,
        classes=classes,
        scored=np.ones(len(classes), bool),
    )


def drawn(labels: np.ndarray, dimensions: int, spread: float, seed: int) -> np.ndarray:
    """Descriptors, not negative, float32 [rows, dimensions], that labels have a part in."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(labels.shape[1], dimensions))
    values = (labels > 0) @ centres + spread * draw.normal(size=(len(labels), dimensions))
    return np.maximum(values + 0.5, 0).astype(np.float32)


def said_of(model: str, method: str, Q: int) -> dict:
    """What a file of descriptors says of itself."""
    return {"model": model, "method": method, "Q": Q, "weights_sha256": f"{ord(model[0]):x}" * 32}


def written(path: Path, ids: Sequence[str], values: np.ndarray, *said) -> str:
    """A file of descriptors. said: model, region and Q."""
    write_descriptors(path, ids, values, said_of(*said))
    return str(path)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows over their norms, zeros as they are."""
    norms = np.sqrt((rows**2).sum(1, keepdims=True))
    return rows / np.where(norms > 0, norms, 1)


def represented(sources: Iterable[Sequence[np.ndarray]], pooling: str, each: bool) -> np.ndarray:
    """Representations, float64, of norm 1. sources: of each net and region, an array a scale."""
    parts = []
    for scales in sources:
        own = [np.asarray(scale, np.float64) for scale in scales]
        if pooling == "mean":
            own = [np.mean(own, axis=0)]
        elif pooling == "max":
            own = [np.max(own, axis=0)]
        parts += own
    return unit(np.hstack([unit(part) for part in parts] if each else parts))


def machine(x: np.ndarray, y: np.ndarray, cost: float) -> np.ndarray:
    """Weights, and the intercept behind them, of the squared hinge; rows of y 0 have no part."""
    return _machine(x[y != 0].tobytes(), y[y != 0].astype(float).tobytes(), x.shape[1], cost)


@cache  # since tests look at the same machines from several sides
def _machine(x: bytes, y: bytes, dimensions: int, cost: float) -> np.ndarray:
    signs = np.frombuffer(y)
    lifted = np.hstack([np.frombuffer(x).reshape(-1, dimensions), np.ones((len(signs), 1))])

    def objective(w):
        short = np.maximum(1 - signs * (lifted @ w), 0)
        return w @ w / 2 + cost * short @ short, w - 2 * cost * lifted.T @ (signs * short)

    # Not L-BFGS, whose LAPACK waits for its threads where all processors are busy.
    start = np.zeros(lifted.shape[1])
    return minimize(objective, start, method="BFGS", jac=True, options={"gtol": 1e-8}).x


def scores_by(x: np.ndarray, labels: np.ndarray, learnt: np.ndarray, cost: float) -> np.ndarray:
    """Scores of all rows, float64 [rows, classes], by machines that learnt from some."""
    weights = [machine(x[learnt], own, cost) for own in labels[learnt].T]
    return np.hstack([x, np.ones((len(x), 1))]) @ np.stack(weights, 1)


def area(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision in percent as the area under the greatest precision at each recall."""
    ranked = sorted(
        (place for place in range(len(scores)) if labels[place] != 0),
        key=lambda place: -scores[place],
    )
    found, precisions = 0, []
    for count, place in enumerate(ranked, 1):
        if labels[place] > 0:
            found += 1
            precisions.append(found / count)
    return 100 * float(np.mean([max(precisions[place:]) for place in range(len(precisions))]))


def eleven(scores: np.ndarray, labels: np.ndarray) -> float:
    """The same of the recalls 0, 0.1 … 1."""
    ranked = sorted(
        (place for place in range(len(scores)) if labels[place] != 0),
        key=lambda place: -scores[place],
    )
    positives, found, curve = sum(labels > 0), 0, []
    for count, place in enumerate(ranked, 1):
        found += labels[place] > 0
        curve.append((10 * found, found / count))
    best = [max(p for ten, p in curve if ten >= k * positives) for k in range(11)]
    return 100 * float(np.mean(best))


def mean_of(precision, scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean over classes that have a positive."""
    has = np.flatnonzero((labels > 0).any(0))
    return float(np.mean([precision(scores[:, c], labels[:, c]) for c in has]))


def recall(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean class recall in percent."""
    right, own = scores.argmax(1) == labels.argmax(1), labels.argmax(1)
    return 100 * float(np.mean([right[own == c].mean() for c in np.unique(own)]))
