"""The uncertainty of errors measured on a finite test set, and of differences between them.

Two kinds of it are told apart and never mixed. Test-set noise is how the numbers would move with
other images of the same kind, for the nets that were trained: Wilson's interval, the bootstrap and
the exact tests, all over images. Seed variance is how they would move with other seeds of the
trainings, on the same images: the t interval over the seeds. With one seed nothing is said of it.

Outcomes are bool [seeds, images], True for an error, or [images] for one seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054  # 97.5% point of the standard normal distribution
ALPHA = 0.05  # of the tests, after Holm's correction
RESAMPLES = 10_000
NEGLIGIBLE = 1e-300  # probabilities below are dropped, before products of them lose their digits


def wilson(errors: int, images: int) -> tuple[float, float]:
    """Wilson's 95% interval of an error rate, in percent.

    It covers well at the small rates and small sets where the normal approximation fails.
    """
    return _wilson(errors / images, images)


def _wilson(rate: float, images: float) -> tuple[float, float]:
    z2 = Z95**2
    centre = (rate + z2 / (2 * images)) / (1 + z2 / images)
    half = Z95 * math.sqrt(rate * (1 - rate) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def mean_interval(wrong: np.ndarray) -> tuple[float, float]:
    """95% test-set interval of the mean error over seeds, in percent; Wilson's for one seed.

    The seeds' nets meet the same images, so their outcomes are clusters, one an image. Wilson's
    interval is taken with the effective number of images n·p(1−p)/s², which is n times the seeds
    over Kish's design effect: s² is the variance over images (divided by n) of each image's mean
    over seeds, p(1−p) for one seed. See Franco, Little, Louis and Slud, "Comparative study of
    confidence intervals for proportions in complex sample surveys", Journal of Survey Statistics
    and Methodology 7 (2019), and Kott, Survey Methodology 43 (2017).

    The effective number is at most that of all outcomes, and n if all are right or all wrong.
    """
    wrong = np.atleast_2d(wrong)
    seeds, images = wrong.shape
    of_image = wrong.sum(0)
    # In integers, so that the effective number is `images` to the last bit for one seed.
    errors, squares = int(of_image.sum()), int((of_image**2).sum())
    binomial = errors * (seeds * images - errors)
    spread = images * squares - errors**2
    effective = images if not binomial else seeds * images
    if spread:
        effective = min(images * binomial / spread, effective)
    return _wilson(errors / (seeds * images), effective)


@dataclass(frozen=True)
class PairedDifference:
    """Candidate's mean error over seeds minus baseline's, on the same images, in points.

    low, high: 95% test-set interval by the paired bootstrap over images. p: two-sided exact test
    on the images, McNemar's for one seed. per_seed: each seed's difference; seed_sd: their sample
    standard deviation; seed_low, seed_high: 95% t interval of their mean. The last three are None
    for one seed.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: int
    per_seed: list[float]
    seed_sd: float | None
    seed_low: float | None
    seed_high: float | None


