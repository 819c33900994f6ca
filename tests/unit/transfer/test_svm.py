"""Machines from inner products, against scipy and scikit-learn on the features themselves."""

import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.transfer import svm as module
from workflow_scripts.vgg.transfer.svm import SVM_LOSSES, Svm, products, trained

COSTS = [2.0**power for power in range(-6, 7)]
CLASSES = 4


def drawn(images, dimensions, seed=0, spread=2.0):
    """Features of norm 1, float64 [images, dimensions], around a centre a class, and labels."""
    draw = np.random.default_rng(seed)
    classes = np.arange(images) % CLASSES
    features = draw.normal(size=(CLASSES, dimensions))[classes]
    features = np.maximum(features + spread * draw.normal(size=(images, dimensions)), 0) + 0.01
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, np.where(classes[:, None] == np.arange(CLASSES), 1, -1).astype(np.int8)


SETS = {
    "more dimensions than images": drawn(60, 150),
    "more images than dimensions": drawn(150, 6),
    "hardly to be told apart": drawn(90, 12, spread=20.0),
    "three of each": tuple(np.repeat(array, 3, axis=0) for array in drawn(30, 40)),
    "of norm 10": (10 * drawn(60, 30)[0], drawn(60, 30)[1]),
}


def with_zeros(labels, seed=1):
    """The same labels, a quarter of them 0."""
    return np.where(np.random.default_rng(seed).random(labels.shape) < 0.25, 0, labels)


def objective(w, features, y, cost):
    """The objective and gradient of one machine, w [dimensions + 1] with the intercept last."""
    lifted = np.hstack([features, np.ones((len(features), 1))])
    short = np.maximum(1 - y * (lifted @ w), 0) * (y != 0)
    return w @ w / 2 + cost * short @ short, w - 2 * cost * lifted.T @ (y * short)


def weights(machines, features, place):
    """A machine's w, [dimensions + 1], from its coefficients."""
    return np.append(features.T @ machines.coefficients[:, place], machines.intercepts[place])


