"""Average precision against lists worked by hand, and a loop over fractions from its definition."""

from fractions import Fraction

import numpy as np
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.transfer import average_precision as module
from workflow_scripts.vgg.transfer.average_precision import (
    KINDS,
    average_precision,
    mean_average_precision,
    ranked,
    resampled,
)


def of_list(labels, kind):
    """Average precision of labels that are listed by falling score."""
    labels = np.array(labels, np.int8)
    return average_precision(-np.arange(len(labels), dtype=float), labels, kind)


@pytest.mark.parametrize(
    ("labels", "eleven_point", "area"),
    [
        ([1], 1, 1),
        ([1, 1, 1], 1, 1),
        ([1, -1], 1, 1),
        ([-1, 1], 1 / 2, 1 / 2),
        ([-1, -1, -1, 1], 1 / 4, 1 / 4),  # one positive, last
        # Precision is 1, 1/2, 1/3, 2/4, 3/5: 1 up to recall 1/3, then 3/5.
        ([1, -1, -1, 1, 1], (4 * 1 + 7 * 0.6) / 11, (1 + 0.6 + 0.6) / 3),
        # Precision falls: 1 up to recall 1/2, then 2/3.
        ([1, -1, 1], (6 * 1 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2),
        # Precision rises: 1/2, 2/3, 3/4, so 3/4 everywhere.
        ([-1, 1, 1, 1], 3 / 4, 3 / 4),
        # Label 0 is not there at all, in first place, between, and last.
        ([0, 1, -1, 0, 1, 0], (6 * 1 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2),
        ([0, 0, -1, 1], 1 / 2, 1 / 2),
        ([0, 1], 1, 1),
    ],
)
def test_lists_worked_by_hand(labels, eleven_point, area):
    assert of_list(labels, "eleven-point") == pytest.approx(eleven_point, abs=1e-15)
    assert of_list(labels, "area") == pytest.approx(area, abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [[], [-1], [0], [0, -1, -1, 0]])
def test_a_class_without_positives_has_none(labels, kind):
    assert of_list(labels, kind) is None


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_stay_in_the_order_of_the_list(kind):
    def tied(*labels):
        return average_precision(np.zeros(len(labels)), np.array(labels, np.int8), kind)

    assert tied(1, -1) == 1
    assert tied(-1, 1) == 1 / 2
    # The tie is among the second and third: the greatest score is last in the list.
    scores, labels = np.array([0.5, 0.5, 0.9]), np.array([-1, 1, 1], np.int8)
    expected = {"eleven-point": (6 * 1 + 5 * 2 / 3) / 11, "area": (1 + 2 / 3) / 2}[kind]
    assert average_precision(scores, labels, kind) == pytest.approx(expected, abs=1e-15)
    assert average_precision(np.array([-0.0, 0.0]), np.array([1, -1], np.int8), kind) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_examples_without_a_result_come_last_and_count(kind):
    scores = np.array([-np.inf, 2.0, -np.inf, np.inf])
    labels = np.array([-1, -1, 1, 1], np.int8)  # listed: 1, -1, -1, 1
    assert average_precision(scores, labels, kind) == pytest.approx(
        {"eleven-point": (6 * 1 + 5 / 2) / 11, "area": (1 + 1 / 2) / 2}[kind], abs=1e-15
    )


def test_recalls_of_tenths_are_compared_exactly():
    # 3 of 10 found, then 7 negatives, then the rest: 1 up to recall 3/10, then 10/17.
    found = of_list([1] * 3 + [-1] * 7 + [1] * 7, "eleven-point")
    assert found == pytest.approx(138 / 187, abs=1e-15)
    # 0.6 and 0.7, which are 0.6000000000000001 and 0.7000000000000001 in steps of 0.1
    found = of_list([1] * 6 + [-1] * 4 + [1] * 4, "eleven-point")
    assert found == pytest.approx((7 * 1 + 4 * 10 / 14) / 11, abs=1e-15)
    found = of_list([1] * 7 + [-1] * 3 + [1] * 3, "eleven-point")
    assert found == pytest.approx((8 * 1 + 3 * 10 / 13) / 11, abs=1e-15)


def test_every_recall_up_to_forty_positives_reaches_the_points_that_it_should():
    for positives in range(1, 41):
        for first in range(1, positives):
            # All precision after the negatives is below 1, and greatest at the end.
            found = of_list([1] * first + [-1] + [1] * (positives - first), "eleven-point")
            reached = sum(Fraction(first, positives) >= Fraction(k, 10) for k in range(11))
            expected = reached + (11 - reached) * Fraction(positives, positives + 1)
            assert found == pytest.approx(float(expected / 11), abs=1e-14)


def literal_order(scores):
    """Places by falling score: again and again the first of the greatest that are left."""
    left, order = list(range(len(scores))), []
    while left:
        best = left[0]
        for place in left:
            if scores[place] > scores[best]:
                best = place
        order.append(best)
        left.remove(best)
    return order


def literal_points(scores, labels):
    """(recall, precision) after each example in turn, as fractions; None if 0 / 0."""
    positives = sum(label == 1 for label in labels)
    points, true, false = [], 0, 0
    for place in literal_order(scores):
        true += labels[place] == 1
        false += labels[place] == -1
        if true + false:
            points.append((Fraction(true, positives), Fraction(true, true + false)))
    return points


def literal_eleven_point(points):
    total = Fraction(0)
    for k in range(11):
        reached = [precision for recall, precision in points if recall >= Fraction(k, 10)]
        total += max(reached) if reached else 0
    return total / 11


def literal_area(points):
    """VOCap: sentinels at both ends, monotone from the right, rectangles where recall rises."""
    recalls = [Fraction(0), *(recall for recall, _ in points), Fraction(1)]
    precisions = [Fraction(0), *(precision for _, precision in points), Fraction(0)]
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    return sum(
        (recalls[i] - recalls[i - 1]) * precisions[i]
        for i in range(1, len(recalls))
        if recalls[i] != recalls[i - 1]
    )


LITERAL = {"eleven-point": literal_eleven_point, "area": literal_area}


def small_case(generator, examples=None):
    """Scores with many ties and some −∞, and labels of all three kinds."""
    examples = examples or int(generator.integers(1, 25))
    scores = generator.integers(0, int(generator.integers(1, 30)), examples) / 7
    scores[generator.random(examples) < 0.1] = -np.inf
    shares = generator.dirichlet([1, 1, 1])
    return scores, generator.choice([1, 0, -1], examples, p=shares).astype(np.int8)


@pytest.mark.parametrize("kind", KINDS)
def test_average_precision_equals_a_loop_over_fractions(kind):
    generator = np.random.default_rng(0)
    found_none = ties = 0
    for _ in range(600):
        scores, labels = small_case(generator)
        found = average_precision(scores, labels, kind)
        ties += len(np.unique(scores)) < len(scores)
        if (labels == 1).any():
            expected = LITERAL[kind](literal_points(scores.tolist(), labels.tolist()))
            assert found == pytest.approx(float(expected), abs=1e-13)
        else:
            found_none += 1
            assert found is None
    assert ties > 300
    assert 10 < found_none < 200


def devkit_eleven_point(scores, labels):
    """VOCevalcls of 2007 in doubles, with MATLAB's 0:0.1:1: halves counted from both ends."""
    order = np.argsort(-scores, kind="stable")
    true, false = np.cumsum(labels[order] > 0), np.cumsum(labels[order] < 0)
    recall = true / (labels > 0).sum()
    precision = true / np.maximum(true + false, 1)
    points = [0.1 * k for k in range(6)] + [1 - 0.1 * k for k in range(4, -1, -1)]
    assert points[3] == 0.30000000000000004
    return sum(max(precision[recall >= point], default=0) for point in points) / 11


def test_the_devkit_in_doubles_differs_at_three_tenths_only():
    generator = np.random.default_rng(2)
    lower = 0
    for _ in range(1000):
        scores, labels = small_case(generator, 40)
        labels[0] = 1
        ours = average_precision(scores, labels, "eleven-point")
        theirs = devkit_eleven_point(scores, labels)
        if (labels > 0).sum() % 10:
            assert ours == pytest.approx(theirs, abs=1e-13)
        else:
            points = literal_points(scores.tolist(), labels.tolist())
            at = max(p for r, p in points if r >= Fraction(3, 10))
            beyond = max(p for r, p in points if r > Fraction(3, 10))
            assert ours - theirs == pytest.approx(float(at - beyond) / 11, abs=1e-13)
            lower += at != beyond
    assert 5 < lower < 100
    hand = np.array([1] * 3 + [-1] * 7 + [1] * 7)
    assert devkit_eleven_point(-np.arange(17.0), hand) == pytest.approx(131 / 187)


def plain_average_precision(labels):
    """Without interpolation, as scikit-learn has it: the mean precision at each positive."""
    at_positives = [
        sum(label == 1 for label in labels[: place + 1]) / (place + 1)
        for place, label in enumerate(labels)
        if label == 1
    ]
    return sum(at_positives) / len(at_positives)


def test_it_is_not_the_one_without_interpolation():
    labels = [1, -1, -1, 1, 1]
    assert plain_average_precision(labels) == pytest.approx((1 + 1 / 2 + 3 / 5) / 3)
    assert of_list(labels, "area") == pytest.approx((1 + 3 / 5 + 3 / 5) / 3)
    assert of_list(labels, "eleven-point") == pytest.approx((4 + 7 * 3 / 5) / 11)
    # Where precision only falls from positive to positive, the area is the same.
    labels = [1, 1, -1, 1, -1, -1, 1]
    assert of_list(labels, "area") == pytest.approx(plain_average_precision(labels))
    # Otherwise it is greater.
    generator = np.random.default_rng(7)
    for _ in range(100):
        labels = [1, *generator.choice([1, -1], 20).tolist()]
        assert of_list(labels, "area") >= plain_average_precision(labels) - 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_examples_matters_in_ties_only(kind):
    generator = np.random.default_rng(3)
    scores, labels = generator.normal(size=300), small_case(generator, 300)[1]
    labels[:3] = 1
    found = average_precision(scores, labels, kind)
    moved = generator.permutation(300)
    assert average_precision(scores[moved], labels[moved], kind) == found
    assert average_precision(np.exp(scores), labels, kind) == found  # nor does the scale
    rounded = scores.round()
    assert average_precision(rounded[moved], labels[moved], kind) != average_precision(
        rounded, labels, kind
    )


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repeated_examples(kind):
    generator = np.random.default_rng(4)
    nothing = 0
    for _ in range(60):
        scores, labels = small_case(generator)
        weights = generator.poisson(0.8, (8, len(labels)))
        found = resampled(ranked(scores, labels), weights, kind)
        for drawn, value in zip(weights, found.tolist(), strict=True):
            repeated = average_precision(np.repeat(scores, drawn), np.repeat(labels, drawn), kind)
            if repeated is None:
                nothing += 1
                assert np.isnan(value)
            else:
                assert value == pytest.approx(repeated, abs=1e-13)
    assert 20 < nothing < 400


@pytest.mark.parametrize("kind", KINDS)
def test_once_each_is_the_list_itself(kind):
    scores, labels = small_case(np.random.default_rng(5), 200)
    for dtype in (np.uint8, np.int16, np.int64):
        found = resampled(ranked(scores, labels), np.ones((3, 200), dtype), kind)
        assert found.tolist() == [average_precision(scores, labels, kind)] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_depends_on_how_many_resamples_are_taken_at_a_time(kind, monkeypatch):
    generator = np.random.default_rng(6)
    scores, labels = small_case(generator, 150)
    weights = generator.poisson(1, (70, 150)).astype(np.int32)
    whole = resampled(ranked(scores, labels), weights, kind)
    for block in (1, 1000):
        monkeypatch.setattr(module, "BLOCK", block)
        assert resampled(ranked(scores, labels), weights, kind).tobytes() == whole.tobytes()


def test_no_resamples_have_no_values():
    ranking = ranked(np.zeros(3), np.array([1, -1, 0], np.int8))
    assert resampled(ranking, np.ones((0, 3), int), "area").shape == (0,)


EVERY = np.ones(3, bool)


def test_the_mean_is_over_scored_classes_that_have_a_positive():
    scores = -np.arange(3.0)[:, None].repeat(4, 1)
    labels = np.array([[1, -1, -1, -1], [-1, 1, 0, 1], [1, -1, -1, -1]], np.int8)
    scored = np.array([True, True, True, False])
    mean, per_class = mean_average_precision(scores, labels, "area", scored)
    assert per_class[0] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert per_class[1:] == [50, None, None]
    assert mean == pytest.approx((per_class[0] + 50) / 2)
    mean, per_class = mean_average_precision(scores, labels, "eleven-point", scored)
    assert per_class[0] == pytest.approx(100 * (6 + 5 * 2 / 3) / 11)
    assert mean == pytest.approx((per_class[0] + 50) / 2)
    everything, per_class = mean_average_precision(scores, labels, "area", ~scored)
    assert (everything, per_class) == (50, [None, None, None, 50])


def test_no_class_with_a_positive_is_an_error():
    labels = np.array([[1, 0, -1]], np.int8)
    with pytest.raises(InputError, match="no class that counts has a positive among 1 examples"):
        mean_average_precision(np.zeros((1, 3)), labels, "area", np.array([False, True, True]))
    assert mean_average_precision(np.zeros((1, 3)), labels, "area", EVERY)[0] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_are_no_numbers_are_an_error(kind):
    scores, labels = np.zeros((4, 3)), np.ones((4, 3), np.int8)
    scores[2, 1] = np.nan
    with pytest.raises(InputError, match="example 2 has a score that is no number"):
        average_precision(scores[:, 1], labels[:, 1], kind)
    with pytest.raises(InputError, match="example 2"):
        mean_average_precision(scores, labels, kind, EVERY)
    assert mean_average_precision(scores, labels, kind, np.array([True, False, True]))[0] == 100


@pytest.mark.parametrize(
    ("scores", "labels", "told"),
    [
        (np.zeros(3), np.ones(2, np.int8), "not of one list"),
        (np.zeros((3, 1)), np.ones((3, 1), np.int8), "not of one list"),
        (np.zeros(2), np.array([1, 2]), "none of 1, 0 and −1"),
        (np.zeros(2), np.array([1, 255], np.uint8), "none of 1, 0 and −1"),
    ],
)
def test_arrays_that_are_no_list_are_refused(scores, labels, told):
    with pytest.raises(ValueError, match=told):
        average_precision(scores, labels, "area")


@pytest.mark.parametrize(
    ("labels", "scored", "told"),
    [
        (np.ones((4, 2), np.int8), EVERY, "not of one set"),
        (np.ones((4, 3), np.int8), EVERY[:2], "True or False of each"),
        (np.ones((4, 3), np.int8), np.arange(3), "True or False of each"),
    ],
)
def test_sets_that_do_not_match_are_refused(labels, scored, told):
    with pytest.raises(ValueError, match=told):
        mean_average_precision(np.zeros((4, 3)), labels, "area", scored)


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="eleven-point or area, not 'mean'"):
        average_precision(np.zeros(1), np.ones(1, np.int8), "mean")
