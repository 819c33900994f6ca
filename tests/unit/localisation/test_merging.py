"""Greedy merging against a plain loop over all pairs; what must hold whatever the choices are."""

import itertools
import math

import numpy as np
import pytest

from workflow_scripts.bench.merging_speed import all_pairs_each_time, predictions
from workflow_scripts.vgg.localisation.merging import (
    BOX_RATINGS,
    MERGE_DISTANCES,
    MERGE_MEANS,
    Merging,
    distances,
    merged,
)

UNIT = 500.0
THRESHOLDS = (0.0, 0.1, 0.4, 0.9, math.inf)


def drawn(n, seed, spread=60.0):
    """Boxes float64 [n, 4] around two objects, and scores [n]."""
    generator = np.random.default_rng(seed)
    objects = np.array([[60, 50, 260, 240], [240, 120, 460, 330]], float)
    boxes = objects[generator.integers(2, size=n)] + generator.normal(size=(n, 4)) * spread
    return boxes, generator.random(n)


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def distance_of(one, other, distance):
    """The distance of two boxes, lists of four numbers."""
    across = (one[0] + one[2]) / 2 - (other[0] + other[2]) / 2
    down = (one[1] + one[3]) / 2 - (other[1] + other[3]) / 2
    apart = math.sqrt(across**2 + down**2)
    first = [max(one[0], other[0]), max(one[1], other[1])]
    common = area([*first, min(one[2], other[2]), min(one[3], other[3])])
    both = area(one) + area(other)
    if distance == "literal":
        return apart / UNIT + common / UNIT**2
    far = 1 - common / (both - common)
    return far if distance == "overlap-only" else apart / math.sqrt(both / 2) + far


def by_all_pairs(boxes, scores, merging):
    """Merged boxes, each with its members: every pair looked at anew before each merge."""
    order = sorted(range(len(boxes)), key=lambda place: (*boxes[place], scores[place]))
    found = [(boxes[place].tolist(), [place]) for place in order]
    while len(found) > 1:
        pairs = {
            (i, j): distance_of(found[i][0], found[j][0], merging.merge_distance)
            for i, j in itertools.combinations(range(len(found)), 2)
        }
        i, j = min(pairs, key=pairs.__getitem__)  # the first of equals
        if pairs[i, j] > merging.merge_threshold:
            break
        members = found[i][1] + found[j][1]
        if merging.merge_mean == "weighted":
            box = [sum(boxes[place][k] for place in members) / len(members) for k in range(4)]
        else:
            box = [(found[i][0][k] + found[j][0][k]) / 2 for k in range(4)]
        found[i] = box, members
        del found[j]
    return found


RATE = {"sum": sum, "mean": lambda scores: sum(scores) / len(scores), "max": max}


@pytest.mark.parametrize("rating", BOX_RATINGS)
@pytest.mark.parametrize("mean", MERGE_MEANS)
@pytest.mark.parametrize("distance", MERGE_DISTANCES)
def test_merging_equals_a_plain_loop_over_all_pairs(distance, mean, rating):
    merges = set()
    for seed, n in enumerate((1, 2, 3, 5, 8, 12, 12)):
        boxes, scores = drawn(n, seed)
        for threshold in THRESHOLDS:
            merging = Merging(threshold, distance, mean, rating)
            found = merged(boxes, scores, merging, UNIT)
            expected = by_all_pairs(boxes, scores, merging)
            np.testing.assert_allclose(found.boxes, [box for box, _ in expected], rtol=1e-12)
            groups = [sorted(np.flatnonzero(found.members == k)) for k in range(len(expected))]
            assert groups == [sorted(members) for _, members in expected]
            assert found.counts.tolist() == [len(members) for _, members in expected]
            ratings = [RATE[rating](scores[members].tolist()) for _, members in expected]
            np.testing.assert_allclose(found.ratings, ratings, rtol=1e-12)
            best = int(np.argmax(ratings))
            assert found.best() == (pytest.approx(expected[best][0]), pytest.approx(ratings[best]))
            if n == 12:
                merges.add(n - len(expected))
    assert len(merges) >= 3, "the thresholds must make a difference"


