"""Intervals and tests against scipy, statsmodels, enumeration, exact integers and simulation."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.vgg.results import uncertainty
from workflow_scripts.vgg.results.uncertainty import (
    PairedDifference,
    error_verdict,
    holm,
    mean_interval,
    paired_difference,
    sign_flip_test,
    wilson,
)

DRAWS = 2000


def two_nets(generator, seeds, images, better=0.1, rate=0.27):
    """Outcomes of a candidate and a baseline, bool [seeds, images] each.

    An image's difficulty is the probability that the baseline gets it wrong, beta distributed with
    mean `rate`, and so that the outcomes of two seeds are correlated by 0.5. The candidate's
    probability is lower by the share `better`.
    """
    difficulty = generator.beta(rate, 1 - rate, images)
    baseline = generator.random((seeds, images)) < difficulty
    candidate = generator.random((seeds, images)) < (1 - better) * difficulty
    return candidate, baseline


def two_nets_of_one_seed(images, only_candidate, only_baseline, both):
    """Outcomes with given numbers of images that one side alone, or both, got wrong."""
    place = np.arange(images)
    candidate = place < only_candidate + both
    baseline = (place >= only_candidate) & (place < only_candidate + both + only_baseline)
    return candidate, baseline


@pytest.mark.parametrize(("errors", "images"), [(0, 400), (13500, 50000), (399, 400), (1, 3)])
def test_wilson_interval_equals_statsmodels_and_scipys(errors, images):
    found = wilson(errors, images)
    expected = proportion_confint(errors, images, 0.05, method="wilson")
    np.testing.assert_allclose(found, 100 * np.array(expected), atol=1e-9)
    expected = stats.binomtest(errors, images).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(found, [100 * expected.low, 100 * expected.high], atol=1e-9)


@pytest.mark.parametrize("errors", [0, 1, 13, 399, 400])
def test_a_mean_over_one_seed_has_wilsons_interval_to_the_last_bit(errors):
    wrong = np.arange(400) < errors
    assert mean_interval(wrong) == mean_interval(wrong[None]) == wilson(errors, 400)


def test_seeds_that_agree_add_nothing_to_a_means_interval():
    wrong = np.arange(400) < 108
    assert mean_interval(np.stack([wrong] * 3)) == pytest.approx(wilson(108, 400))


def test_a_means_interval_is_wilsons_with_the_variance_of_clustered_outcomes():
    _, wrong = two_nets(np.random.default_rng(0), 3, 500)
    fit = statsmodels.api.OLS(wrong.ravel().astype(float), np.ones(1500)).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.tile(np.arange(500), 3), "use_correction": False},
    )
    rate = wrong.mean()
    effective = rate * (1 - rate) / fit.cov_params()[0, 0]
    assert 500 < effective < 1500
    expected = proportion_confint(rate * effective, effective, 0.05, method="wilson")
    np.testing.assert_allclose(mean_interval(wrong), 100 * np.array(expected))


def test_a_means_interval_where_images_do_not_differ():
    right = np.zeros((3, 400), bool)
    assert mean_interval(right) == wilson(0, 400)
    assert mean_interval(~right) == wilson(400, 400)
    one_seed_wrong = right.copy()
    one_seed_wrong[1] = True
    assert mean_interval(one_seed_wrong) == wilson(400, 1200)


@pytest.mark.parametrize(
    ("images", "only_candidate", "only_baseline", "both"),
    [
        *[(300, 0, 0, 80), (300, 0, 0, 0), (300, 7, 0, 40), (300, 0, 7, 40), (300, 5, 5, 0)],
        *[(300, 31, 17, 60), (1000, 500, 400, 100), (50000, 2100, 2300, 9000)],
        *[(50000, 11000, 10600, 9000), (50000, 3000, 1000, 0)],
    ],
)
def test_p_of_one_seed_is_mcnemars_exact_test(images, only_candidate, only_baseline, both):
    sides = two_nets_of_one_seed(images, only_candidate, only_baseline, both)
    found = paired_difference(*sides, seed=0)
    assert found.difference == pytest.approx(100 * (only_candidate - only_baseline) / images)
    agree = images - only_candidate - only_baseline - both
    table = [[both, only_baseline], [only_candidate, agree]]
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-10)
    if only_candidate + only_baseline:
        expected = stats.binomtest(only_candidate, only_candidate + only_baseline).pvalue
        assert found.p == pytest.approx(expected, rel=1e-10)


def test_identical_outcomes_differ_by_nothing():
    same = np.array([[True, False, False], [False, False, True]])
    found = paired_difference(same, same, seed=0)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.per_seed, found.seed_low, found.seed_high) == ([0, 0], 0, 0)


@pytest.mark.parametrize(("seeds", "seed"), list(itertools.product([1, 2, 3], range(4))))
def test_p_of_several_seeds_is_the_share_of_all_sign_flips(seeds, seed):
    generator = np.random.default_rng(seed)
    candidate = generator.random((seeds, 11)) < 0.3
    baseline = generator.random((seeds, 11)) < 0.6
    differences = candidate.astype(int).sum(0) - baseline.sum(0)
    flips = np.array(list(itertools.product([-1, 1], repeat=11)))
    expected = np.mean(np.abs(flips @ differences) >= abs(differences.sum()))
    p = paired_difference(candidate, baseline, seed=0).p
    assert p == pytest.approx(expected)
    permuted = stats.permutation_test(
        (candidate.sum(0), baseline.sum(0)),
        lambda one, two, axis: one.sum(axis) - two.sum(axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert p == pytest.approx(permuted.pvalue)


def exact_sign_flip_test(differences):
    """The same p by integers: how many of the 2ⁿ choices of signs give which sum.

    Π (1 + xˢ) over the differences' sizes s has these numbers as coefficients; x is a power of two
    that is larger than any of them, so they stand side by side in one integer.
    """
    sizes = [abs(int(d)) for d in differences if d]
    bits = len(sizes) + 1
    numbers = 1
    for size in sizes:
        numbers += numbers << (bits * size)
    reached = (sum(sizes) + abs(int(sum(differences)))) // 2
    tail = 0
    for place in range(reached, sum(sizes) + 1):
        tail += (numbers >> (bits * place)) & ((1 << bits) - 1)
    return float(Fraction(2 * tail, 1 << len(sizes)))


@pytest.mark.parametrize(
    ("seeds", "images", "rate"), [(2, 300, 0.36), (3, 300, 0.42), (3, 300, 0.95), (5, 200, 0.5)]
)
def test_p_is_right_to_many_digits_however_small(seeds, images, rate):
    generator = np.random.default_rng(0)
    candidate = generator.random((seeds, images)) < 0.3
    baseline = generator.random((seeds, images)) < rate
    differences = candidate.astype(int).sum(0) - baseline.sum(0)
    expected = exact_sign_flip_test(differences)
    assert 0 < expected < 0.05
    assert sign_flip_test(differences) == pytest.approx(expected, rel=1e-10)


def test_p_on_the_full_validation_set_approaches_the_normal_distributions():
    candidate, baseline = two_nets(np.random.default_rng(0), 3, 50_000, better=0.01)
    differences = candidate.astype(int).sum(0) - baseline.sum(0)
    assert np.count_nonzero(differences) > 10_000
    # The sum moves in steps of two, hence the correction by one.
    z = (abs(differences.sum()) - 1) / np.sqrt((differences**2).sum())
    assert sign_flip_test(differences) == pytest.approx(2 * stats.norm.sf(z), rel=1e-3)


def test_equal_nets_have_p_below_a_level_at_most_as_often_as_it_says():
    generator = np.random.default_rng(0)
    p = [
        sign_flip_test(one.astype(int).sum(0) - two.sum(0))
        for one, two in (two_nets(generator, 3, 300, better=0) for _ in range(DRAWS))
    ]
    share = np.mean(np.array(p) < 0.05)
    assert 0.03 < share < 0.06


@pytest.mark.parametrize("seeds", [1, 3])
def test_interval_of_a_difference_is_the_bootstraps_over_images(seeds):
    candidate, baseline = two_nets(np.random.default_rng(1), seeds, 1000)
    found = paired_difference(candidate, baseline, seed=0)
    assert found.difference == pytest.approx(100 * (candidate.mean() - baseline.mean()))
    resampled = stats.bootstrap(
        (candidate.mean(0), baseline.mean(0)),
        lambda one, two, axis: 100 * (one.mean(axis) - two.mean(axis)),
        paired=True, vectorized=True, method="percentile", n_resamples=10_000, rng=1,
    )  # fmt: skip
    # A 2.5% quantile of 10,000 draws has a standard error of 0.027 standard deviations.
    tolerance = 4 * np.sqrt(2) * 0.027 * resampled.standard_error
    np.testing.assert_allclose(
        [found.low, found.high], resampled.confidence_interval, atol=tolerance
    )


def test_a_difference_depends_on_the_bootstraps_seed_in_its_interval_only():
    sides = two_nets(np.random.default_rng(1), 2, 1000)
    first, again, other = (paired_difference(*sides, seed) for seed in (0, 0, 1))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert replace(other, low=first.low, high=first.high) == first


def test_spread_over_seeds_is_a_t_interval_of_their_differences():
    candidate, baseline = two_nets(np.random.default_rng(2), 4, 300)
    # Seeds are to differ by more than their noise.
    candidate[2] = candidate[2] | (np.arange(300) < 20)
    found = paired_difference(candidate, baseline, seed=0)
    per_seed = [100 * (c.mean() - b.mean()) for c, b in zip(candidate, baseline, strict=True)]
    assert found.seeds == 4
    np.testing.assert_allclose(found.per_seed, per_seed)
    assert found.seed_sd == pytest.approx(np.std(per_seed, ddof=1))
    low, high = stats.t.interval(0.95, 3, np.mean(per_seed), stats.sem(per_seed))
    assert (found.seed_low, found.seed_high) == pytest.approx((low, high))
    assert found.difference == pytest.approx(np.mean(per_seed))


def test_one_seed_says_nothing_of_others():
    candidate, baseline = two_nets(np.random.default_rng(2), 1, 300)
    found = paired_difference(candidate[0], baseline[0], seed=0)
    assert found == paired_difference(candidate, baseline, seed=0)
    assert (found.seeds, found.per_seed) == (1, [found.difference])
    assert (found.seed_sd, found.seed_low, found.seed_high) == (None, None, None)


def test_a_side_without_seeds_is_compared_with_every_seed_of_the_other():
    candidate, baseline = two_nets(np.random.default_rng(3), 3, 300)
    repeated = np.stack([baseline[0]] * 3)
    found = paired_difference(candidate, baseline[0], seed=0)
    assert found == paired_difference(candidate, repeated, seed=0)
    opposite = paired_difference(baseline[:1], candidate, seed=0)
    assert opposite.per_seed == [-difference for difference in found.per_seed]
    assert opposite.p == found.p


def test_sides_that_do_not_match_are_refused():
    wrong = np.zeros((3, 10), bool)
    with pytest.raises(ValueError, match="not measured on the same images"):
        paired_difference(wrong, wrong[:, :9], seed=0)
    with pytest.raises(ValueError, match="have 3 and 2 seeds"):
        paired_difference(wrong, wrong[:2], seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_holms_adjustment_equals_statsmodels(seed):
    p = np.random.default_rng(seed).random(34) ** 3
    p[3] = p[20]  # a tie
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_holms_adjustment_of_one_test_and_of_none():
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


# Share of 2,000 draws whose interval holds the true value: 95% ± 1.5. Rates are those of top-1 and
# top-5 errors of the paper's nets, on sets between the miniature's and a tenth of ILSVRC-2012's.


def assert_covers(found, truth):
    low, high = np.array(found).T
    assert len(low) == DRAWS
    assert 0.935 <= np.mean((low <= truth) & (truth <= high)) <= 0.965


@pytest.mark.parametrize(("rate", "images"), [(0.27, 300), (0.27, 5000), (0.09, 1000)])
def test_wilsons_interval_covers_the_true_error(rate, images):
    errors = np.random.default_rng(0).binomial(images, rate, DRAWS).tolist()
    assert_covers([wilson(each, images) for each in errors], 100 * rate)


@pytest.mark.parametrize(("rate", "images"), [(0.27, 300), (0.27, 3000), (0.09, 1000)])
def test_the_interval_of_a_mean_over_correlated_seeds_covers_the_true_error(rate, images):
    generator = np.random.default_rng(0)
    sets = [two_nets(generator, 3, images, rate=rate)[1] for _ in range(DRAWS)]
    correlation = np.mean([np.corrcoef(wrong)[0, 1] for wrong in sets])
    assert correlation == pytest.approx(0.5, abs=0.02)
    assert_covers([mean_interval(wrong) for wrong in sets], 100 * rate)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "images"), [(1, 1000), (3, 400)])
def test_the_bootstraps_interval_covers_the_true_difference(seeds, images, monkeypatch):
    monkeypatch.setattr(uncertainty, "RESAMPLES", 2000)  # a fifth, for time's sake
    generator = np.random.default_rng(0)
    found = [paired_difference(*two_nets(generator, seeds, images), n) for n in range(DRAWS)]
    assert_covers([(each.low, each.high) for each in found], -0.1 * 27)


def difference(interval, seed_interval=None):
    """A difference with these two intervals, where nothing else matters."""
    seeds = 3 if seed_interval else 1
    return PairedDifference(
        *(0.0, *interval, 1.0, seeds, [], None),
        *(seed_interval or (None, None)),
    )


BELOW, ABOVE, ACROSS = (-3, -1), (1, 3), (-3, 1)
INSIDE, OVER, UNDER, ASTRIDE = (-0.4, 0.3), (0.5, 0.9), (-0.9, -0.5), (-0.4, 0.6)


@pytest.mark.parametrize(
    ("interval", "seed_interval", "p", "expected"),
    [
        (BELOW, None, 0.049, "reproduced"),
        (BELOW, None, 0.05, "inconclusive"),
        (ACROSS, None, 0.001, "inconclusive"),
        (ABOVE, None, 0.049, "not reproduced"),
        (ABOVE, None, 0.05, "inconclusive"),
        ((-3, 0), None, 0.001, "inconclusive"),
        (BELOW, BELOW, 0.001, "reproduced"),
        (BELOW, BELOW, 0.2, "inconclusive"),
        (BELOW, ACROSS, 0.001, "inconclusive"),
        (ACROSS, BELOW, 0.001, "inconclusive"),
        (ABOVE, ABOVE, 0.001, "not reproduced"),
        (ABOVE, ABOVE, 0.2, "inconclusive"),
        (ABOVE, ACROSS, 0.001, "inconclusive"),
        (BELOW, ABOVE, 0.001, "inconclusive"),
    ],
)
def test_a_lower_error_needs_all_intervals_on_one_side_and_holms_p(
    interval, seed_interval, p, expected
):
    assert error_verdict("lower_error", difference(interval, seed_interval), p, None) == expected


@pytest.mark.parametrize("p", [0.0001, 1.0])
@pytest.mark.parametrize(
    ("interval", "seed_interval", "expected"),
    [
        (INSIDE, None, "reproduced"),
        (ASTRIDE, None, "inconclusive"),
        (OVER, None, "not reproduced"),
        (UNDER, None, "not reproduced"),
        ((-0.5, 0.3), None, "inconclusive"),
        ((-0.6, 0.6), None, "inconclusive"),
        (INSIDE, INSIDE, "reproduced"),
        (INSIDE, ASTRIDE, "inconclusive"),
        (OVER, OVER, "not reproduced"),
        (OVER, ASTRIDE, "inconclusive"),
        (OVER, UNDER, "inconclusive"),
    ],
)
def test_equivalence_is_judged_by_its_margin_alone(interval, seed_interval, expected, p):
    assert error_verdict("equivalent", difference(interval, seed_interval), p, 0.5) == expected


def test_an_unknown_expectation_is_refused():
    with pytest.raises(ValueError, match="higher_error"):
        error_verdict("higher_error", difference(BELOW), 0.01, None)
