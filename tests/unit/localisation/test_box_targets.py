"""What a net of boxes learns, against the rectangles that its pictures show, pixel by pixel."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tests.helpers.drawn_boxes import LIT, box_of, drawn, targets_of, write_pictures
from workflow_scripts.vgg.data import loader
from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.training.distributed import Processes

CROP = 64
SIDE = 73  # the smallest side at S = 256
AXES = np.diag([60.0, 20.0, 5.0])
# As packed at S = 256, and as packed for jittered S: (height, width, rectangles)
PACKED = [
    (73, 73, [(5, 20, 31, 70)]),
    (73, 97, [(40, 0, 97, 44)]),
    (97, 73, [(3, 61, 50, 97)]),
    (73, 140, [(0, 10, 60, 73)]),
    (140, 73, [(30, 30, 44, 100)]),
]
LARGE = [
    (146, 146, [(10, 40, 62, 140)]),
    (146, 210, [(80, 0, 210, 88)]),
    (195, 146, [(6, 120, 100, 195)]),
]


def images_of(tmp_path, pictures, boxed=True, batch_size=32, scales=(256, 256), rows=None, **how):
    """Training images of pictures, with their boxes as targets; how: the readings."""
    path = tmp_path / f"{len(pictures)}_{pictures[0][:2]}.arrow"
    if not path.exists():
        write_pictures(path, [drawn(height, width, *own) for height, width, own in pictures])
    targets = targets_of(pictures, CROP, **how) if boxed else None
    return TrainingImages([path], 5, batch_size, CROP, scales, AXES, rows=rows, boxes=targets)


def samples(images, iterations):
    """(picture, pixels uint8 [crop, crop, 3], target [4]) of each sample of the first batches."""
    for iteration in range(iterations):
        batch = images[iteration]
        pixels = batch.images.permute(0, 2, 3, 1).numpy()
        yield from zip(batch.labels.tolist(), pixels, batch.boxes.numpy(), strict=True)


def corners(target):
    """The corners of a target, in its own unit."""
    x, y, width, height = target.astype(float)
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


@pytest.mark.parametrize("crops", ["half-inside", "any"])
def test_a_target_is_the_rectangle_that_the_crop_shows(tmp_path, crops):
    """Mirrored with the crop; the parts of it beyond the crop are in the target too."""
    beyond = 0
    for place, pixels, target in samples(images_of(tmp_path, PACKED, box_crops=crops), 12):
        box = CROP * corners(target)
        shown = box.clip(0, CROP)
        _, _, [(left, top, right, bottom)] = PACKED[place]
        assert box[2:] - box[:2] == pytest.approx([right - left, bottom - top], abs=1e-4)
        if (mask := box_of(pixels[..., 0] > LIT)) is None:
            assert (shown[2:] - shown[:2]).min() == pytest.approx(0, abs=1e-4)
            continue
        assert mask == pytest.approx(shown, abs=1e-4)
        beyond += int((box != shown).any())
    assert beyond > 100


@pytest.mark.parametrize(("pictures", "scales"), [(LARGE, (256, 512)), (PACKED, (256, 384))])
def test_a_target_fits_a_crop_of_a_rescaled_picture(tmp_path, pictures, scales):
    sizes = set()
    for place, pixels, target in samples(images_of(tmp_path, pictures, scales=scales), 12):
        box = CROP * corners(target)
        sizes.add(tuple(np.round(box[2:] - box[:2], 2)))
        mask = box_of(pixels[..., 0] > LIT)
        assert mask == pytest.approx(box.clip(0, CROP), abs=1), place
    assert len(sizes) > 20, "S is jittered"


def test_at_a_fixed_s_a_whole_box_has_its_rescaled_size(tmp_path):
    for place, _, target in samples(images_of(tmp_path, LARGE, scales=(384, 384)), 4):
        height, width, [(left, top, right, bottom)] = LARGE[place]
        short = round(384 * CROP / 224)
        across = round(width * short / min(height, width)) / width
        down = round(height * short / min(height, width)) / height
        expected = [(right - left) * across / CROP, (bottom - top) * down / CROP]
        assert target[2:] == pytest.approx(expected, rel=1e-6)


def test_clipped_boxes_end_where_the_crop_does(tmp_path):
    empty = 0
    images = images_of(tmp_path, PACKED, box_extent="clipped", box_crops="any")
    whole = images_of(tmp_path, PACKED, box_crops="any")
    differ = 0
    for one, other in zip(samples(images, 12), samples(whole, 12), strict=True):
        _, pixels, target = one
        mask = box_of(pixels[..., 0] > LIT)
        if mask is None:
            assert target[2:].min() == 0
            empty += 1
        else:
            assert CROP * corners(target) == pytest.approx(mask, abs=1e-4)
        differ += not np.allclose(target, other[2])
    assert differ > 100
    assert empty > 0, "some crops of the elongated pictures show nothing"


def test_pixels_of_the_crop_are_its_side_times_fractions(tmp_path):
    fractions, pixels = (
        images_of(tmp_path, PACKED, box_units=units) for units in ("crop-fractions", "crop-pixels")
    )
    for iteration in range(3):
        expected = CROP * fractions[iteration].boxes
        torch.testing.assert_close(pixels[iteration].boxes, expected, rtol=1e-6, atol=1e-5)


# Which crops


def visible(picture):
    """What part of its rectangle each crop shows, float [tops, lefts], by counting pixels."""
    height, width, rectangles = picture
    mask = drawn(height, width, *rectangles)[..., 0] > LIT
    return np.array(
        [
            [mask[y : y + CROP, x : x + CROP].sum() for x in range(width - CROP + 1)]
            for y in range(height - CROP + 1)
        ]
    ) / int(mask.sum())


def parts_shown(images, picture, iterations):
    """What part of the rectangle the samples' crops show, float [samples]."""
    mask = drawn(*picture[:2], *picture[2])[..., 0] > LIT
    shown = [(pixels[..., 0] > LIT).sum() for _, pixels, _ in samples(images, iterations)]
    return np.array(shown) / int(mask.sum())


