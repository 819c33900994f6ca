"""Dense and multi-crop evaluation against naive loops; at full size in test_paper_testing.py."""

import io

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.checks import recompute_cells
from tests.helpers.clones import ROOT
from tests.helpers.evaluations import posteriors_of
from workflow_scripts import evaluate
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.rescaled_images import groups_of_equal_size
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise

CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
MEAN = [120.0, 115.0, 100.0]


def small(net, pool_rounding="floor", **fields):
    settings = {"classes": 10, "crop": 64, "fc": 32, "width_divisor": 8} | fields
    built = ConvNet(Architecture(CONVNETS[net], pool_rounding=pool_rounding, **settings))
    initialise(built, "he", seed=4)
    return built.eval()


def images(*size, seed=0):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))


def window_scores(net, x, side):
    """Class scores [N, classes, rows, columns]: the FC layers run on each window of the map."""
    shape = net.architecture
    scores = [
        recompute_cells.window_scores(
            net.state_dict(), shape.layers, image[None], side, shape.pool_rounding
        )
        for image in x
    ]
    return torch.stack(scores).permute(0, 3, 1, 2)


@torch.inference_mode()
@pytest.mark.parametrize("net", ["A", "C", "E", "B-5x5"])
@pytest.mark.parametrize("size", [(64, 64), (73, 97), (110, 83), (146, 195)])
@pytest.mark.parametrize("pool_rounding", ["floor", "ceil"])
def test_dense_score_map_equals_a_window_loop(net, size, pool_rounding):
    net = small(net, pool_rounding).double()
    x = images(*size).double()
    found = methods.DenseConvNet(net)(x)
    torch.testing.assert_close(found, window_scores(net, x, 2), rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_scores_are_averaged_before_or_after_the_softmax():
    net = small("B")
    x = images(110, 146)
    dense = methods.DenseConvNet(net)
    maps = [window_scores(net, view, 2) for view in (x, x.flip(3))]
    before = sum(m.mean((2, 3)).softmax(1) for m in maps) / 2
    after = sum(m.softmax(1).mean((2, 3)) for m in maps) / 2
    found = methods.dense_posteriors(dense, x, "before-softmax")
    torch.testing.assert_close(found, before, rtol=1e-4, atol=1e-5)
    found = methods.dense_posteriors(dense, x, "after-softmax")
    torch.testing.assert_close(found, after, rtol=1e-4, atol=1e-5)
    assert (before - after).abs().max() > 1e-3, "the two must be told apart"


@torch.inference_mode()
def test_the_grid_can_lie_on_the_central_square():
    net = small("B")
    x = images(73, 98)
    expected = 0
    for i in range(5):
        for j in range(5):
            top, left = round(i * 9 / 4), 12 + round(j * 9 / 4)
            crop = x[:, :, top : top + 64, left : left + 64]
            expected = expected + net(crop).softmax(1) + net(torch.flip(crop, [3])).softmax(1)
    found = methods.multicrop_posteriors(net, x, "central-square", batch_size=7)
    torch.testing.assert_close(found, expected / 50, rtol=1e-4, atol=1e-5)


def test_the_grid_reaches_both_ends():
    assert methods.grid_offsets(256, 224) == [0, 8, 16, 24, 32]
    assert methods.grid_offsets(341, 224) == [0, 29, 58, 88, 117]
    assert methods.grid_offsets(224, 224) == [0] * 5
    # Halves go to the even neighbour, as config/README.md says: 0.5, 1.5, and 1.5, 4.5.
    assert methods.grid_offsets(226, 224) == [0, 0, 1, 2, 2]
    assert methods.grid_offsets(230, 224) == [0, 2, 3, 4, 6]


def test_groups_have_one_size_each_and_hold_every_image_once():
    rng = np.random.default_rng(0)
    heights, widths = rng.choice([375, 333, 500], size=(2, 200))
    groups = groups_of_equal_size(heights, widths, 256, 5 * 256 * 256)
    assert sorted(np.concatenate(groups)) == list(range(200))
    for group in groups:
        sizes = {
            (256, round(w * 256 / h)) if h <= w else (round(h * 256 / w), 256)
            for h, w in zip(heights[group], widths[group], strict=True)
        }
        assert len(sizes) == 1
        ((height, width),) = sizes
        assert len(group) == 1 or len(group) * height * width <= 5 * 256 * 256


@torch.inference_mode()
@pytest.mark.parametrize("method", ["dense", "multicrop", "center"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_splits_posteriors_equal_a_loop_over_pillow_images(method, workers, shard_paths):
    net = small("A")
    shards = Shards(shard_paths("val"))
    found = posteriors_of(
        net, shard_paths("val"), method=method, smallest_side=73, mean=MEAN, workers=workers
    )
    for place in range(0, len(shards), 5):
        image = Image.open(io.BytesIO(shards.jpeg(place))).convert("RGB")
        short = min(image.size)
        size = [round(side * 73 / short) for side in image.size]
        image = image.resize(size, Image.Resampling.BICUBIC)
        x = torch.tensor(np.array(image)).permute(2, 0, 1)[None].float()
        x = x - torch.tensor(MEAN).view(1, 3, 1, 1)
        if method == "center":
            top, left = ((side - 64) // 2 for side in x.shape[2:])
            views = [x[:, :, top : top + 64, left : left + 64]]
        elif method == "dense":
            views = [x, x.flip(3)]
        else:
            views = [
                flip(x[:, :, t : t + 64, c : c + 64])
                for t in np.round(np.arange(5) * (x.shape[2] - 64) / 4).astype(int)
                for c in np.round(np.arange(5) * (x.shape[3] - 64) / 4).astype(int)
                for flip in (lambda v: v, lambda v: v.flip(3))
            ]
        scores = [
            window_scores(net, v, 2).mean((2, 3)) if method == "dense" else net(v) for v in views
        ]
        expected = sum(s.softmax(1) for s in scores)[0] / len(views)
        torch.testing.assert_close(torch.tensor(found[place]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["dense", "center"])
def test_some_places_are_rows_of_the_whole(shard_paths, method):
    settings = {"method": method, "smallest_side": 73, "mean": MEAN}
    whole = posteriors_of(small("A"), shard_paths("val"), **settings)
    places = np.array([20, 3, 4, 11])
    found = posteriors_of(small("A"), shard_paths("val"), **settings, places=places)
    np.testing.assert_allclose(found, whole[places], rtol=1e-3, atol=1e-6)


def test_a_test_scale_below_the_crop_is_refused(shard_paths):
    with pytest.raises(InputError, match="Q of 60 pixels is smaller than the net's input of 64"):
        posteriors_of(small("A"), shard_paths("val"), method="dense", smallest_side=60, mean=MEAN)


def test_weights_are_blamed_for_posteriors_that_are_not_finite_and_nothing_else(
    evaluating, tmp_path
):
    output = tmp_path / "p.parquet"
    with pytest.raises(InputError, match=r"^Q of 37 pixels is smaller"):
        evaluate.main([*evaluating(), "--scale", "128", "--output", str(output)])
    net = small("A")
    net.features[0].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"^\S+/w\.safetensors: .* posteriors are not finite"):
        evaluate.main([*evaluating(net), "--output", str(output)])
    assert not output.exists()


@pytest.mark.skipif(torch.version.cuda is None, reason="torch for CPUs has no such tensors")
def test_no_tensor_is_left_on_the_cpu_in_a_gpu_run():
    from torch._subclasses.fake_tensor import FakeTensorMode

    from workflow_scripts.vgg.nets.devices import to_input

    with FakeTensorMode(), torch.inference_mode():
        with torch.device("cuda"):
            net = ConvNet(Architecture(CONVNETS["D"], classes=10, crop=64, fc=32, width_divisor=8))
        net.eval()
        pixels = torch.zeros(2, 3, 73, 97, dtype=torch.uint8).to("cuda")
        x = to_input(pixels, torch.zeros(3, device="cuda"), 64.0)
        dense = methods.dense_posteriors(methods.DenseConvNet(net), x)
        crops = methods.multicrop_posteriors(net, x)
    assert dense.device.type == crops.device.type == "cuda"
    assert dense.shape == crops.shape == (2, 10)
