"""Bootstrap intervals against repeated examples, the binomial distribution, and simulation."""

import numpy as np
import pytest
from scipy import stats

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.transfer import intervals
from workflow_scripts.vgg.transfer.average_precision import KINDS, mean_average_precision
from workflow_scripts.vgg.transfer.intervals import (
    map_difference,
    map_interval,
    recall_difference,
    recall_interval,
    resampled_images,
)
from workflow_scripts.vgg.transfer.recall import over_splits

EVERY = np.ones(3, bool)


@pytest.fixture
def few(monkeypatch):
    """Fewer resamples, where their number does not matter."""
    monkeypatch.setattr(intervals, "RESAMPLES", 200)


def persons(generator, images, nets=1, classes=3):
    """Scores of some nets, labels, and images, of one to three persons each.

    Persons of an image resemble each other; a tenth of the labels is 0.
    """
    cluster = np.repeat(
        generator.permutation(10 * images)[:images], generator.integers(1, 4, images)
    )
    _, image = np.unique(cluster, return_inverse=True)
    labels = np.where(generator.random((images, classes)) < 0.3, 1, -1)[image].astype(np.int8)
    own = generator.random(labels.shape)
    labels[own < 0.2] *= -1
    labels[own > 0.9] = 0
    shared = generator.normal(size=(images, classes))[image]
    scores = [labels + shared + generator.normal(size=labels.shape) for _ in range(nets)]
    return scores, labels, cluster


def split_of(generator, labels, tested, right=0.8):
    """A split that tests some images of each class, and what a net says of them."""
    of_class = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    places = np.concatenate([generator.permutation(each)[:tested] for each in of_class])
    return places, said(generator, labels[places], right)


def said(generator, labels, right=0.8):
    """Predicted classes, the true one with a probability."""
    return np.where(generator.random(len(labels)) < right, labels, (labels + 1) % 5)


def caltech(generator, images=12, tested=6, splits=3, nets=1):
    """Splits of some nets, on the same places, and labels of five classes."""
    labels = generator.permutation(np.repeat(np.arange(5), images))
    first = [split_of(generator, labels, tested) for _ in range(splits)]
    others = [
        [(places, said(generator, labels[places])) for places, _ in first] for _ in range(nets - 1)
    ]
    return [first, *others], labels


def weights_of(strata, seed):
    return np.concatenate(list(resampled_images(np.asarray(strata), seed)))


def test_resamples_have_as_many_images_of_each_stratum_as_there_are(few):
    strata = np.random.default_rng(0).permutation(np.repeat([7, -2, 4], [30, 1, 12]))
    weights = weights_of(strata, 0)
    assert weights.shape == (200, 43)
    for stratum, number in ((7, 30), (-2, 1), (4, 12)):
        assert (weights[:, strata == stratum].sum(1) == number).all()
    assert (weights_of(np.zeros(43, int), 0)[:, strata == 7].sum(1) != 30).any()


def test_every_image_is_drawn_as_often_as_any_other():
    strata = np.repeat([0, 1], [40, 8])
    weights = weights_of(strata, 3)
    assert len(weights) == 2000
    for images in (40, 8):
        drawn = weights[:, strata == (images == 8)]
        counts = drawn.sum(0)
        assert stats.chisquare(counts).pvalue > 0.001
        assert drawn.var() == pytest.approx(1 - 1 / images, rel=0.05)
    # How often one image is drawn is binomial.
    observed = np.bincount(weights[:, 0], minlength=5)[:5]
    expected = 2000 * stats.binom.pmf(np.arange(5), 40, 1 / 40)
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 0.001


