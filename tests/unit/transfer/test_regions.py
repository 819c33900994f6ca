"""The pixels that a person's box covers, by counting them."""

import numpy as np
import pytest

from workflow_scripts.vgg.transfer.regions import ACTION_BOXES, BoxReading, regions_of

EXACT, WITH_MARGIN = (BoxReading(way) for way in ("exact", "with-margin"))
SIZE = (20, 12)  # width and height


def region(box, reading=EXACT, size=SIZE):
    found = regions_of(np.array([box], float), np.array([size]), reading)
    assert found.dtype == np.int64
    return found[0].tolist()


def covered(first, last, length):
    """The first of an image's pixels that an interval has a part of, and one past the last."""
    touched = [place for place in range(length) if place < last and place + 1 > first]
    return touched[0], touched[-1] + 1


@pytest.mark.parametrize("reading", [EXACT, WITH_MARGIN], ids=["exact", "with a margin"])
def test_a_region_has_every_pixel_that_its_box_has_a_part_of(reading):
    draw = np.random.default_rng(0)
    for _ in range(300):
        sides = draw.integers(8, 60, 2)
        # Quarters, so that no sum is rounded; but for the tenth of a margin.
        ends = np.sort(draw.integers(0, 4 * sides + 1, (2, 2)), axis=0) / 4
        first, last = ends
        if (last - first < 0.25).any():
            continue
        room = 0.1 * (last - first) if reading is WITH_MARGIN else np.zeros(2)
        expected = [
            covered(start - more, end + more, side)
            for start, end, more, side in zip(first, last, room, sides, strict=True)
        ]
        (left, right), (top, bottom) = expected
        assert region([*first, *last], reading, sides) == [left, top, right, bottom]


def test_a_box_of_whole_pixels_is_itself():
    assert region([3, 2, 11, 9]) == [3, 2, 11, 9]
    assert region([0, 0, 20, 12]) == [0, 0, 20, 12]
    assert region([7, 5, 8, 6]) == [7, 5, 8, 6]


def test_a_margin_is_a_tenth_on_each_side_and_ends_with_the_image():
    assert region([5, 2, 15, 10], WITH_MARGIN) == [4, 1, 16, 11]
    assert region([0, 0, 10, 10], WITH_MARGIN) == [0, 0, 11, 11]
    assert region([10, 2, 20, 12], WITH_MARGIN) == [9, 1, 20, 12]
    assert region([0, 0, 20, 12], WITH_MARGIN) == [0, 0, 20, 12]


def test_a_box_that_reaches_outside_ends_with_the_image():
    """As where the file is smaller than the annotation says."""
    assert region([5, 3, 25, 14]) == [5, 3, 20, 12]
    assert region([-2, -1.5, 4, 4]) == [0, 0, 4, 4]


def test_each_box_has_its_own_images_size():
    boxes = np.array([[2, 2, 30, 30], [2, 2, 30, 30.0]])
    found = regions_of(boxes, np.array([[25, 40], [40, 25]]), EXACT)
    assert found.tolist() == [[2, 2, 25, 30], [2, 2, 30, 25]]
    assert boxes.tolist() == [[2, 2, 30, 30], [2, 2, 30, 30]]


def test_the_readings_are_two():
    assert ACTION_BOXES == ("exact", "with-margin")
    assert BoxReading() == EXACT
