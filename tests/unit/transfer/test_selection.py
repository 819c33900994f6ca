"""The choice of C against an exhaustive search of scipy's or scikit-learn's, and what it gives."""

import numpy as np
import pytest
from scipy.optimize import minimize

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.transfer import selection
from workflow_scripts.vgg.transfer.selection import GRID, Chosen, Refit, choose
from workflow_scripts.vgg.transfer.splits import Split
from workflow_scripts.vgg.transfer.svm import Svm, trained

CLASSES, IMAGES = 3, 120


def drawn(seed, spread):
    """Features of norm 1 [images, dimensions], labels ±1, and a split of 60, 30 and 30."""
    draw = np.random.default_rng(seed)
    classes = np.arange(IMAGES) % CLASSES
    features = draw.normal(size=(CLASSES, 40))[classes] + spread * draw.normal(size=(IMAGES, 40))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = np.where(classes[:, None] == np.arange(CLASSES), 1, -1).astype(np.int8)
    parts = np.split(draw.permutation(IMAGES), [60, 90])
    return features, labels, Split(*map(np.sort, parts))


def recall(scores, labels):
    """The share of images whose class has the highest score."""
    return float((scores.argmax(1) == labels.argmax(1)).mean())


def nearness(scores, labels):
    """A smooth measure, so that no two values of C are equal by it."""
    return float(-((scores - labels) ** 2).mean())


def by_scipy(features, labels, cost):
    """Weights [dimensions + 1, classes] of the squared hinge."""
    lifted = np.hstack([features, np.ones((len(features), 1))])

    def objective(w, y):
        short = np.maximum(1 - y * (lifted @ w), 0) * (y != 0)
        return w @ w / 2 + cost * short @ short, w - 2 * cost * lifted.T @ (y * short)

    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-8}
    found = [
        minimize(objective, np.zeros(lifted.shape[1]), y, "L-BFGS-B", jac=True, options=options).x
        for y in labels.T
    ]
    return np.stack(found, axis=1)


def by_scikit_learn(features, labels, cost):
    """The same."""
    svm = pytest.importorskip("sklearn.svm")
    machines = [
        svm.LinearSVC(C=cost, tol=1e-10, max_iter=100_000, dual=False).fit(features, y)
        for y in labels.T
    ]
    return np.stack([np.append(own.coef_, own.intercept_) for own in machines], axis=1)


@pytest.mark.parametrize("measure", [recall, nearness])
@pytest.mark.parametrize("weights", [by_scipy, by_scikit_learn])
@pytest.mark.parametrize("refit", ["all", "learnt"])
def test_an_exhaustive_search_finds_the_same(refit, weights, measure):
    found_at = set()
    for seed, spread in enumerate((0.5, 1.0, 2.0, 3.0)):
        features, labels, split = drawn(seed, spread)
        lifted = np.hstack([features, np.ones((IMAGES, 1))])
        at_each = [weights(features[split.learn], labels[split.learn], cost) for cost in GRID]
        figures = [measure(lifted[split.validate] @ w, labels[split.validate]) for w in at_each]
        best = figures.index(max(figures))  # the first of equals
        expected = at_each[best]
        if refit == "all":
            expected = weights(features[split.train], labels[split.train], GRID[best])

        gram = (features @ features.T).astype(np.float32 if seed % 2 else np.float64)
        found = choose(gram, labels, split, measure, Svm(), Refit(refit))
        assert GRID[best] == found.C
        assert found.grid == GRID
        np.testing.assert_allclose(found.figures, figures, atol=1e-5)
        np.testing.assert_allclose(found.scores, lifted[split.test] @ expected, atol=1e-4)
        found_at.add(found.C)
    assert len(found_at) > 1, "the sets must want different values"