@pytest.mark.parametrize("distance", MERGE_DISTANCES)
def test_ties_go_to_the_first_pair(distance):
    """Boxes on a coarse grid and halves of sums: all is exact, and there are many ties."""
    for seed in range(30):
        generator = np.random.default_rng(seed)
        first = generator.integers(0, 3, (10, 2)) * 32.0
        boxes = np.concatenate([first, first + 64 * generator.integers(1, 3, (10, 2))], axis=1)
        scores = generator.random(10)
        for threshold in THRESHOLDS:
            merging = Merging(threshold, distance, "plain")
            found = merged(boxes, scores, merging, UNIT)
            assert found.boxes.tolist() == [b for b, _ in by_all_pairs(boxes, scores, merging)]


def test_the_first_of_equal_pairs_by_hand():
    boxes = np.array([[x, 0, x + 10, 10] for x in (12, 0, 8, 4)], float)
    found = merged(boxes, np.array([1.0, 1, 1, 5]), Merging(1.0), UNIT)
    # Of three equal pairs the boxes at 0 and 4; then those at 8 and 12, nearer than 2 and 8.
    assert found.boxes.tolist() == [[2, 0, 12, 10], [10, 0, 20, 10]]
    assert found.members.tolist() == [1, 0, 1, 0]
    box, rating = found.best()
    assert (box.tolist(), rating) == ([2, 0, 12, 10], 6)


def same(one, other):
    """Whether two results are the same to the last bit, but for the order of the predictions."""
    return one.boxes.tobytes() == other.boxes.tobytes() and (
        one.ratings.tobytes() == other.ratings.tobytes()
    )


def every_choice(threshold, names=MERGE_DISTANCES):
    for distance, mean, rating in itertools.product(names, MERGE_MEANS, BOX_RATINGS):
        yield Merging(threshold, distance, mean, rating)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_order_of_predictions_has_no_part_in_the_result(threshold):
    boxes, scores = drawn(40, 1)
    boxes[30:] = boxes[:10]  # with scores of their own
    for merging in every_choice(threshold):
        found = merged(boxes, scores, merging, UNIT)
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(40)
            again = merged(boxes[order], scores[order], merging, UNIT)
            assert same(found, again)
            regrouped = [set(order[again.members == k]) for k in range(len(again.boxes))]
            groups = [set(np.flatnonzero(found.members == k)) for k in range(len(found.boxes))]
            assert regrouped == groups


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("alike", [0, 5], ids=["all differ", "some boxes are equal"])
def test_two_identical_nets_double_summed_ratings_and_move_no_box(threshold, alike):
    boxes, scores = drawn(30, 2)
    boxes[:alike] = boxes[10]
    boxes[20:22, 2:] = boxes[20:22, :2] - 1  # without area
    twice = np.concatenate([boxes, boxes]), np.concatenate([scores, scores])
    for merging in every_choice(threshold, ("centres-and-overlap", "overlap-only")):
        one, both = merged(boxes, scores, merging, UNIT), merged(*twice, merging, UNIT)
        assert both.boxes.tobytes() == one.boxes.tobytes()
        factor = 2 if merging.box_rating == "sum" else 1
        assert both.ratings.tobytes() == (factor * one.ratings).tobytes()
        assert both.counts.tolist() == (2 * one.counts).tolist()


def test_taken_literally_equal_boxes_are_no_neighbours():
    """Their distance is the intersection, their area, so that small or far boxes merge first."""
    boxes = np.array([[0, 0, 250, 250]] * 2, float)
    assert len(merged(boxes, np.ones(2), Merging(0.2, "literal"), UNIT).boxes) == 2
    assert len(merged(boxes, np.ones(2), Merging(0.25, "literal"), UNIT).boxes) == 1
    beside = np.array([[0, 0, 400, 400], [10, 0, 410, 400], [380, 0, 500, 400]], float)
    literal = merged(beside, np.ones(3), Merging(0.51, "literal"), UNIT)
    assert literal.members.tolist() == [0, 1, 1]
    meant = merged(beside, np.ones(3), Merging(0.3), UNIT)
    assert meant.members.tolist() == [0, 0, 1]


@pytest.mark.parametrize("threshold", [0.0, math.inf])
def test_equal_boxes_become_one_of_them(threshold):
    box = np.array([0.1, 0.2, 33.3, 47.7])
    for merging in every_choice(threshold, ("centres-and-overlap", "overlap-only")):
        for n in range(1, 12):
            found = merged(np.tile(box, (n, 1)), np.full(n, 0.1), merging, UNIT)
            assert found.boxes.tobytes() == box.tobytes()
            factor = n if merging.box_rating == "sum" else 1
            assert found.ratings.tolist() == [pytest.approx(0.1 * factor)]


