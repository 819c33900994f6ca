"""Test-set noise of mean average precision and of mean class recall, by a bootstrap over images.

Neither measure is a mean over images, so `results/uncertainty.py`, whose outcomes are errors of
images, has nothing for them. Images are drawn, not examples: the persons of one image come
together. Draws are a function of the seed and of the images alone, so that all systems, and all
seeds of their trainings, are measured on the same ones; the interval is the percentiles' of what
is measured. A class of which a resample has nothing to find is not in that resample's mean; a
resample in which this leaves no class is not used.

What is taken as given: the trained nets and classifiers, and with Caltech the splits. How numbers
move with other seeds or splits is apart, and for the caller: `per_seed`, and `SplitRecalls.sd`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.files import InputError
from .average_precision import BLOCK, check_scored, no_positives, ranked, resampled
from .recall import Predicted

RESAMPLES = 2000
LEVEL = (2.5, 97.5)  # percentiles
ROUNDING = 1e-9  # points; a resampled difference nearer to 0 than this is none


@dataclass(frozen=True)
class Interval:
    """A system's measure, its mean over seeds, in percent.

    low, high: 95% test-set interval. per_seed: the measure of each seed.
    """

    value: float
    low: float
    high: float
    per_seed: list[float]


@dataclass(frozen=True)
class Difference:
    """Candidate's mean measure over seeds minus baseline's, on the same images, in points.

    low, high: 95% test-set interval by the paired bootstrap. p: two-sided, from the share of
    resamples on the other side of 0; 2 / (RESAMPLES + 1) at least. per_seed: each seed's
    difference. Seeds' own statistics are for the caller.
    """

    difference: float
    low: float
    high: float
    p: float
    per_seed: list[float]


@dataclass(frozen=True)
class _Measure:
    """What is measured on resampled images.

    strata: int [images]; a resample has as many images of each stratum as there are.
    of: from weights, int32 [resamples, images], to the measure in percent, float64
        [nets, resamples]; NaN where there is none.
    """

    strata: np.ndarray
    of: Callable[[np.ndarray], np.ndarray]


def map_interval(
    system: Sequence[np.ndarray],
    labels: np.ndarray,
    cluster: np.ndarray,
    kind: str,
    scored: np.ndarray,
    seed: int,
) -> Interval:
    """Mean average precision of a system, with its interval.

    system: scores of one net a seed, float [examples, classes] each. labels: int8
    [examples, classes], kind and scored: as for `mean_average_precision`.
    cluster: int [examples], each example's image, by any numbers. seed: the bootstrap's.
    Raises InputError for a score that is NaN, or if no class that counts has a positive.
    """
    return _interval(_map_measure(system, labels, cluster, kind, scored), seed)


def map_difference(
    candidate: Sequence[np.ndarray],
    baseline: Sequence[np.ndarray],
    labels: np.ndarray,
    cluster: np.ndarray,
    kind: str,
    scored: np.ndarray,
    seed: int,
) -> Difference:
    """Compare two systems' mean average precision; arguments are those of `map_interval`.

    A side of one seed, whose nets are imported, is compared with every seed of the other.
    Raises ValueError for several seeds that are not as many, and what `map_interval` raises.
    """
    sides = len(candidate), len(baseline)
    measure = _map_measure([*candidate, *baseline], labels, cluster, kind, scored)
    return _difference(measure, *sides, seed)


def recall_interval(
    system: Sequence[Sequence[Predicted]], labels: np.ndarray, seed: int
) -> Interval:
    """Mean class recall of a system, its mean over splits, with its interval.

    system: for each seed its splits, pairs of test places and predicted classes as for
    `over_splits`; all seeds have the same test places, in whatever order.
    labels: int [images], of the whole data set. seed: the bootstrap's.
    Images that any split tests are drawn, within their class. One that is drawn counts in each
    split that tests it, so that splits which share images are no independent evidence.
    Raises InputError if there is no split or one tests nothing.
    """
    return _interval(_recall_measure(system, labels), seed)


def recall_difference(
    candidate: Sequence[Sequence[Predicted]],
    baseline: Sequence[Sequence[Predicted]],
    labels: np.ndarray,
    seed: int,
) -> Difference:
    """Compare two systems' mean class recall; arguments are those of `recall_interval`.

    A side of one seed, whose nets are imported, is compared with every seed of the other.
    Raises ValueError for other numbers of seeds, or splits with other test places; and what
    `recall_interval` raises.
    """
    sides = len(candidate), len(baseline)
    return _difference(_recall_measure([*candidate, *baseline], labels), *sides, seed)


def resampled_images(strata: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """RESAMPLES draws of images with replacement, int32 [a few resamples, images] at a time.

    strata: int [images]; images are drawn within their stratum, as many as are in it.
    Yields how often each resample has each image. Nothing depends on how many come at a time.
    """
    images = len(strata)
    members = np.argsort(strata, kind="stable")
    _, starts, sizes = np.unique(strata[members], return_index=True, return_counts=True)
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK // images)
    for done in range(0, RESAMPLES, step):
        number = min(step, RESAMPLES - done)
        drawn = members[start + generator.integers(size, size=(number, images))]
        drawn += images * np.arange(number)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=number * images)
        yield counts.astype(np.int32).reshape(number, images)


def _interval(measure: _Measure, seed: int) -> Interval:
    per_seed = _once(measure)
    low, high = _percentiles(_bootstrap(measure, seed).mean(0))
    return Interval(float(per_seed.mean()), low, high, per_seed.tolist())


def _difference(measure: _Measure, candidates: int, baselines: int, seed: int) -> Difference:
    """Compare the first nets of a measure with the others."""
    if 0 in (candidates, baselines) or len({candidates, baselines, 1}) > 2:
        raise ValueError(f"the two sides have {candidates} and {baselines} seeds")
    nets = _once(measure)
    per_seed = nets[:candidates] - nets[candidates:]
    drawn = _bootstrap(measure, seed)
    differences = drawn[:candidates].mean(0) - drawn[candidates:].mean(0)
    low, high = _percentiles(differences)
    return Difference(float(per_seed.mean()), low, high, _two_sided(differences), per_seed.tolist())


def _once(measure: _Measure) -> np.ndarray:
    """Each net's measure on the images themselves, float64 [nets]."""
    return measure.of(np.ones((1, len(measure.strata)), np.int32))[:, 0]