def test_of_equal_figures_the_smallest_c_is_taken():
    features, labels, split = drawn(0, 1.0)
    gram = features @ features.T
    all_alike = choose(gram, labels, split, lambda *_: 0.5, Svm(), Refit(), [0.5, 1.0, 2.0])
    assert all_alike.C == 0.5
    given = iter([0.1, 0.7, 0.7, 0.3])
    found = choose(gram, labels, split, lambda *_: next(given), Svm(), Refit(), [1.0, 2.0, 4.0, 8])
    assert (found.C, found.figures) == (2.0, (0.1, 0.7, 0.7, 0.3))


@pytest.mark.parametrize(
    ("best", "told"),
    [(0, "C = 0.5 is the least that was tried; less"), (1, None), (2, "C = 2 is the greatest")],
)
def test_a_choice_at_an_end_of_the_grid_is_noted(best, told):
    figures = tuple(float(place == best) for place in range(3))
    found = Chosen((0.5, 1.0, 2.0)[best], (0.5, 1.0, 2.0), figures, np.zeros((0, 3)))
    assert found.note is None if told is None else found.note.startswith(told)
    assert Chosen(0.5, (0.5,), (1.0,), np.zeros((0, 3))).note is None


def test_parts_do_not_leak():
    """Validation images have no part in what is learnt, and test images in nothing."""
    features, labels, split = drawn(1, 2.0)
    gram = features @ features.T
    found = choose(gram, labels, split, recall, Svm(), Refit("learnt"))
    (expected,) = trained(
        gram[np.ix_(split.learn, split.learn)], labels[split.learn], [found.C], Svm()
    )
    scores = expected.scores(gram[np.ix_(split.test, split.learn)])
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    unknown = labels.copy()
    unknown[split.test] = 0
    for refit in map(Refit, ("all", "learnt")):
        one, other = (choose(gram, own, split, recall, Svm(), refit) for own in (labels, unknown))
        assert one.scores.tobytes() == other.scores.tobytes()


def test_the_measure_is_given_labels_as_they_are():
    features, labels, split = drawn(2, 1.0)
    labels[split.validate[:4], 0] = 0
    seen = []
    choose(
        features @ features.T,
        labels,
        split,
        lambda scores, own: seen.append((scores.shape, own.tolist())) or 0.0,
        Svm(svm_difficult="negatives"),
        Refit(),
        [1.0],
    )
    assert seen == [((30, CLASSES), labels[split.validate].tolist())]


def test_the_same_call_gives_the_same_bytes_and_blocks_have_no_seams(monkeypatch):
    features, labels, split = drawn(3, 2.0)
    gram = (features @ features.T).astype(np.float32)
    one, other = (choose(gram, labels, split, recall, Svm(), Refit()) for _ in range(2))
    assert (one.C, one.figures) == (other.C, other.figures)
    assert one.scores.tobytes() == other.scores.tobytes()
    monkeypatch.setattr(selection, "ROWS_AT_ONCE", 7)
    in_blocks = choose(gram, labels, split, recall, Svm(), Refit())
    np.testing.assert_allclose(in_blocks.scores, one.scores, atol=1e-9)


def test_a_class_that_the_part_to_learn_from_lacks_is_refused():
    features, labels, split = drawn(0, 1.0)
    labels[split.learn, 1] = -1
    with pytest.raises(InputError, match="class 1, counted from 0, has no positive"):
        choose(features @ features.T, labels, split, recall, Svm(), Refit())


def test_what_cannot_be_chosen_is_refused():
    features, labels, split = drawn(0, 1.0)
    gram = features @ features.T
    with pytest.raises(ValueError, match=r"at C = 0\.5 what is measured is not a number"):
        choose(gram, labels, split, lambda *_: float("nan"), Svm(), Refit(), [0.5])
    with pytest.raises(ValueError, match="do not ascend"):
        choose(gram, labels, split, recall, Svm(), Refit(), [])
    with pytest.raises(ValueError, match="unknown refit 'none'"):
        choose(gram, labels, split, recall, Svm(), Refit("none"))
    empty = Split(split.learn, split.validate[:0], split.test)
    with pytest.raises(ValueError, match="empty"):
        choose(gram, labels, empty, recall, Svm(), Refit())
