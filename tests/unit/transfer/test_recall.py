"""Mean class recall against lists worked by hand, and a loop."""

import numpy as np
import pytest

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.transfer.recall import (
    class_recalls,
    mean_class_recall,
    over_splits,
    predicted_classes,
)


def scores_for(predicted, classes):
    """Scores whose greatest is that of each predicted class."""
    return np.eye(classes)[predicted] - 5


def test_recalls_worked_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 0, 0, 1, 1, 0, 2])
    mean, recalls = mean_class_recall(scores_for(predicted, 4), labels)
    assert recalls == [75, 50, None, 0]
    assert mean == pytest.approx(125 / 3)


def test_it_is_not_accuracy_on_classes_of_unequal_size():
    labels = np.repeat([0, 1], [90, 10])
    everything_first = np.zeros(100, int)
    mean, recalls = mean_class_recall(scores_for(everything_first, 2), labels)
    assert recalls == [100, 0]
    assert mean == 50
    assert (everything_first == labels).mean() == 0.9
    # On classes of one size it is.
    labels = np.repeat(np.arange(5), 20)
    predicted = np.random.default_rng(0).integers(0, 5, 100)
    mean, _ = mean_class_recall(scores_for(predicted, 5), labels)
    assert mean == pytest.approx(100 * (predicted == labels).mean())


def test_the_first_of_equal_scores_is_predicted():
    scores = np.array([[1, 3, 3], [2, 2, 2], [-np.inf] * 3, [0, -0.0, 0]])
    assert predicted_classes(scores).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_recalls_equal_a_loop(seed):
    generator = np.random.default_rng(seed)
    labels = generator.choice([0, 1, 2, 4, 6], 200, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    predicted = np.where(generator.random(200) < 0.6, labels, generator.integers(0, 7, 200))
    mean, recalls = mean_class_recall(scores_for(predicted, 7), labels)
    known = []
    for of_class, recall in enumerate(recalls):
        right = [p == of_class for y, p in zip(labels, predicted, strict=True) if y == of_class]
        if not right:
            assert recall is None
        else:
            assert recall == pytest.approx(100 * sum(right) / len(right))
            known.append(recall)
    assert len(known) == len(np.unique(labels)) < 7
    assert mean == pytest.approx(sum(known) / len(known))


def test_the_order_of_images_does_not_matter():
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 9, (2, 300))
    moved = generator.permutation(300)
    assert class_recalls(labels[moved], predicted[moved], 9) == class_recalls(labels, predicted, 9)


def test_splits_worked_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    splits = [
        (np.array([0, 1, 3]), np.array([0, 0, 1])),  # 100, 100, class 2 not tested
        (np.array([5, 2, 4]), np.array([2, 1, 0])),  # 0, 0, 100
        (np.array([1, 2, 3, 4, 5]), np.array([0, 1, 1, 1, 0])),  # 50, 100, 0
    ]
    found = over_splits(splits, labels, 3)
    assert found.per_class == [[100, 100, None], [0, 0, 100], [50, 100, 0]]
    assert found.per_split == pytest.approx([100, 100 / 3, 50])
    assert found.mean == pytest.approx((100 + 100 / 3 + 50) / 3)
    assert found.sd == pytest.approx(np.std([100, 100 / 3, 50], ddof=1))
    alone = over_splits(splits[2:], labels, 3)
    assert (alone.mean, alone.sd, alone.per_split) == (50, None, [50])


def test_nothing_to_test_on_is_an_error():
    labels, none = np.array([0, 1]), np.zeros(0, int)
    tested = np.array([0]), np.array([0])
    for splits, told in (([], "no split"), ([tested, (none, none)], "no class has a test image")):
        with pytest.raises(InputError, match=told):
            over_splits(splits, labels, 2)
    with pytest.raises(InputError, match="no class has a test image"):
        mean_class_recall(np.zeros((0, 2)), none)


def test_scores_that_are_no_numbers_are_an_error():
    scores = np.zeros((4, 3))
    scores[3, 0] = np.nan
    with pytest.raises(InputError, match="example 3 has a score that is no number"):
        predicted_classes(scores)


@pytest.mark.parametrize(
    ("labels", "told"), [([0, 1, 2], "not among the 2"), ([0, 1, -1], "not among"), ([0], "match")]
)
def test_labels_that_do_not_match_are_refused(labels, told):
    with pytest.raises(ValueError, match=told):
        class_recalls(np.array(labels), np.zeros(3, int), 2)