def test_draws_do_not_depend_on_how_many_come_at_a_time(few, monkeypatch):
    strata = np.repeat([0, 1, 2], [50, 1, 33])
    whole = weights_of(strata, 5)
    for block in (1, 200, 5000):
        monkeypatch.setattr(intervals, "BLOCK", block)
        assert next(resampled_images(strata, 5)).shape == (max(1, min(200, block // 84)), 84)
        np.testing.assert_array_equal(weights_of(strata, 5), whole)
    assert (weights_of(strata, 6) != whole).any()


def literal_maps(scores, labels, cluster, kind, seed):
    """Mean average precision of each resample, whose examples are repeated one by one."""
    images, image = np.unique(cluster, return_inverse=True)
    found = []
    for weights in weights_of(np.zeros(len(images), int), seed):
        rows = [row for row in range(len(labels)) for _ in range(weights[image[row]])]
        try:
            found.append(mean_average_precision(scores[rows], labels[rows], kind, EVERY)[0])
        except InputError:
            found.append(np.nan)
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
def test_map_intervals_are_percentiles_over_repeated_examples(kind, few):
    (candidate, baseline), labels, cluster = persons(np.random.default_rng(0), 40, nets=2)
    candidate, baseline = candidate.round(1), baseline.round(1)  # ties
    ours, theirs = (
        literal_maps(scores, labels, cluster, kind, 3) for scores in (candidate, baseline)
    )
    found = map_interval([candidate], labels, cluster, kind, EVERY, 3)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ours, [2.5, 97.5])))
    value = mean_average_precision(candidate, labels, kind, EVERY)[0]
    assert (found.value, found.per_seed) == (pytest.approx(value), [pytest.approx(value)])
    paired = map_difference([candidate], [baseline], labels, cluster, kind, EVERY, 3)
    expected = np.percentile(ours - theirs, [2.5, 97.5])
    assert (paired.low, paired.high) == pytest.approx(tuple(expected))
    tail = min((ours <= theirs).sum(), (ours >= theirs).sum())
    assert paired.p == pytest.approx(min(1, 2 * (tail + 1) / 201))
    assert 0.01 < paired.p < 1


def test_classes_that_a_resample_lacks_are_left_out_of_its_mean(few):
    (scores,), labels, cluster = persons(np.random.default_rng(1), 20)
    labels[:, 1:] = -1
    labels[4, 1] = 1
    image = np.unique(cluster, return_inverse=True)[1][4]
    assert (weights_of(np.zeros(20, int), 0)[:, image] == 0).mean() > 0.25
    expected = literal_maps(scores, labels, cluster, "area", 0)
    found = map_interval([scores], labels, cluster, "area", EVERY, 0)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))


def test_resamples_without_any_positive_are_not_used(few):
    labels = np.array([[1], [-1], [-1]], np.int8)
    scores = np.array([[0.5], [0.9], [0.1]])
    expected = literal_maps(scores.repeat(3, 1), labels.repeat(3, 1), np.arange(3), "area", 0)
    assert 0.2 < np.isnan(expected).mean() < 0.4
    found = map_interval([scores], labels, np.arange(3), "area", np.ones(1, bool), 0)
    assert (found.low, found.high) == tuple(np.nanpercentile(expected, [2.5, 97.5]))


