"""Score maps, crops and filters against loops over windows, crops and weights."""

import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from tests.checks import recompute_cells
from tests.helpers.pictured_run import (
    CROP_SCALE,
    FILES,
    MODEL,
    MODELS,
    SCALES,
    WANTED,
    decoded,
    mean_of,
    read,
    true_posterior,
)
from workflow_scripts import draw_filters, look_through_net
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods, score_maps
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.report import net_views
from workflow_scripts.vgg.settings.experiments import Evaluation


@pytest.fixture(scope="module")
def original(shard_paths):
    """`original(id)` is an image of the validation set, decoded by Pillow."""
    shards = Shards(shard_paths("val"))
    places = {name: place for place, name in enumerate(shards.ids())}
    return lambda name: Image.open(io.BytesIO(shards.jpeg(places[name]))).convert("RGB")


@pytest.fixture(scope="module")
def tested(results):
    """The net as tests/checks/recompute_cells.py has it, apart from the library."""
    return recompute_cells.Net.read(results / f"weights/{MODEL}.safetensors", {})


def at_scale(image, Q):
    return recompute_cells.rescaled(image, round(Q * 64 / 224), "bicubic")


@torch.inference_mode()
def test_a_score_map_is_the_soft_max_of_a_loop_over_windows(made, tested, original):
    content = read(made("score_maps.json"))
    assert len(content["images"]) == WANTED["score_maps"]["images"]
    places = Counter()
    for image in content["images"]:
        for map_, Q in zip(image["maps"], SCALES, strict=True):
            views = []
            pixels = at_scale(original(image["id"]), Q)
            for x in (tested.input([pixels]), tested.input([pixels]).flip(3)):
                views.append(recompute_cells.window_scores(tested.tensors, tested.layers, x, 2))
            own = views[0].softmax(2)[..., image["label"]]
            np.testing.assert_allclose(map_["places"], own, rtol=1e-3, atol=1e-5)
            by_view = [scores.mean((0, 1)).softmax(0) for scores in views]
            found = (map_["view"], map_["mirrored"])
            expected = [view[image["label"]] for view in by_view]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
            posterior = sum(by_view) / 2
            assert map_["posterior"] == pytest.approx(float(sum(expected)) / 2, rel=1e-3)
            assert map_["first"]["posterior"] == pytest.approx(float(posterior.max()), rel=1e-3)
            assert map_["highest"] == list(divmod(int(own.argmax()), own.shape[1]))
            assert (map_["width"], map_["height"]) == pixels.size
            places[Q] += own.numel()
    assert places[256] < places[384] < places[512]


def test_a_maps_posterior_is_that_of_the_evaluation(made, results):
    for image in read(made("score_maps.json"))["images"]:
        for map_, Q in zip(image["maps"], SCALES, strict=True):
            _, mean = mean_of(results, [Evaluation(MODEL, "dense", Q)])
            expected = mean.loc[image["id"]]
            assert map_["posterior"] == pytest.approx(expected[image["label"]], rel=1e-3)
            assert map_["first"]["posterior"] == pytest.approx(expected.max(), rel=1e-3)


def test_averaging_after_the_soft_max_gives_the_mean_of_the_map(results, shard_paths, tmp_path):
    words = ["--results", str(results), "--shards", *shard_paths("val"), *FILES]
    words += ["--score-average", "after-softmax", "--output", str(tmp_path)]
    look_through_net.main(words)
    content = read(tmp_path / "score_maps.json")
    for map_ in content["images"][0]["maps"]:
        assert map_["view"] == pytest.approx(np.mean(map_["places"]), rel=1e-4)
    assert content["score_average"] == "after-softmax"


def most_spread(results, evaluations, count):
    """Ids in descending spread of the true class's posterior, one a class."""
    parts = [true_posterior(results, [e]) for e in evaluations]
    table = pd.concat([p for _, p in parts], axis=1)
    spread = (table.max(axis=1) - table.min(axis=1)).sort_index()
    chosen, classes = [], set()
    for name in spread.sort_values(ascending=False, kind="stable").index:
        label = parts[0][0][name]
        if label not in classes:
            classes.add(label)
            chosen.append(name)
    return chosen[:count]


def test_images_are_those_on_which_evaluations_differ_most_one_a_class(made, results):
    dense = [Evaluation(MODEL, "dense", Q) for Q in SCALES]
    found = [image["id"] for image in read(made("score_maps.json"))["images"]]
    assert found == most_spread(results, dense, 4)
    methods = [Evaluation(MODEL, method, CROP_SCALE) for method in ("multicrop", "dense")]
    found = [image["id"] for image in read(made("crops.json"))["images"]]
    assert found == most_spread(results, methods, 2)