def near(share, expected, draws):
    """Whether a share is the expected one, within four standard deviations."""
    return abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / draws) + 1e-12


RARE = (73, 300, [(0, 20, 24, 60)])  # few crops show half of it
OFTEN = (73, 140, [(0, 10, 90, 70)])


@pytest.mark.parametrize(("crops", "draws"), [("half-inside", 10), ("any", 1)])
def test_half_of_the_box_is_shown_if_one_of_ten_crops_does(tmp_path, crops, draws):
    """Of ten draws, each crop being as likely as another, or of one: counted over all crops."""
    part = visible(RARE)
    half, none = float((part >= 0.5).mean()), float((part == 0).mean())
    images = images_of(tmp_path, [RARE], box_crops=crops, batch_size=100)
    found = parts_shown(images, RARE, 15)
    assert near((found >= 0.5).mean(), 1 - (1 - half) ** draws, 1500)
    assert near((found == 0).mean(), none**draws, 1500), "the best of them, if none shows half"


def test_where_crops_often_show_half_of_the_box_all_that_are_taken_do(tmp_path):
    part = visible(OFTEN)
    assert 0.3 < (part < 0.5).mean() < 0.45, "ten such draws in a row are one in 3,000 or rarer"
    found = parts_shown(images_of(tmp_path, [OFTEN], batch_size=100), OFTEN, 3)
    assert (found >= 0.5).all()
    # The first that does is taken, not the best: each is as likely as another.
    enough = part[part >= 0.5]
    assert abs(found.mean() - enough.mean()) <= 4 * enough.std() / math.sqrt(300)
    assert enough.mean() < 0.9
    anyhow = parts_shown(images_of(tmp_path, [OFTEN], box_crops="any", batch_size=100), OFTEN, 3)
    assert near((anyhow < 0.5).mean(), float((part < 0.5).mean()), 300)


def test_the_first_crop_is_taken_where_all_show_enough(tmp_path):
    middle = [(80, 90, [(30, 30, 50, 50)])]
    one, other = (images_of(tmp_path, middle, box_crops=c) for c in ("half-inside", "any"))
    for iteration in range(3):
        assert torch.equal(one[iteration].images, other[iteration].images)
        assert torch.equal(one[iteration].boxes, other[iteration].boxes)
    assert not torch.equal(one[0].boxes, one[1].boxes)


# Which box

# The second has the largest area; the third is the longest, in pixels and as a part of its side
SEVERAL = [(73, 110, [(0, 0, 20, 30), (30, 20, 70, 65), (80, 0, 90, 73)])]


def picked(images, iterations):
    """Which of the rectangles each sample stands for, by the size of its target."""
    [(_, _, rectangles)] = SEVERAL
    widths = [right - left for left, _, right, _ in rectangles]
    found = []
    for _, pixels, target in samples(images, iterations):
        own = widths.index(round(CROP * float(target[2])))
        found.append(own)
        mask = box_of(pixels[..., own] > LIT)
        if mask is not None:
            assert mask == pytest.approx((CROP * corners(target)).clip(0, CROP), abs=1e-4)
    return found


def test_each_of_an_images_boxes_is_drawn_as_often_as_another(tmp_path):
    found = picked(images_of(tmp_path, SEVERAL, batch_size=50), 12)
    counts = np.bincount(found, minlength=3)
    assert chisquare(counts).pvalue > 0.001, counts
    runs = sum(one != other for one, other in itertools.pairwise(found))
    assert near(runs / (len(found) - 1), 2 / 3, len(found)), "each time anew"


