"""ILSVRC's localisation error against boxes that are painted and whose pixels are counted."""

import numpy as np
import pytest

from workflow_scripts.vgg.data.boxes import centres_of, overlaps
from workflow_scripts.vgg.localisation.scoring import Scoring, central_box, mean_box, wrong

SIDE = 24
OFFICIAL, PAPER = Scoring(), Scoring(overlap_bound="more-than-half")


def painted(box, last):
    """A box of whole numbers as bool [SIDE, SIDE]; `last`: whether its last pixel is in it."""
    xmin, ymin, xmax, ymax = (int(value) for value in box)
    picture = np.zeros((SIDE, SIDE), bool)
    picture[ymin : ymax + last, xmin : xmax + last] = True
    return picture


def counted(one, other, last=1):
    """Pixels of the intersection and of the union."""
    one, other = painted(one, last), painted(other, last)
    return int((one & other).sum()), int((one | other).sum())


def boxes_of(generator, *shape):
    """Boxes of whole numbers, float64 [*shape, 4], of one pixel at least."""
    corners = np.sort(generator.integers(0, SIDE - 1, (*shape, 2, 2)), axis=-2)
    return corners.reshape(*shape, 4).astype(float)


@pytest.mark.parametrize(("pixels", "last"), [("inclusive", 1), ("continuous", 0)])
def test_overlaps_are_counted_pixels(pixels, last):
    generator = np.random.default_rng(0)
    these, those = boxes_of(generator, 400), boxes_of(generator, 400)
    counts = np.array([counted(a, b, last) for a, b in zip(these, those, strict=True)])
    expected = counts[:, 0] / np.maximum(counts[:, 1], 1)
    np.testing.assert_array_equal(overlaps(these, those, pixels), expected)
    assert (expected > 0).mean() > 0.2


def loop(labels, guessed_labels, guessed_boxes, starts, true_boxes, scoring):
    """Image by image, guess by guess, as the devkit's routine goes, on counted pixels."""
    found = []
    for image, label in enumerate(labels):
        errors = []
        for guess, box in list(zip(guessed_labels[image], guessed_boxes[image], strict=True))[:5]:
            for true in true_boxes[starts[image] : starts[image + 1]]:
                common, united = counted(box, true, int(scoring.overlap_pixels == "inclusive"))
                if scoring.overlap_bound == "at-least-half":
                    misses = 2 * common < united or united == 0
                else:
                    misses = 2 * common <= united
                errors.append(guess != label or misses)
        found.append(all(errors))
    return np.array(found)


@pytest.mark.parametrize("bound", ["at-least-half", "more-than-half"])
@pytest.mark.parametrize("pixels", ["inclusive", "continuous"])
def test_errors_equal_a_loop_over_counted_pixels(bound, pixels):
    generator = np.random.default_rng(1)
    images, k = 600, 7
    labels = generator.integers(0, 3, images)
    guessed_labels = generator.integers(-1, 3, (images, k))
    counts = generator.integers(1, 4, images)
    starts = np.concatenate([[0], np.cumsum(counts)])
    true_boxes = boxes_of(generator, starts[-1])
    guessed_boxes = boxes_of(generator, images, k)
    near = generator.random((images, k)) < 0.6  # these guesses lie near a true box
    moved = true_boxes[starts[:-1], None] + generator.integers(-2, 3, (images, k, 4))
    moved = moved.clip(0, SIDE - 1)
    moved[..., 2:] = np.maximum(moved[..., 2:], moved[..., :2])
    guessed_boxes[near] = moved[near]
    given = labels, guessed_labels, guessed_boxes, starts, true_boxes, Scoring(bound, pixels)
    found = wrong(*given)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, loop(*given))
    assert 0.2 < found.mean() < 0.8


def one_image(guesses, true, scoring=OFFICIAL):
    """Whether an image of class 3 is wrong; guesses: (label, box) in order."""
    labels, boxes = zip(*guesses, strict=True)
    starts = np.array([0, len(true)])
    found = wrong(
        np.array([3]),
        np.array([labels]),
        np.array([boxes], float),
        starts,
        np.array(true, float),
        scoring,
    )
    return bool(found[0])


TRUE = [10, 10, 19, 19]  # ten by ten pixels
HALF = [10, 10, 19, 14]  # the upper half of them
ELSEWHERE = [0, 0, 5, 5]