def _bootstrap(measure: _Measure, seed: int) -> np.ndarray:
    """Each net's measure on each resample, float64 [nets, resamples used]."""
    drawn = [measure.of(weights) for weights in resampled_images(measure.strata, seed)]
    found = np.concatenate(drawn, axis=1)
    return found[:, ~np.isnan(found).any(0)]


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, LEVEL)
    return float(low), float(high)


def _two_sided(differences: np.ndarray) -> float:
    """Twice the share of resampled differences on the rarer side of 0, or at 0; at most 1.

    The measured set is counted as one more resample, so p is never 0.
    """
    rarer = min((differences <= ROUNDING).sum(), (differences >= -ROUNDING).sum())
    return min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1))


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of values that are not NaN; NaN if all are."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0).sum(0)
    counts = known.sum(0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _map_measure(
    nets: Sequence[np.ndarray],
    labels: np.ndarray,
    cluster: np.ndarray,
    kind: str,
    scored: np.ndarray,
) -> _Measure:
    for scores in nets:
        check_scored(scores, labels, scored)
    if cluster.shape != labels.shape[:1]:
        raise ValueError(f"{cluster.shape} numbers of images are not of {len(labels)} examples")
    columns = [c for c in np.flatnonzero(scored) if (labels[:, c] > 0).any()]
    if not columns:
        raise InputError(no_positives(len(labels)))
    rankings = [[ranked(scores[:, c], labels[:, c]) for c in columns] for scores in nets]
    images, image = np.unique(cluster, return_inverse=True)

    def of(weights: np.ndarray) -> np.ndarray:
        examples = np.take(weights, image, axis=1)
        of_nets = [
            np.stack([resampled(ranking, examples, kind) for ranking in net]) for net in rankings
        ]
        return 100 * np.stack([_mean_of_known(of_classes) for of_classes in of_nets])

    return _Measure(np.zeros(len(images), np.int64), of)


@dataclass(frozen=True)
class _TestSet:
    """One split's test images, by class.

    places: int64 [tests], among the images that any split tests; starts: int64 [classes that have
    one], where each class begins in `places`; right: bool [nets, tests].
    """

    places: np.ndarray
    starts: np.ndarray
    right: np.ndarray

    def recalls(self, weights: np.ndarray) -> np.ndarray:
        """Mean class recall of each net on each resample, float64 [nets, resamples], in 0–1."""
        drawn = np.take(weights, self.places, axis=1)
        totals = np.add.reduceat(drawn, self.starts, axis=1)
        counts = np.where(totals > 0, totals, np.nan)
        rights = [np.add.reduceat(drawn * right, self.starts, axis=1) for right in self.right]
        return np.stack([_mean_of_known((right / counts).T) for right in rights])


def _recall_measure(nets: Sequence[Sequence[Predicted]], labels: np.ndarray) -> _Measure:
    numbers = {len(splits) for splits in nets}
    if len(numbers) != 1:
        raise ValueError("not all systems and seeds have the same number of splits")
    if numbers == {0} or not all(len(places) for places, _ in nets[0]):
        raise InputError("there is no split, or one that tests no image; add images to test on")
    tested = np.unique(np.concatenate([places for places, _ in nets[0]]))
    of_one_split = list(zip(*nets, strict=True))
    tests = [_test_set(splits, labels, tested) for splits in of_one_split]

    def of(weights: np.ndarray) -> np.ndarray:
        return 100 * np.mean([test.recalls(weights) for test in tests], axis=0)

    return _Measure(labels[tested], of)


def _test_set(splits: Sequence[Predicted], labels: np.ndarray, tested: np.ndarray) -> _TestSet:
    """One split as all nets were tested on it."""
    places = np.unique(splits[0][0])
    right = []
    for of_net, predicted in splits:
        if len(of_net) != len(predicted) or not np.array_equal(np.sort(of_net), places):
            raise ValueError("nets were not tested on the same images of a split, each once")
        right.append((predicted == labels[of_net])[np.argsort(of_net)])
    by_class = np.argsort(labels[places], kind="stable")
    places = places[by_class]
    _, starts = np.unique(labels[places], return_index=True)
    return _TestSet(np.searchsorted(tested, places), starts, np.stack(right)[:, by_class])