@torch.inference_mode()
def test_crops_are_those_of_the_grid_and_their_mean_is_the_evaluations(
    made, tested, original, results
):
    _, mean = mean_of(results, [Evaluation(MODEL, "multicrop", CROP_SCALE)])
    for image in read(made("crops.json"))["images"]:
        pixels = at_scale(original(image["id"]), CROP_SCALE)
        assert np.shape(image["crops"]) == (5, 5)
        for i, j in np.ndindex(5, 5):
            top = round(i * (pixels.height - 64) / 4)
            left = round(j * (pixels.width - 64) / 4)
            assert image["corners"][i][j] == [top, left]
            x = tested.input([pixels.crop((left, top, left + 64, top + 64))])
            views = [
                recompute_cells.window_scores(tested.tensors, tested.layers, v, 2)[0, 0]
                for v in (x, x.flip(3))
            ]
            expected = sum(v.softmax(0)[image["label"]] for v in views) / 2
            assert image["crops"][i][j] == pytest.approx(float(expected), rel=1e-3, abs=1e-6)
        assert image["posterior"] == pytest.approx(np.mean(image["crops"]), rel=1e-4)
        expected = mean.loc[image["id"], image["label"]]
        assert image["posterior"] == pytest.approx(expected, rel=1e-3)
        for e in image["evaluated"]:
            _, of_method = mean_of(results, [Evaluation(MODEL, e["method"], e["Q"])])
            assert e["posterior"] == pytest.approx(of_method.loc[image["id"], image["label"]])


def test_the_sheet_shows_each_crop_at_its_place(made, original):
    for image in read(made("crops.json"))["images"]:
        pixels, sheet = at_scale(original(image["id"]), CROP_SCALE), decoded(image["sheet"])
        side = net_views.SHEET_CROP
        step = side + net_views.SHEET_GAP
        assert sheet.shape == (5 * step - (step - side), 5 * step - (step - side), 4)
        assert (sheet[side:step, :, 3] == 0).all(), "gaps are transparent"
        differences = np.zeros((5, 5, 5, 5))
        for i, j in np.ndindex(5, 5):
            shown = sheet[i * step : i * step + side, j * step : j * step + side, :3].astype(int)
            for k, m in np.ndindex(5, 5):
                top, left = image["corners"][k][m]
                view = pixels.crop((left, top, left + 64, top + 64)).resize((side, side))
                differences[i, j, k, m] = np.abs(shown - np.asarray(view)).mean()
        nearest = differences.reshape(25, 25).argmin(1)
        assert nearest.tolist() == list(range(25))


def test_the_grid_can_lie_on_the_central_square():
    corners = score_maps.crop_corners(73, 98, 64, "central-square")
    assert corners[0][0] == (0, 12)
    assert corners[4][4] == (9, 12 + 9)
    whole = score_maps.crop_corners(73, 98, 64, "whole-image")
    assert whole[4][4] == (9, 34)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[0.4]], "at its only place"),
        ([[0.5, 0.505], [0.5, 0.5]], "nearly equal everywhere"),
        ([[0.1, 0.9], [0.2, 0.3]], "in the upper right"),
        ([[0.1, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.1]], "in the middle"),
        ([[0.1], [0.1], [0.7]], "in the lower middle"),
        ([[0.7, 0.1]], "in the middle left"),
    ],
)
def test_alternative_texts_say_where_a_map_is_highest(values, words):
    assert score_maps.where(np.array(values)) == words


@pytest.mark.skipif(torch.version.cuda is None, reason="torch for CPUs has no such tensors")
def test_no_tensor_is_left_on_the_cpu_in_a_gpu_run(monkeypatch):
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(torch.Tensor, "numpy", lambda self: self)
    with FakeTensorMode():
        with torch.device("cuda"):
            net = ConvNet(Architecture(MODELS["convnets"]["D"], 10, 64, fc=32, width_divisor=8))
            image = torch.zeros(1, 3, 110, 126)
        net.eval()
        found = score_maps.score_map(methods.DenseConvNet(net), image)
        assert found.places.shape == (10, 2, 2)
        assert found.posterior.device.type == "cpu"
        assert score_maps.crop_posteriors(net, image, batch_size=7).shape == (5, 5, 10)


@pytest.mark.parametrize(("count", "side"), [(8, 3), (13, 5)])
def test_filters_are_drawn_pixel_by_pixel_without_loss(count, side, tmp_path):
    weights = np.random.default_rng(count).normal(size=(count, 3, side, side)).astype(np.float32)
    save_file({"features.0.weight": weights}, tmp_path / "A_S256.safetensors")
    words = ["--experiment", "m", "--weights", str(tmp_path / "A_S256.safetensors")]
    draw_filters.main([*words, "--output", str(tmp_path / "filters.json")])
    (net,) = read(tmp_path / "filters.json")["nets"]
    picture = decoded(net["image"])
    assert (net["model"], net["filters"], net["side"]) == ("A_S256", count, side)
    assert picture.shape == (net["height"], net["width"], 4)
    largest = max(abs(float(w)) for w in weights.ravel())
    assert net["largest"] == pytest.approx(largest)
    opaque = np.zeros(picture.shape[:2], bool)
    for f in range(count):
        for y, x in np.ndindex(side, side):
            at = (f // 8 * (side + 1) + y, f % 8 * (side + 1) + x)
            opaque[at] = True
            for channel in range(3):
                exact = 128 + 127 * float(weights[f, channel, y, x]) / largest
                assert abs(int(picture[at][channel]) - exact) <= 0.5 + 1e-4
    assert np.array_equal(picture[..., 3], np.where(opaque, 255, 0))
    assert picture[..., :3][opaque].max() == 255 or picture[..., :3][opaque].min() == 1


def test_a_damaged_weights_file_is_named(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    words = ["--experiment", "m", "--weights", str(tmp_path / "bad.safetensors")]
    with pytest.raises(InputError, match=r"bad\.safetensors: not a readable weights file"):
        draw_filters.main([*words, "--output", str(tmp_path / "f.json")])
