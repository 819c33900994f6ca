"""Parts of images that count as images, in batches: against Pillow's crop and resize."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.paper_nets import picture, store
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.rescaled_images import RescaledImages, check_scale

SIZES = [(96, 140), (140, 96), (64, 64), (100, 130)]
PLACES = np.array([3, 0, 0, 1, 2, 1])
REGIONS = np.array(
    [
        [0, 0, 130, 100],  # all of it
        [10, 20, 90, 80],  # 80×60
        [0, 0, 140, 96],
        [5, 60, 95, 120],  # 90×60
        [30, 4, 34, 60],  # upright, and narrow
        [16, 10, 96, 70],  # 80×60 again
    ]
)


@pytest.fixture(scope="module")
def pictures():
    return [picture(*size, seed=place) for place, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def shards(pictures, tmp_path_factory):
    return store(tmp_path_factory.mktemp("pictures"), pictures)


def images(paths, side=70, **options):
    given = {"places": PLACES, "regions": REGIONS, "batch_size": 64} | options
    return RescaledImages(paths, side, 64, **given)


def cut(pictures, row, side):
    """A region as Pillow alone makes it, uint8 [height, width, 3]."""
    part = Image.fromarray(pictures[PLACES[row]]).crop(tuple(map(int, REGIONS[row])))
    size = [round(length * side / min(part.size)) for length in part.size]
    same = list(part.size) == size
    return np.array(part if same else part.resize(size, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("side", [64, 70, 96, 100])
def test_each_batch_holds_the_regions_cut_out_and_rescaled(side, pictures, shards):
    made = images(shards, side)
    seen = []
    for number, rows in enumerate(made.groups):
        batch = made[number]
        assert batch.dtype == torch.uint8
        for row, pixels in zip(rows, batch, strict=True):
            expected = cut(pictures, row, side)
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), expected)
            seen.append(int(row))
    assert sorted(seen) == list(range(len(PLACES)))


def test_regions_of_one_size_share_a_batch_whatever_their_images_are(shards):
    groups = sorted(sorted(map(int, rows)) for rows in images(shards).groups)
    assert groups == [[0], [1, 5], [2], [3], [4]]
    assert sorted(map(len, images(shards, batch_size=1).groups)) == [1] * 6


def test_the_whole_image_is_a_region_like_others(shards):
    whole = np.array([[0, 0, width, height] for height, width in SIZES])
    as_regions = images(shards, places=np.arange(4), regions=whole)
    plain = images(shards, places=None, regions=None)
    assert [rows.tolist() for rows in as_regions.groups] == [r.tolist() for r in plain.groups]
    for number in range(len(plain)):
        assert torch.equal(as_regions[number], plain[number])


def test_regions_without_places_are_one_an_image(shards):
    regions = np.array([[0, 0, 70 - n, 66 + n] for n in range(3)] + [[9, 9, 80, 90]])
    regions[2] = [0, 0, 64, 60]
    made = images(shards, places=None, regions=regions)
    assert made.wanted.tolist() == [0, 1, 2, 3]
    shapes = {int(r): tuple(made[n].shape[2:]) for n, rows in enumerate(made.groups) for r in rows}
    assert shapes == {0: (70, 74), 1: (70, 72), 2: (70, 75), 3: (80, 70)}


def test_the_central_crop_is_of_the_region(pictures, shards):
    made = images(shards, central=True)
    for number, rows in enumerate(made.groups):
        for row, pixels in zip(rows, made[number], strict=True):
            whole = cut(pictures, row, 70)
            top, left = ((length - 64) // 2 for length in whole.shape[:2])
            expected = whole[top : top + 64, left : left + 64]
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), expected)


def test_a_worker_gets_the_regions_too(shards):
    made = images(shards)
    assert len(made.shards) == 4
    other = pickle.loads(pickle.dumps(made))
    for number in range(len(made)):
        assert torch.equal(other[number], made[number])


def test_a_region_too_elongated_to_be_rescaled_names_its_image(tmp_path):
    long = np.zeros((3, 30_000, 3), np.uint8)
    paths = store(tmp_path, [long])
    narrow = images(paths, 768, places=None, regions=np.array([[0, 0, 30_000, 1]]))
    with pytest.raises(InputError, match="image 000: 1×30000 pixels are too elongated"):
        narrow[0]


def test_a_scale_is_refused_where_no_window_fits():
    check_scale(64, 64)
    with pytest.raises(InputError, match="Q of 63 pixels is smaller than the net's input of 64"):
        check_scale(63, 64)