def test_the_box_drawn_does_not_depend_on_the_other_readings(tmp_path):
    expected = picked(images_of(tmp_path, SEVERAL), 3)
    assert picked(images_of(tmp_path, SEVERAL, box_crops="any"), 3) == expected
    clipped = images_of(tmp_path, SEVERAL, box_extent="clipped", box_units="crop-pixels")
    whole = images_of(tmp_path, SEVERAL)
    for iteration in range(3):
        assert torch.equal(clipped[iteration].images, whole[iteration].images)


def test_boxes_are_drawn_from_a_stream_that_nothing_else_draws_from(tmp_path):
    """By numpy alone: a change here would change every training of a net of boxes."""
    found = picked(images_of(tmp_path, SEVERAL, batch_size=50), 2)
    for iteration in range(2):
        key = {"key": [5, 6], "counter": [0, iteration, 0, 0]}
        numbers = np.random.Generator(np.random.Philox(**key)).random(50)
        assert found[50 * iteration :][:50] == np.floor(3 * numbers).astype(int).tolist()


def test_the_largest_box_has_the_largest_area(tmp_path):
    assert set(picked(images_of(tmp_path, SEVERAL, box_of_many="largest"), 3)) == {1}


# The batch sequence


def test_boxes_change_no_image_label_scale_or_colour_shift_of_the_sequence(tmp_path, monkeypatch):
    sides = []
    real = loader.crop_of_rescaled

    def watched(pixels, *, smallest_side, **others):
        sides.append(smallest_side)
        return real(pixels, smallest_side=smallest_side, **others)

    monkeypatch.setattr(loader, "crop_of_rescaled", watched)
    boxed, plain = (images_of(tmp_path, LARGE, boxed=b, scales=(256, 512)) for b in (True, False))
    for iteration in (0, 1, 7):
        one, other = boxed[iteration], plain[iteration]
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.shifts, other.shifts)
        assert one.shifts.any()
        assert not torch.equal(one.images, other.images), "crops are drawn again"
        assert other.boxes is None
    half = len(sides) // 6
    for call in range(0, 6, 2):
        own = sides[call * half : (call + 1) * half]
        assert own == sides[(call + 1) * half : (call + 2) * half]
        assert len(set(own)) > 10


def test_boxes_change_no_flip_of_the_sequence(tmp_path):
    """Where there is one crop, the images are the same."""
    whole = [(CROP, CROP, [(3, 9, 21, 60)]), (CROP, CROP, [(30, 9, 50, 40)])]
    boxed, plain = (images_of(tmp_path, whole, boxed=b, scales=(224, 224)) for b in (True, False))
    lefts = set()
    for iteration in range(4):
        one, other = boxed[iteration], plain[iteration]
        assert torch.equal(one.images, other.images)
        lefts |= {round(CROP * corners(box)[0]) for box in one.boxes.numpy()}
    assert lefts == {3, CROP - 21, 30, CROP - 50}


@pytest.mark.parametrize("workers", [1, 2])
def test_targets_do_not_depend_on_the_number_of_workers(tmp_path, workers):
    images = images_of(tmp_path, PACKED)
    shared = list(images.batches(3, 8, workers=workers, pin_memory=False))
    for iteration, batch in enumerate(shared, start=3):
        assert torch.equal(batch.boxes, images[iteration].boxes)
        assert torch.equal(batch.images, images[iteration].images)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_processs_rows_have_the_whole_batchs_targets(tmp_path, count):
    whole = images_of(tmp_path, PACKED)
    parts = [
        images_of(tmp_path, PACKED, rows=Processes(rank, count).rows(32)) for rank in range(count)
    ]
    for iteration in (0, 4):
        found = torch.cat([part[iteration].boxes for part in parts])
        assert torch.equal(found, whole[iteration].boxes)
        crops = torch.cat([part[iteration].images for part in parts])
        assert torch.equal(crops, whole[iteration].images)
    for part in parts:
        assert np.array_equal(part.mean_target(64), whole.mean_target(64))


def test_the_mean_target_is_that_of_the_first_batches(tmp_path):
    images = images_of(tmp_path, PACKED)
    targets = torch.cat([images[iteration].boxes for iteration in range(3)]).double()
    for count in (65, 96):
        assert images.mean_target(count) == pytest.approx(targets.mean(0).numpy(), rel=1e-12)
    assert images.mean_target(64) == pytest.approx(targets[:64].mean(0).numpy(), rel=1e-12)


def test_a_batch_keeps_its_targets_in_parts_and_copies(tmp_path):
    batch = images_of(tmp_path, PACKED)[0]
    assert torch.equal(batch.rows(slice(3, 9)).boxes, batch.boxes[3:9])
    assert torch.equal(batch.copy().boxes, batch.boxes)
    assert torch.equal(batch.to(torch.device("cpu")).boxes, batch.boxes)
    assert batch.boxes.dtype == torch.float32