@pytest.mark.parametrize(
    ("guesses", "true", "expected"),
    [
        ([(3, TRUE)], [TRUE], False),
        ([(2, TRUE)], [TRUE], True),
        ([(3, ELSEWHERE)], [TRUE], True),
        ([(2, TRUE), (3, ELSEWHERE)], [TRUE], True),
        ([(3, ELSEWHERE), (3, TRUE)], [TRUE], False),
        ([(3, TRUE)], [ELSEWHERE, TRUE], False),
        ([(3, TRUE)], [TRUE, ELSEWHERE], False),
        ([(2, TRUE)] * 4 + [(3, TRUE)], [TRUE], False),
        ([(2, TRUE)] * 5 + [(3, TRUE)], [TRUE], True),
        ([(-1, TRUE)], [TRUE], True),
        ([(3, HALF)], [TRUE], False),
        ([(3, [10, 10, 19, 13])], [TRUE], True),
        ([(3, [10, 10, 19, 15])], [TRUE], False),
        ([(3, [19, 19, 10, 10])], [TRUE], True),
        ([(3, [np.nan] * 4)], [TRUE], True),
    ],
)
def test_errors_by_hand(guesses, true, expected):
    assert one_image(guesses, true) is expected


def test_exactly_half_is_right_officially_and_wrong_by_the_papers_words():
    assert counted(HALF, TRUE) == (50, 100)
    assert one_image([(3, HALF)], [TRUE], OFFICIAL) is False
    assert one_image([(3, HALF)], [TRUE], PAPER) is True
    assert one_image([(3, [10, 10, 19, 15])], [TRUE], PAPER) is False
    # As coordinates the boxes are 9 by 9 and 9 by 4, which is less than half.
    assert one_image([(3, HALF)], [TRUE], Scoring(overlap_pixels="continuous")) is True


def test_exactly_half_is_exact_at_every_size():
    sizes = np.arange(1, 3001)
    zeros = np.zeros_like(sizes)
    true = np.stack([zeros, zeros, 2 * sizes - 1, sizes * 7 % 640], 1).astype(float)
    half = true.copy()
    half[:, 2] = sizes - 1
    given = zeros, zeros[:, None], half[:, None], np.arange(3001), true
    assert not wrong(*given, OFFICIAL).any()
    assert wrong(*given, PAPER).all()


def test_boxes_of_no_width_are_a_pixel_wide_or_nothing():
    line = [10, 10, 10, 19]
    assert one_image([(3, line)], [line], OFFICIAL) is False
    for bound in ("at-least-half", "more-than-half"):
        assert one_image([(3, line)], [line], Scoring(bound, "continuous")) is True


@pytest.mark.parametrize(
    ("labels", "starts", "told"),
    [
        ([1, 1], [0, 2, 2], "image 1 has no true box"),
        ([1, 1], [0, 0, 2], "image 0 has no true box"),
        ([1, -1], [0, 1, 2], "image 1 has no label"),
        ([1, 1], [0, 1, 1], "not those"),
        ([1, 1], [1, 1, 2], "not those"),
        ([1, 1], [0, 2], "not those"),
    ],
)
def test_images_that_have_no_error_are_refused(labels, starts, told):
    guesses = np.ones((2, 1), int), np.ones((2, 1, 4))
    with pytest.raises(ValueError, match=told):
        wrong(np.array(labels), *guesses, np.array(starts), np.ones((2, 4)), OFFICIAL)


def test_no_images_have_no_errors():
    guesses = np.ones((0, 5), int), np.ones((0, 5, 4))
    found = wrong(np.ones(0, int), *guesses, np.zeros(1, int), np.ones((0, 4)), OFFICIAL)
    assert found.shape == (0,)


def test_the_central_box_has_half_of_the_area_on_either_side_the_same():
    xmin, ymin, xmax, ymax = central_box()
    assert (xmax - xmin) * (ymax - ymin) == pytest.approx(0.5)
    assert xmin == ymin == pytest.approx(1 - xmax) == pytest.approx(1 - ymax)


def test_the_mean_box_has_the_mean_centre_and_sides():
    boxes = np.random.default_rng(2).random((50, 4))
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(centres_of(mean_box(boxes)), centres_of(boxes).mean(0), rtol=1e-12)
    with pytest.raises(ValueError, match="no boxes"):
        mean_box(boxes[:0])
