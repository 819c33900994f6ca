"""The uncertainty of errors measured on a finite test set, and of differences between them.

All of it is test-set noise: how the numbers would move with other images of the same kind. It says
nothing of how they would move with another training seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054  # 97.5% point of the standard normal distribution
RESAMPLES = 10_000


def wilson(errors: int, images: int) -> tuple[float, float]:
    """Wilson's 95% interval of an error rate, in percent.

    It covers well at the small rates and small sets where the normal approximation fails.
    """
    rate, z2 = errors / images, Z95**2
    centre = (rate + z2 / (2 * images)) / (1 + z2 / images)
    half = Z95 * math.sqrt(rate * (1 - rate) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


@dataclass(frozen=True)
class PairedDifference:
    """Candidate's error minus baseline's on the same images, in percentage points.

    low, high: 95% interval by the paired bootstrap. p: two-sided exact McNemar test.
    """

    difference: float
    low: float
    high: float
    p: float


def paired_difference(candidate: np.ndarray, baseline: np.ndarray, seed: int) -> PairedDifference:
    """Compare two nets' outcomes, bool [images] with True for an error, image by image.

    Resampling images with replacement draws the numbers of those that only the candidate and only
    the baseline got wrong from a multinomial distribution, which is how it is done here.
    """
    from scipy.stats import binomtest

    if candidate.shape != baseline.shape:
        raise ValueError("the two sides were not measured on the same images")
    images = len(candidate)
    only_candidate = int(np.sum(candidate & ~baseline))
    only_baseline = int(np.sum(baseline & ~candidate))
    agree = images - only_candidate - only_baseline
    draws = np.random.default_rng(seed).multinomial(
        images, np.array([only_candidate, only_baseline, agree]) / images, size=RESAMPLES
    )
    low, high = np.percentile(100 * (draws[:, 0] - draws[:, 1]) / images, [2.5, 97.5])
    discordant = only_candidate + only_baseline
    return PairedDifference(
        difference=100 * (only_candidate - only_baseline) / images,
        low=float(low),
        high=float(high),
        p=float(binomtest(only_candidate, discordant).pvalue) if discordant else 1.0,
    )


def verdict(expect: str, low: float, high: float, margin: float | None) -> str:
    """Whether an interval of candidate − baseline bears out what a claim expects.

    expect: "lower_error" is reproduced by an interval below 0 and refuted by one above;
        "equivalent" by one inside ±margin, and refuted by one outside it.
    """
    if expect == "lower_error":
        yes, no = high < 0, low > 0
    elif expect == "equivalent":
        yes, no = -margin < low and high < margin, low >= margin or high <= -margin
    else:
        raise ValueError(f"unknown expectation {expect!r}")
    return "reproduced" if yes else "not reproduced" if no else "inconclusive"