@pytest.mark.parametrize("zeros", [False, True], ids=["all count", "some are left out"])
@pytest.mark.parametrize("name", SETS)
def test_the_objective_is_least_and_its_gradient_nothing(name, zeros):
    features, labels = SETS[name]
    labels = with_zeros(labels) if zeros else labels
    for machines in trained(features @ features.T, labels, COSTS, Svm()):
        for place, y in enumerate(labels.T):
            w = weights(machines, features, place)
            found, gradient = objective(w, features, y, machines.C)
            assert np.linalg.norm(gradient) <= 1.1e-6 * np.linalg.norm(w)
            if machines.C in (COSTS[0], 1.0, COSTS[-1]):
                least = minimize(
                    objective, np.zeros(len(w)), (features, y, machines.C), "L-BFGS-B", jac=True
                )
                assert found <= least.fun * (1 + 1e-9)
                assert found == pytest.approx(least.fun, rel=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_of_a_float32_matrix_the_optimum_is_as_near(name):
    """That matrix has no features: its objective and gradient are taken from it as it is."""
    features, labels = SETS[name]
    gram = (features @ features.T).astype(np.float32)
    exact = gram.astype(np.float64)
    for machines in trained(gram, labels, COSTS, Svm()):
        beta = machines.coefficients
        values = exact @ beta + beta.sum(0)
        surplus = beta - 2 * machines.C * np.maximum(1 - labels * values, 0) * labels
        squares = (surplus * (exact @ surplus + surplus.sum(0))).sum(0)
        assert (squares <= 1.1e-12 * (beta * values).sum(0)).all()
        np.testing.assert_allclose(machines.scores(gram), values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_scores_are_those_of_linear_svc(name):
    svm = pytest.importorskip("sklearn.svm")
    features, labels = SETS[name]
    others = drawn(50, features.shape[1], seed=7)[0] * np.linalg.norm(features[0])
    for zeros in (False, True):
        signs = with_zeros(labels) if zeros else labels
        for machines in trained(features @ features.T, signs, COSTS, Svm()):
            found = machines.scores(others @ features.T)
            for place, y in enumerate(signs.T):
                rival = svm.LinearSVC(
                    C=machines.C, tol=1e-10, max_iter=1_000_000, dual=False, random_state=0
                )
                rival.fit(features[y != 0], y[y != 0])
                expected = rival.decision_function(others)
                np.testing.assert_allclose(found[:, place], expected, atol=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_without_the_square_scores_are_those_of_svc(name):
    svm = pytest.importorskip("sklearn.svm")
    features, labels = SETS[name]
    labels = with_zeros(labels)
    others = drawn(50, features.shape[1], seed=7)[0] * np.linalg.norm(features[0])
    for machines in trained(features @ features.T, labels, [0.25, 2.0], Svm("hinge")):
        found = machines.scores(others @ features.T)
        for place, y in enumerate(labels.T):
            rival = svm.SVC(C=machines.C, kernel="linear", tol=1e-5)
            rival.fit(features[y != 0], y[y != 0])
            expected = rival.decision_function(others)
            np.testing.assert_allclose(found[:, place], expected, atol=3e-3)


def test_without_the_square_too_an_optimum_that_is_not_reached_is_an_error(monkeypatch):
    pytest.importorskip("sklearn.svm")
    features, labels = SETS["hardly to be told apart"]
    monkeypatch.setattr(module, "HINGE_STEPS", 2)
    with pytest.raises(RuntimeError, match=r"class 0, counted from 0, .* at C = 64 in 2 steps"):
        list(trained(features @ features.T, labels, [64.0], Svm("hinge")))


def test_without_scikit_learn_the_hinge_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    features, labels = SETS["more dimensions than images"]
    with pytest.raises(InputError, match=r"scikit-learn, which cannot be imported.*pip install"):
        list(trained(features @ features.T, labels, [1.0], Svm("hinge")))


def test_an_example_that_is_left_out_is_as_if_it_were_not_there():
    features, labels = SETS["more dimensions than images"]
    gram, kept = features @ features.T, np.arange(60) >= 12
    left_out = np.where(kept[:, None], labels, 0)
    (found,) = trained(gram, left_out, [2.0], Svm())
    (expected,) = trained(gram[np.ix_(kept, kept)], labels[kept], [2.0], Svm())
    assert not found.coefficients[~kept].any()
    np.testing.assert_allclose(found.scores(gram), expected.scores(gram[:, kept]), atol=1e-5)


def test_as_negatives_examples_of_label_0_are_of_label_minus_1():
    features, labels = SETS["more dimensions than images"]
    gram, some = features @ features.T, with_zeros(labels)
    (found,) = trained(gram, some, [2.0], Svm(svm_difficult="negatives"))
    (expected,) = trained(gram, np.where(some == 0, -1, some).astype(np.int8), [2.0], Svm())
    assert found.coefficients.tobytes() == expected.coefficients.tobytes()
    (without,) = trained(gram, some, [2.0], Svm())
    assert abs(without.scores(gram) - found.scores(gram)).max() > 0.1


def test_where_it_begins_has_no_part_in_the_optimum():
    """Another start, and the optimum of another C, which is one."""
    features, labels = SETS["hardly to be told apart"]
    gram = features @ features.T
    at_each = {
        machines.C: machines.scores(gram) for machines in trained(gram, labels, COSTS, Svm())
    }
    far = np.random.default_rng(3).normal(size=labels.shape) * 100
    for cost in COSTS[::4]:
        for start in (None, far):
            (found,) = trained(gram, labels, [cost], Svm(), start)
            np.testing.assert_allclose(found.scores(gram), at_each[cost], atol=1e-4)


def test_the_same_call_gives_the_same_bytes():
    features, labels = SETS["more images than dimensions"]
    gram = (features @ features.T).astype(np.float32)
    runs = [list(trained(gram, labels, COSTS, Svm())) for _ in range(2)]
    for one, other in zip(*runs, strict=True):
        assert one.coefficients.tobytes() == other.coefficients.tobytes()
        assert one.intercepts.tobytes() == other.intercepts.tobytes()


def test_by_hand():
    """One image of each class, at (1, 0) and (0, 1): w = (a, −a, 0), by symmetry.

    The objective a² + 2C (1 − a)² is least at a = 2C / (1 + 2C).
    """
    labels = np.array([[1, -1], [-1, 1]], np.int8)
    for machines in trained(np.eye(2), labels, [0.25, 1.0, 8.0], Svm()):
        a = 2 * machines.C / (1 + 2 * machines.C)
        np.testing.assert_allclose(machines.scores(np.eye(2)), [[a, -a], [-a, a]], atol=1e-6)
        np.testing.assert_allclose(machines.intercepts, 0, atol=1e-6)


def test_images_without_descriptors_have_the_intercept_as_score():
    """Three negatives and a positive that nothing tells apart: w = (0, b)."""
    labels = np.array([[1, -1], [-1, 1], [-1, 1], [-1, 1]], np.int8)
    for machines in trained(np.zeros((4, 4)), labels, [0.5, 4.0], Svm()):
        b = -4 * machines.C / (1 + 8 * machines.C)
        np.testing.assert_allclose(machines.intercepts, [b, -b], rtol=1e-6)
        assert machines.scores(np.zeros((1, 4))).tolist() == [machines.intercepts.tolist()]
    (even,) = trained(np.zeros((2, 2)), labels[:2], [1.0], Svm())
    np.testing.assert_allclose(even.intercepts, 0, atol=1e-12)


@pytest.mark.parametrize("loss", SVM_LOSSES)
@pytest.mark.parametrize(("sign", "kind"), [(-1, "positive"), (1, "negative")])
@pytest.mark.parametrize("filled", [True, False], ids=["of the other kind", "or left out"])
def test_a_class_of_one_kind_is_refused(loss, sign, kind, filled):
    features, labels = SETS["more dimensions than images"]
    labels = labels.copy()
    labels[:, 2] = np.where((labels[:, 2] == sign) | filled, sign, 0)
    with pytest.raises(InputError, match=f"class 2, counted from 0, has no {kind} example"):
        next(trained(features @ features.T, labels, [1.0], Svm(loss)))


LABELS = np.array([[1], [-1], [1]], np.int8)


@pytest.mark.parametrize(
    ("gram", "labels", "costs", "told"),
    [
        (np.ones((3, 2)), LABELS, [1.0], "no square float matrix"),
        (np.ones((3, 3), int), LABELS, [1.0], "no square float matrix"),
        (np.eye(3, dtype=np.float16), LABELS, [1.0], "no square float matrix"),
        (np.eye(2), LABELS, [1.0], "labels .* of 2 examples"),
        (np.eye(3), 2 * LABELS, [1.0], "not a row each of 1, 0 and −1"),
        (np.eye(3), LABELS, [], "do not ascend from above 0"),
        (np.eye(3), LABELS, [0.0, 1.0], "do not ascend from above 0"),
        (np.eye(3), LABELS, [1.0, 1.0], "do not ascend from above 0"),
        (np.diag([1, np.nan, 1]), LABELS, [1.0], "not finite"),
        (np.diag([1, np.inf, 1]).astype(np.float32), LABELS, [1.0], "not finite"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(gram, labels, costs, told):
    with pytest.raises(ValueError, match=told):
        list(trained(gram, labels, costs, Svm()))


def test_coefficients_of_other_examples_are_no_start():
    with pytest.raises(ValueError, match="to begin with"):
        next(trained(np.eye(3), LABELS, [1.0], Svm(), np.zeros((2, 1))))


def test_an_optimum_that_is_not_reached_is_an_error(monkeypatch):
    features, labels = SETS["hardly to be told apart"]
    monkeypatch.setattr(module, "NEWTON_STEPS", 2)
    with pytest.raises(RuntimeError, match=r"class \d, counted from 0, .* at C = 64 in 2 steps"):
        list(trained(features @ features.T, labels, [64.0], Svm()))


def test_inner_products_that_are_too_coarse_are_an_error():
    """Six dimensions of norm 30: rounded to float32, w̃ would have less than no length."""
    features, labels = SETS["more images than dimensions"]
    gram = (30 * features) @ (30 * features).T
    next(trained(gram, labels, [100.0], Svm()))
    with pytest.raises(RuntimeError, match="inner products in float64"):
        next(trained(gram.astype(np.float32), labels, [100.0], Svm()))


def test_rough_directions_are_made_up_for(monkeypatch):
    """Where linear systems are solved badly at first, it takes more steps, to the same end."""
    features, labels = SETS["more dimensions than images"]
    gram = (features @ features.T).astype(np.float32)
    expected = [machines.scores(gram) for machines in trained(gram, labels, COSTS, Svm())]
    monkeypatch.setattr(module, "LOOSE", 0.9)
    found = [machines.scores(gram) for machines in trained(gram, labels, COSTS, Svm())]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_blocks_have_no_seams(monkeypatch):
    features, labels = SETS["more images than dimensions"]
    gram = (features @ features.T).astype(np.float32)
    vectors = np.random.default_rng(0).normal(size=(5, len(gram)))
    expected = vectors @ (gram.astype(np.float64) + 1)
    (whole,) = trained(gram, labels, [1.0], Svm())
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 64)
    np.testing.assert_allclose(products(vectors, gram), expected, rtol=1e-12)
    (in_blocks,) = trained(gram, labels, [1.0], Svm())
    np.testing.assert_allclose(whole.scores(gram), in_blocks.scores(gram), atol=1e-9)
