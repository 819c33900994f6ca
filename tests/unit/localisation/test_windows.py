"""Boxes of windows, by nets that always give the same four numbers, against naive loops."""

import numpy as np
import pytest
import torch

from tests.checks.recompute_cells import window_scores
from tests.helpers.box_windows import (
    CROP,
    LAYERS,
    MEAN,
    WINDOW,
    central_box_of,
    constant,
    dense_boxes_of,
    in_original,
    net_of,
    windows,
)
from tests.helpers.drawn_boxes import rescaled
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.images import encode_jpeg
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.evaluation.methods import DenseConvNet, NotFinite
from workflow_scripts.vgg.localisation.windows import Flipping, central_boxes, dense_boxes

CLASSES = 5
PART = (0.3, 0.6, 0.2, 0.5)
# Landscape, portrait, one that is a crop, a square that is rescaled, and elongated ones
SIZES = [(96, 140), (140, 96), (64, 64), (100, 100), (75, 260), (300, 80), (96, 140)]
Q_IN_PIXELS = (64, 73, 97, 130)
FRACTIONS = "crop-fractions"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards of noise, of several sizes."""
    path = tmp_path_factory.mktemp("noise") / "0.arrow"
    rng = np.random.default_rng(0)
    rows = [
        (f"{place}", place % CLASSES, encode_jpeg(rng.integers(0, 256, (*size, 3), np.uint8), 95),
         *size)
        for place, size in enumerate(SIZES)
    ]  # fmt: skip
    write_shard(path, rows)
    return [str(path)]


CLASSIFIER = net_of("classes", CLASSES, seed=4)
FIVE = np.tile(np.arange(CLASSES), (len(SIZES), 1))


def boxed(net, shards, side, classes=FIVE, units=FRACTIONS, flip="none", **options):
    images = RescaledImages(shards, side, CROP, **options)
    return dense_boxes(
        net, CLASSIFIER, images, classes, MEAN, units, Flipping(flip), progress=False
    )


@pytest.mark.parametrize("side", Q_IN_PIXELS)
@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_a_box_that_is_the_window_lies_where_the_window_does(shards, head, side):
    found = boxed(constant(head, WINDOW, CLASSES), shards, side)
    for (height, width), own in zip(SIZES, found, strict=True):
        truth = dense_boxes_of(height, width, side)
        assert own.boxes.shape == (CLASSES, *truth.shape)
        for boxes in own.boxes:
            np.testing.assert_allclose(boxes, truth, rtol=1e-6, atol=1e-4)
        assert own.boxes.min() > -1e-4
        assert own.boxes[..., [0, 2]].max() <= width + 1e-3
        assert own.boxes[..., [1, 3]].max() <= height + 1e-3


def test_the_only_window_of_a_square_at_the_crops_size_is_the_whole_image(shards):
    for own, (height, width) in zip(
        boxed(constant("box-scr", WINDOW, CLASSES), shards, CROP), SIZES, strict=True
    ):
        if height == width:
            np.testing.assert_allclose(own.boxes[0], [[[0, 0, width, height]]], atol=1e-4)


@pytest.mark.parametrize("side", Q_IN_PIXELS)
def test_any_box_is_taken_from_its_windows_frame(shards, side):
    found = boxed(constant("box-scr", PART, CLASSES), shards, side)
    for (height, width), own in zip(SIZES, found, strict=True):
        truth = dense_boxes_of(height, width, side, PART)
        np.testing.assert_allclose(own.boxes[2], truth, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_numbers_in_pixels_of_the_crop_are_so_read(shards, head):
    pixels = boxed(
        constant(head, [CROP * n for n in PART], CLASSES), shards, 97, units="crop-pixels"
    )
    fractions = boxed(constant(head, PART, CLASSES), shards, 97)
    for one, other in zip(pixels, fractions, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=1e-5, atol=1e-4)
        assert np.array_equal(one.scores, other.scores)


def test_the_mirrored_pass_follows_with_its_windows_mirrored_back(shards):
    found = boxed(constant("box-scr", PART, CLASSES), shards, 97, flip="mirrored")
    plain = boxed(constant("box-scr", PART, CLASSES), shards, 97)
    for (height, width), own, other in zip(SIZES, found, plain, strict=True):
        truth = dense_boxes_of(height, width, 97, PART)
        rows = len(truth)
        assert own.boxes.shape[1] == 2 * rows
        assert np.array_equal(own.boxes[:, :rows], other.boxes)
        left, top, right, bottom = np.moveaxis(truth, -1, 0)
        back = np.stack([width - right, top, width - left, bottom], axis=-1)
        for boxes in own.boxes:
            np.testing.assert_allclose(boxes[rows:], back, rtol=1e-5, atol=1e-3)


BY_CLASS = [(0.1 * c + 0.2, 0.6 - 0.1 * c, 0.1 + 0.1 * c, 0.5) for c in range(CLASSES)]
WANTED = np.array([[4, 0], [1, 3], [2, 4], [0, 1], [3, 2], [1, 0], [4, 3]])


def test_each_image_has_the_boxes_of_its_own_classes_in_their_order(shards):
    found = boxed(constant("box-pcr", BY_CLASS, CLASSES), shards, 97, classes=WANTED)
    for (height, width), own, classes in zip(SIZES, found, WANTED, strict=True):
        assert own.classes.tolist() == classes.tolist()
        for place, label in enumerate(classes):
            truth = dense_boxes_of(height, width, 97, BY_CLASS[label])
            np.testing.assert_allclose(own.boxes[place], truth, rtol=1e-5, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_boxes_and_scores_are_of_the_nets_own_maps_of_the_whole_image(shards, head, mirror):
    """Of one image at a time, decoded and rescaled by Pillow."""
    net, opened = net_of(head, CLASSES), Shards(shards)
    flip = "mirrored" if mirror else "none"
    found = boxed(net, shards, 97, classes=WANTED, flip=flip)
    for place, (height, width) in enumerate(SIZES):
        pixels = torch.tensor(rescaled(opened.jpeg(place), 97) - np.float32(MEAN))
        image = pixels.permute(2, 0, 1)[None]
        view = image.flip(3) if mirror else image
        maps = [window_scores(n.state_dict(), LAYERS, view, 2) for n in (net, CLASSIFIER)]
        dense = DenseConvNet(CLASSIFIER)(view)[0].permute(1, 2, 0)
        torch.testing.assert_close(dense, maps[1], rtol=1e-4, atol=1e-3)
        numbers, scores = maps[0].unflatten(2, (-1, 4)), dense.softmax(-1)
        rows = len(numbers)
        assert found[place].scores.shape[1] == (2 * rows if mirror else rows)
        for row, line in enumerate(windows(height, width, 97)):
            for column, (top, left) in enumerate(line):
                for number, label in enumerate(WANTED[place]):
                    own = numbers[row, column, label if head == "box-pcr" else 0].tolist()
                    own[2:] = (max(side, 1 / CROP) for side in own[2:])  # one pixel at least
                    box = in_original(height, width, 97, top, left, own)
                    if mirror:
                        box[0], box[2] = width - box[2], width - box[0]
                    where = number, row + (rows if mirror else 0), column
                    assert found[place].boxes[where] == pytest.approx(box, rel=1e-4, abs=1e-2)
                    score = float(scores[row, column, label])
                    assert found[place].scores[where] == pytest.approx(score, abs=1e-4)
    sides = np.concatenate([(o.boxes[..., 2:] - o.boxes[..., :2]).ravel() for o in found])
    assert (sides > 5).mean() > 0.7, "few are cut to a pixel"
    assert sides.std() > 5
    assert np.concatenate([own.scores.ravel() for own in found]).std() > 0.01


def test_a_side_of_less_than_a_pixel_counts_as_one(shards):
    for numbers in ((0.5, 0.5, 0.0, -3.0), (0.5, 0.5, 1e-9, 0.5 / CROP)):
        for (height, width), own in zip(
            SIZES, boxed(constant("box-scr", numbers, CLASSES), shards, 97), strict=True
        ):
            truth = dense_boxes_of(height, width, 97, (0.5, 0.5, 1 / CROP, 1 / CROP))
            np.testing.assert_allclose(own.boxes[0], truth, rtol=1e-5, atol=1e-4)
            assert (own.boxes[..., :2] < own.boxes[..., 2:]).all()


# The central crop


def central(net, shards, side, labels=None, units=FRACTIONS, **options):
    images = RescaledImages(shards, side, CROP, central=True, **options)
    labels = np.zeros(len(images.wanted), int) if labels is None else labels
    return central_boxes(net, images, labels, MEAN, units, progress=False)


@pytest.mark.parametrize("side", Q_IN_PIXELS)
@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
@pytest.mark.parametrize("numbers", [WINDOW, PART])
def test_a_central_box_is_taken_from_the_central_crops_frame(shards, head, side, numbers):
    found = central(constant(head, numbers, CLASSES), shards, side, np.arange(len(SIZES)) % CLASSES)
    for (height, width), box in zip(SIZES, found, strict=True):
        assert box == pytest.approx(central_box_of(height, width, side, numbers), rel=1e-6)


def test_a_central_box_is_of_the_true_class_and_in_its_unit(shards):
    labels = np.array([3, 1, 0, 4, 2, 2, 1])
    pixels = [[CROP * n for n in own] for own in BY_CLASS]
    one = central(constant("box-pcr", BY_CLASS, CLASSES), shards, 97, labels)
    other = central(constant("box-pcr", pixels, CLASSES), shards, 97, labels, "crop-pixels")
    np.testing.assert_allclose(one, other, rtol=1e-5)
    for (height, width), box, label in zip(SIZES, one, labels, strict=True):
        assert box == pytest.approx(central_box_of(height, width, 97, BY_CLASS[label]))


@torch.inference_mode()
def test_a_central_box_is_what_the_net_gives_for_the_crop(shards):
    net, opened = net_of("box-pcr", CLASSES), Shards(shards)
    found = central(net, shards, 97, opened.labels, batch_size=3)
    for place, (height, width) in enumerate(SIZES):
        pixels = rescaled(opened.jpeg(place), 97) - np.float32(MEAN)
        top, left = ((side - CROP) // 2 for side in pixels.shape[:2])
        crop = torch.tensor(pixels[top : top + CROP, left : left + CROP]).permute(2, 0, 1)[None]
        label = int(opened.labels[place])
        own = net(crop)[0, 4 * label : 4 * label + 4].tolist()
        own[2:] = (max(side, 1 / CROP) for side in own[2:])
        box = in_original(height, width, 97, top, left, own)
        assert found[place] == pytest.approx(box, rel=1e-4, abs=1e-2)


# Whatever the images are read by


@pytest.mark.parametrize("workers", [0, 1])
def test_some_images_in_any_batches_have_the_boxes_of_all(shards, workers):
    net, places = net_of("box-pcr", CLASSES), np.array([6, 1, 4, 0])
    whole = boxed(net, shards, 97)
    images = RescaledImages(shards, 97, CROP, places=places, batch_size=2)
    some = dense_boxes(
        net, CLASSIFIER, images, FIVE[places], MEAN, FRACTIONS, workers=workers, progress=False
    )
    for place, own in zip(places, some, strict=True):
        np.testing.assert_allclose(own.boxes, whole[place].boxes, rtol=1e-4, atol=1e-2)
        np.testing.assert_allclose(own.scores, whole[place].scores, rtol=1e-3, atol=1e-5)
    labels = np.array([2, 3, 0, 1])
    all_labels = np.zeros(len(SIZES), int)
    all_labels[places] = labels
    of_all = central(net, shards, 97, all_labels)[places]
    np.testing.assert_allclose(
        central(net, shards, 97, labels, places=places), of_all, rtol=1e-4, atol=1e-2
    )


def test_a_process_that_is_left_without_images_finds_no_boxes(shards):
    """One of more processes than a training has validation images."""
    none = np.array([], int)
    assert central(net_of("box-pcr", CLASSES), shards, 97, none, places=none).shape == (0, 4)
    assert boxed(net_of("box-pcr", CLASSES), shards, 97, FIVE[:0], places=none) == []


def test_boxes_that_are_not_finite_blame_the_net(shards):
    net = net_of("box-pcr", CLASSES)
    with torch.no_grad():
        net.fc_layers[-1].bias[7] = float("nan")
    with pytest.raises(NotFinite, match="boxes are not finite"):
        boxed(net, shards, 64)
    with pytest.raises(NotFinite, match="boxes are not finite"):
        central(net, shards, 64, np.full(len(SIZES), 1))
    central(net, shards, 64, np.full(len(SIZES), 2))


def test_a_scale_at_which_no_window_fits_is_refused(shards):
    with pytest.raises(InputError, match="Q of 63 pixels is smaller than the net's input of 64"):
        boxed(net_of("box-scr", CLASSES), shards, 63)