def test_classes_that_do_not_count_change_nothing(few):
    (scores,), labels, cluster = persons(np.random.default_rng(2), 30)
    two = np.array([True, False, True])
    found = map_interval([scores], labels, cluster, "area", two, 0)
    apart = map_interval([scores[:, two]], labels[:, two], cluster, "area", two[[0, 2]], 0)
    assert found == apart
    assert found != map_interval([scores], labels, cluster, "area", EVERY, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_persons_of_one_image_are_no_independent_evidence(kind, few):
    (scores,), labels, _ = persons(np.random.default_rng(3), 60)
    images = len(labels)
    alone = map_interval([scores], labels, np.arange(images), kind, EVERY, 0)
    both = scores.repeat(2, 0), labels.repeat(2, 0)
    doubled = map_interval([both[0]], both[1], np.arange(images).repeat(2), kind, EVERY, 0)
    assert (doubled.low, doubled.high) == pytest.approx((alone.low, alone.high))
    as_examples = map_interval([both[0]], both[1], np.arange(2 * images), kind, EVERY, 0)
    ratio = (as_examples.high - as_examples.low) / (alone.high - alone.low)
    assert 0.5 < ratio < 0.85  # about √½


def test_the_order_of_examples_does_not_matter_nor_do_images_numbers(few):
    (scores,), labels, cluster = persons(np.random.default_rng(4), 40)
    found = map_interval([scores], labels, cluster, "area", EVERY, 0)
    moved = np.random.default_rng(0).permutation(len(labels))
    given = labels[moved], 7 * cluster[moved] - 3, "area", EVERY, 0
    again = map_interval([scores[moved]], *given)
    assert (again.value, again.low, again.high) == pytest.approx(
        (found.value, found.low, found.high), abs=1e-12
    )
    splits, labels = caltech(np.random.default_rng(5))
    turned = [[(places[::-1], predicted[::-1]) for places, predicted in splits[0]]]
    assert recall_interval(turned, labels, 0) == recall_interval(splits, labels, 0)


def literal_recalls(splits, labels, seed):
    """Mean class recall over splits of each resample, whose images are counted one by one."""
    tested = sorted({place for places, _ in splits for place in places.tolist()})
    found = []
    for weights in weights_of(labels[tested], seed):
        drawn = dict(zip(tested, weights.tolist(), strict=True))
        of_splits = []
        for places, predicted in splits:
            recalls = []
            for c in range(5):
                outcomes = [
                    p == c
                    for place, p in zip(places.tolist(), predicted, strict=True)
                    for _ in range(drawn[place])
                    if labels[place] == c
                ]
                if outcomes:
                    recalls.append(100 * sum(outcomes) / len(outcomes))
            of_splits.append(sum(recalls) / len(recalls))
        found.append(sum(of_splits) / len(of_splits))
    return np.array(found)


@pytest.mark.parametrize(("tested", "splits"), [(6, 3), (1, 2), (6, 1)])
def test_recall_intervals_are_percentiles_over_counted_images(tested, splits, few):
    """With one test image a class and two splits, resamples lack classes."""
    (candidate, baseline), labels = caltech(np.random.default_rng(0), 12, tested, splits, nets=2)
    ours, theirs = (literal_recalls(side, labels, 2) for side in (candidate, baseline))
    found = recall_interval([candidate], labels, 2)
    assert found.value == pytest.approx(over_splits(candidate, labels, 5).mean)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ours, [2.5, 97.5])))
    paired = recall_difference([candidate], [baseline], labels, 2)
    differences = (ours - theirs).round(9)
    assert (paired.low, paired.high) == pytest.approx(
        tuple(np.percentile(differences, [2.5, 97.5]))
    )
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    assert paired.p == pytest.approx(min(1, 2 * (tail + 1) / 201))


def test_recall_of_one_split_is_of_binomials():
    """Two classes of 50 and 20 test images, resampled within themselves."""
    labels = np.repeat([0, 1], [50, 20])
    predicted = labels.copy()
    predicted[:10], predicted[50:56] = 1, 0
    found = recall_interval([[(np.arange(70), predicted)]], labels, 0)
    assert found.value == pytest.approx((80 + 70) / 2)
    many = np.random.default_rng(1)
    sums = 100 * (many.binomial(50, 0.8, 10**6) / 50 + many.binomial(20, 0.7, 10**6) / 20) / 2
    assert (found.low, found.high) == pytest.approx(
        tuple(np.percentile(sums, [2.5, 97.5])), abs=1.0
    )
    # If the images of all classes were drawn together, it would hardly be wider or narrower here.
    assert found.high - found.low == pytest.approx(2 * 1.96 * sums.std(), rel=0.08)


def test_splits_that_share_images_are_no_independent_evidence(few):
    generator = np.random.default_rng(6)
    labels = np.repeat(np.arange(5), 40)
    places, predicted = np.arange(200), said(generator, labels)
    alone = recall_interval([[(places, predicted)]], labels, 0)
    thrice = recall_interval([[(places, predicted)] * 3], labels, 0)
    assert thrice.low == pytest.approx(alone.low)
    assert thrice.high == pytest.approx(alone.high)
    halves = [(places[k::2], predicted[k::2]) for k in range(2)]
    together = recall_interval([halves], labels, 0)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)


def test_images_that_no_split_tests_change_nothing(few):
    splits, labels = caltech(np.random.default_rng(7))
    more = np.concatenate([labels, np.repeat(np.arange(9), 4)])
    assert recall_interval(splits, more, 0) == recall_interval(splits, labels, 0)