def test_a_threshold_of_nothing_keeps_all_and_of_infinity_makes_one():
    boxes, scores = drawn(25, 3, spread=300.0)
    boxes[:3, 2:] = boxes[:3, :2]
    for merging in every_choice(0.0, ("centres-and-overlap", "overlap-only")):
        found = merged(boxes, scores, merging, UNIT)
        order = np.lexsort(boxes.T[::-1])
        assert found.boxes.tobytes() == boxes[order].tobytes()
        assert found.ratings.tobytes() == scores[order].tobytes()
    for merging in every_choice(math.inf):
        found = merged(boxes, scores, merging, UNIT)
        assert found.counts.tolist() == [25]
        if merging.merge_mean == "weighted":
            np.testing.assert_allclose(found.boxes, [boxes.mean(0)], rtol=1e-12)


@pytest.mark.parametrize(
    "box", [[5, 5, 5, 9], [5, 5, 5, 5], [7, 5, 3, 9]], ids=["line", "point", "ends before"]
)
def test_boxes_without_area_merge_only_with_those_at_the_same_centre(box):
    elsewhere = [value + 1 for value in box]
    boxes = np.array([box, elsewhere, box, [0, 0, 10, 14]], float)
    with np.errstate(all="raise"):
        for distance in ("centres-and-overlap", "overlap-only"):
            found = merged(boxes, np.ones(4), Merging(0.9, distance), UNIT)
            assert sorted(found.counts.tolist()) == [1, 1, 2]
            assert len(merged(boxes, np.ones(4), Merging(math.inf, distance), UNIT).boxes) == 1
        assert len(merged(boxes, np.ones(4), Merging(math.inf, "literal"), UNIT).boxes) == 1


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_the_unit_of_length_has_no_part_in_the_result(scale):
    boxes, scores = drawn(30, 5)
    for merging in every_choice(0.4):
        found, scaled = (merged(f * boxes, scores, merging, f * UNIT) for f in (1, scale))
        assert (scale * found.boxes).tobytes() == scaled.boxes.tobytes()
        assert 1 < len(found.boxes) < 30


def test_distances_by_hand():
    one, beside, below = np.array([[0, 0, 30, 40], [30, 0, 60, 40], [0, 20, 30, 60]], float)
    for other, distance, expected in (
        (beside, "centres-and-overlap", 30 / math.sqrt(1200) + 1),
        (below, "centres-and-overlap", 20 / math.sqrt(1200) + 2 / 3),
        (below, "overlap-only", 2 / 3),
        (below, "literal", 20 / 100 + 600 / 100**2),
        (one, "centres-and-overlap", 0),
        (one, "literal", 1200 / 100**2),
    ):
        both = np.stack([one, other], axis=1)
        there_and_back = distances(both, both[:, ::-1], distance, 100.0)
        assert there_and_back == pytest.approx([expected, expected])
        assert there_and_back[0] == there_and_back[1]


@pytest.mark.parametrize(
    ("boxes", "scores", "merging", "told"),
    [
        (np.zeros((0, 4)), np.zeros(0), Merging(0.5), "no boxes"),
        (np.full((2, 4), np.nan), np.ones(2), Merging(0.5), "not finite"),
        (np.ones((2, 4)), np.array([1, np.inf]), Merging(0.5), "not finite"),
        (np.ones((2, 4)), np.ones(2), Merging(-0.1), "-0.1, not at least 0"),
        (np.ones((2, 4)), np.ones(2), Merging(math.nan), "nan, not at least 0"),
        (np.ones((2, 4)), np.ones(2), Merging(0.5, "nearest"), "unknown distance"),
    ],
)
def test_what_cannot_be_merged_is_refused(boxes, scores, merging, told):
    with pytest.raises(ValueError, match=told):
        merged(boxes, scores, merging, UNIT)


def test_the_benchmarks_rival_merges_the_same():
    generator = np.random.default_rng(4)
    boxes, scores = predictions(generator, 24)
    for own, rated in zip(boxes, scores, strict=True):
        found = merged(own, rated, Merging(0.7), UNIT)
        rivals, ratings = all_pairs_each_time(own, rated, Merging(0.7), UNIT)
        assert 1 < len(rivals) < 24
        np.testing.assert_allclose(found.boxes, rivals)
        np.testing.assert_allclose(found.ratings, ratings)