def paired_difference(candidate: np.ndarray, baseline: np.ndarray, seed: int) -> PairedDifference:
    """Compare two sides' outcomes image by image; `seed` is the bootstrap's.

    Resampling images with replacement draws how often each value of an image's difference comes
    from a multinomial distribution, which is how it is done here. A side of one seed, whose nets
    are imported, is compared with every seed of the other.
    Raises ValueError if the sides have other images, or several seeds and not the same number.
    """
    candidate, baseline = np.atleast_2d(candidate), np.atleast_2d(baseline)
    if candidate.shape[1] != baseline.shape[1]:
        raise ValueError("the two sides were not measured on the same images")
    if len(candidate) != len(baseline) and 1 not in (len(candidate), len(baseline)):
        raise ValueError(f"the two sides have {len(candidate)} and {len(baseline)} seeds")
    differences = candidate.astype(int) - baseline.astype(int)
    seeds, images = differences.shape
    of_image = differences.sum(0)
    values, counts = np.unique(of_image, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(images, counts / images, size=RESAMPLES)
    low, high = np.percentile(100 * (draws @ values) / (seeds * images), [2.5, 97.5])
    per_seed = 100 * differences.sum(1) / images
    seed_sd, seed_low, seed_high = over_seeds(per_seed)
    return PairedDifference(
        difference=100 * int(of_image.sum()) / (seeds * images),
        low=float(low),
        high=float(high),
        p=sign_flip_test(of_image),
        seeds=seeds,
        per_seed=per_seed.tolist(),
        seed_sd=seed_sd,
        seed_low=seed_low,
        seed_high=seed_high,
    )


def over_seeds(values: np.ndarray) -> tuple[float, float, float] | tuple[None, None, None]:
    """Sample standard deviation, and 95% t interval of the mean; None for one value."""
    from scipy.stats import t

    if len(values) == 1:
        return None, None, None
    spread = float(values.std(ddof=1))
    half = float(t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return spread, float(values.mean()) - half, float(values.mean()) + half


def sign_flip_test(differences: np.ndarray) -> float:
    """Exact two-sided p of a sum of differences, int [images], each as likely of either sign.

    If two nets are equally good, exchanging their outcomes on an image changes nothing: of all 2ⁿ
    exchanges, p is the share whose sum is as far from 0. For differences of −1, 0 and 1, those of
    one seed, it is McNemar's exact test. Otherwise the numbers of positive signs among differences
    of each size are binomial, and their distributions are convolved.

    All terms are positive and added as they are, not by FFT, so p is right to ten digits or
    more however small it is, down to 10⁻²⁸⁰; less may come out as 0.
    """
    from scipy.signal import upfirdn
    from scipy.stats import binom

    total = abs(int(differences.sum()))
    if total == 0:
        return 1.0
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    # The sum is 2·W − most, where W adds the sizes of those with a positive sign.
    probabilities, smallest, most = np.ones(1), 0, int(sizes @ counts)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        positive = binom.pmf(np.arange(count + 1), count, 0.5)
        kept = np.flatnonzero(positive > NEGLIGIBLE)
        smallest += size * int(kept[0])
        probabilities = upfirdn(probabilities, positive[kept[0] : kept[-1] + 1], up=size)
    reached = (most + total) // 2 - smallest
    return min(1.0, 2 * float(probabilities[reached:].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given.

    If all differences with one below α are called real, the probability that any is not is at
    most α.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1)
    return adjusted.tolist()


def error_verdict(expect: str, found: PairedDifference, p_holm: float, margin: float | None) -> str:
    """Whether a difference of candidate − baseline bears out what a claim expects.

    Both the test-set interval and, with several seeds, the seeds' interval must say so.

    expect: "lower_error" is reproduced by intervals below 0 and refuted by intervals above, if
        p_holm, the p value that Holm has adjusted over the ledger, is below 0.05; "higher", of
        measures that are not errors, the other way round; "equivalent" by
        intervals inside ±margin, and refuted by intervals beyond one end of it. Equivalence is
        judged by its margin alone: p is of the hypothesis that there is no difference, and neither
        a small nor a large one shows that a difference is small, so Holm has no part in it.
    """
    intervals = [(found.low, found.high)]
    if found.seed_low is not None and found.seed_high is not None:
        intervals.append((found.seed_low, found.seed_high))
    if expect in ("lower_error", "higher"):
        below = p_holm < ALPHA and all(high < 0 for _, high in intervals)
        above = p_holm < ALPHA and all(low > 0 for low, _ in intervals)
        yes, no = (below, above) if expect == "lower_error" else (above, below)
    elif expect == "equivalent" and margin is not None:
        yes = all(-margin < low and high < margin for low, high in intervals)
        no = all(low >= margin for low, _ in intervals) or all(
            high <= -margin for _, high in intervals
        )
    else:
        raise ValueError(f"unknown expectation {expect!r}, or no margin for it")
    return "reproduced" if yes else "not reproduced" if no else "inconclusive"