def test_recall_within_classes_is_stratified(few):
    """Whole classes right or wrong: no resample within classes can change the mean."""
    labels = np.repeat(np.arange(5), [1, 2, 3, 30, 30])
    predicted = np.where(labels < 2, labels, 0)
    found = recall_interval([[(np.arange(66), predicted)]], labels, 0)
    assert found.value == found.low == found.high == 40


def measured(kind, generator, nets):
    """A function from lists of nets' numbers to a difference, and one to an interval."""
    if kind == "map":
        scores, *rest = persons(generator, 40, nets)
        given = *rest, "area", EVERY, 0
        return scores, map_interval, map_difference, given
    splits, labels = caltech(generator, nets=nets)
    return splits, recall_interval, recall_difference, (labels, 0)


@pytest.mark.parametrize("kind", ["map", "recall"])
def test_the_measure_is_the_mean_over_seeds_on_the_same_draws(kind, few):
    nets, interval, difference, given = measured(kind, np.random.default_rng(8), 4)
    each = [interval([net], *given).value for net in nets]
    found = interval(nets, *given)
    assert found.per_seed == pytest.approx(each)
    assert found.value == pytest.approx(np.mean(each))
    # A seed thrice says no more than once.
    assert interval(nets[:1] * 3, *given).low == pytest.approx(interval(nets[:1], *given).low)
    paired = difference(nets[:2], nets[2:], *given)
    assert paired.per_seed == pytest.approx([each[0] - each[2], each[1] - each[3]])
    assert paired.difference == pytest.approx(np.mean(paired.per_seed))
    assert paired.low < paired.difference < paired.high


@pytest.mark.parametrize("kind", ["map", "recall"])
def test_a_side_without_seeds_is_compared_with_every_seed_of_the_other(kind, few):
    nets, _, difference, given = measured(kind, np.random.default_rng(9), 4)
    found = difference(nets[:3], nets[3:], *given)
    repeated = difference(nets[:3], nets[3:] * 3, *given)
    assert found.per_seed == repeated.per_seed
    assert (found.low, found.high) == pytest.approx((repeated.low, repeated.high))
    opposite = difference(nets[3:], nets[:3], *given)
    assert opposite.per_seed == pytest.approx([-each for each in found.per_seed])
    assert (opposite.low, opposite.high) == pytest.approx((-found.high, -found.low))
    assert opposite.p == found.p


@pytest.mark.parametrize("kind", ["map", "recall"])
def test_numbers_of_seeds_that_do_not_match_are_refused(kind, few):
    nets, _, difference, given = measured(kind, np.random.default_rng(9), 5)
    with pytest.raises(ValueError, match="have 3 and 2 seeds"):
        difference(nets[:3], nets[3:], *given)
    with pytest.raises(ValueError, match="have 0 and 1 seeds"):
        difference([], nets[:1], *given)


@pytest.mark.parametrize("kind", ["map", "recall"])
def test_the_same_seed_gives_the_same_bytes(kind, few, monkeypatch):
    nets, interval, difference, given = measured(kind, np.random.default_rng(10), 2)
    once = repr(interval(nets, *given)), repr(difference(nets[:1], nets[1:], *given))
    for block in (2**20, 1, 300):
        monkeypatch.setattr(intervals, "BLOCK", block)
        again = repr(interval(nets, *given)), repr(difference(nets[:1], nets[1:], *given))
        assert again == once
    other = interval(nets, *given[:-1], 1)
    assert (other.value, other.per_seed) == (
        interval(nets, *given).value,
        interval(nets, *given).per_seed,
    )
    assert repr(other) != once[0]


@pytest.mark.parametrize("kind", ["map", "recall"])
def test_identical_systems_differ_by_nothing(kind, few):
    nets, _, difference, given = measured(kind, np.random.default_rng(11), 3)
    found = difference(nets, nets[::-1], *given)  # sums in another order
    assert found.difference == pytest.approx(0, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-12)
    assert found.p == 1


def test_p_of_a_sure_difference_is_the_least_that_resamples_can_show():
    labels = np.repeat([0, 1], 40)
    places = np.arange(80)
    right, wrong = [[(places, labels)]], [[(places, 1 - labels)]]
    found = recall_difference(right, wrong, labels, 0)
    assert (found.difference, found.low, found.high) == (100, 100, 100)
    assert found.p == 2 / 2001
    # A difference of two images in two classes of 40, resampled, is 0 in e⁻² of all.
    close = labels.copy()
    close[[3, 50]] = 1 - close[[3, 50]]
    found = recall_difference(right, [[(places, close)]], labels, 0)
    assert found.difference == pytest.approx(2.5)
    assert found.low == 0
    assert found.p == pytest.approx(2 * np.exp(-2), abs=0.04)


def test_what_cannot_be_measured_is_an_error(few):
    (scores,), labels, cluster = persons(np.random.default_rng(12), 5)
    with pytest.raises(InputError, match="no class that counts has a positive"):
        map_interval([scores], -np.abs(labels), cluster, "area", EVERY, 0)
    scores[1, 1] = np.nan
    labels[0, 1] = 1
    with pytest.raises(InputError, match="example 1 has a score that is no number"):
        map_interval([scores], labels, cluster, "area", EVERY, 0)
    none = np.zeros(0, int)
    for splits in ([[]], [[(none, none)]]):
        with pytest.raises(InputError, match="tests no image"):
            recall_interval(splits, np.array([0]), 0)


def test_arrays_that_do_not_match_are_refused(few):
    (scores,), labels, cluster = persons(np.random.default_rng(13), 9)
    with pytest.raises(ValueError, match="numbers of images"):
        map_interval([scores], labels, cluster[1:], "area", EVERY, 0)
    with pytest.raises(ValueError, match="not of one set"):
        map_interval([scores, scores[1:]], labels, cluster, "area", EVERY, 0)
    (splits,), labels = caltech(np.random.default_rng(13))
    with pytest.raises(ValueError, match="same number of splits"):
        recall_difference([splits], [splits[1:]], labels, 0)
    places, predicted = splits[0]
    shorter, twice = (places[1:], predicted[1:]), (places[[0, *range(len(places) - 1)]], predicted)
    elsewhere = splits[1]
    for other in (shorter, twice, elsewhere, (places, predicted[1:])):
        with pytest.raises(ValueError, match="not tested on the same images"):
            recall_difference([splits], [[other, *splits[1:]]], labels, 0)


def share_held(ends, truth):
    """The share of intervals that hold the truth."""
    low, high = np.array(ends).T
    return np.mean((low <= truth) & (truth <= high))


def test_intervals_of_differences_cover_the_true_one(few):
    """95% of intervals are to hold it; of 200, within 3.5 standard errors."""
    generator = np.random.default_rng(0)
    found = []
    for n in range(200):
        (candidate, baseline), *given = persons(generator, 60, nets=2)
        found.append(map_difference([candidate], [baseline], *given, "area", EVERY, n))
    assert share_held([(each.low, each.high) for each in found], 0) >= 0.90
    assert np.mean([each.p < 0.05 for each in found]) <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_map_intervals_cover_what_is_measured_on_average(kind, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    generator = np.random.default_rng(1)
    sets = [persons(generator, 150) for _ in range(500)]
    found = [map_interval(*given, kind, EVERY, n) for n, given in enumerate(sets)]
    truth = np.mean([each.value for each in found])
    assert 0.92 <= share_held([(each.low, each.high) for each in found], truth) <= 0.975


@pytest.mark.slow
def test_recall_intervals_cover_the_true_recall(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    generator = np.random.default_rng(2)
    found = []
    for n in range(500):
        (candidate, baseline), labels = caltech(generator, images=40, tested=30, nets=2)
        one = recall_interval([candidate], labels, n)
        two = recall_difference([candidate], [baseline], labels, n)
        found.append((one.low, one.high, two.low, two.high))
    found = np.array(found)
    assert 0.92 <= share_held(found[:, :2], 80) <= 0.975
    assert 0.92 <= share_held(found[:, 2:], 0) <= 0.975
