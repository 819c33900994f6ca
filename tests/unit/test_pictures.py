"""The page of pictures: each against a computation of its own, and the page against its files."""

import base64
import csv
import io
import re
from collections import Counter
from itertools import pairwise

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import save_file
from statsmodels.stats.proportion import proportion_confint

from tests.checks import recompute_cells
from tests.conftest import ROOT
from tests.helpers.evaluations import posteriors_of
from tests.helpers.pages import Page, numbers
from workflow_scripts import draw_filters, examine_errors, look_through_net, render_pictures
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.text_artefacts import read_json, write_json
from workflow_scripts.vgg.data.classes import short_names
from workflow_scripts.vgg.data.images import pixels_at
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods, score_maps
from workflow_scripts.vgg.evaluation.posteriors import write_posteriors
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import save_weights
from workflow_scripts.vgg.report import net_views, pictures_page
from workflow_scripts.vgg.report.thumbnails import thumbnail
from workflow_scripts.vgg.results.predictions import best_fused, class_errors, predictions
from workflow_scripts.vgg.settings import pictures_wanted
from workflow_scripts.vgg.settings.experiments import Evaluation, read_tables

WANTED = yaml.safe_load((ROOT / "config/pictures.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "config/schemas/pictures.schema.yaml").read_text())
MODELS = yaml.safe_load((ROOT / "config/models.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
TABLES = read_tables([ROOT / "config/tables.yaml"])
MODEL, SCALES, CROP_SCALE = "D_S256-512", (256, 384, 512), 384
MEAN = [120, 115, 100]
FILES = ["--pictures", str(ROOT / "config/pictures.yaml")]
OF_TABLES = ["--tables", str(ROOT / "config/tables.yaml")]


@pytest.fixture(scope="module")
def results(packed, shard_paths, tmp_path_factory):
    """A run's results: a random D with its posteriors, and random posteriors of all else."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "classes.parquet").write_bytes((packed / "classes.parquet").read_bytes())
    net = ConvNet(Architecture(MODELS["convnets"]["D"], 10, 64, fc=64, width_divisor=8))
    initialise(net, "he", seed=5)
    save_weights(folder / f"weights/{MODEL}.safetensors", net, 58.0, {"mean_rgb": MEAN})
    net.features[0].weight.data /= 58
    shards = Shards(shard_paths("val"))
    ids, labels = list(shards.ids()), shards.labels
    wanted = {*pictures_wanted.looked_through(WANTED), *pictures_wanted.examined(WANTED, TABLES)}
    draw = np.random.default_rng(3)
    for e in sorted(wanted, key=str):
        if e.model == MODEL and (e.method == "dense" or e.Q == CROP_SCALE):
            posteriors = posteriors_of(
                net,
                shard_paths("val"),
                method=e.method,
                smallest_side=pixels_at(e.Q, 64),
                mean=MEAN,
            )
        else:
            scores = 1.5 * np.eye(10)[labels] + 2 * draw.normal(size=(len(ids), 10))
            posteriors = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        write_posteriors(e.path(folder, "val"), ids, labels, posteriors, {})
    return folder


@pytest.fixture(scope="module")
def made(results, shard_paths, tmp_path_factory):
    """`made(name)` is the path of a picture's file, as the commands write it."""
    folder = tmp_path_factory.mktemp("pictures")
    shards = ["--shards", *shard_paths("val")]
    words = [*FILES, "--results", str(results), *shards, "--output", str(folder)]
    look_through_net.main(words)
    examine_errors.main([*words, *OF_TABLES])
    weights = str(results / f"weights/{MODEL}.safetensors")
    words = ["--experiment", "m", "--weights", weights]
    draw_filters.main([*words, "--output", str(folder / "filters.json")])
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return lambda name: folder / name


def read(path):
    return read_json(path)


def lines_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def decoded(uri):
    """The picture in a data URI, uint8 [height, width, channels]."""
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))


def mean_of(results, evaluations):
    """Labels and mean posteriors by image id, as pandas reads them."""
    frames = [pd.read_parquet(e.path(results, "val")).set_index("id") for e in evaluations]
    mean = np.mean([np.stack(f["posterior"]).astype(float) for f in frames], axis=0)
    return frames[0]["label"], pd.DataFrame(mean, index=frames[0].index)


def row(table, name):
    (found,) = (r for r in TABLES[table]["rows"] if r["name"] == name)
    return [Evaluation(e["model"], e["method"], Q) for e in found["evaluations"] for Q in e["Q"]]


def true_posterior(results, evaluations):
    labels, mean = mean_of(results, evaluations)
    return labels, pd.Series(mean.to_numpy()[np.arange(len(labels)), labels], index=mean.index)


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


# What the net sees


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


# What the nets get wrong


def by_systems():
    return {
        "D": row("table5", "D_both"),
        "E": row("table5", "E_both"),
        "fusion": row("table6", "D_E_both"),
    }


def test_first_classes_and_ranks_are_those_of_the_mean_posteriors(made, results, classes):
    content, words = read(made("images.json")), classes.set_index("label")["words"]
    for name, evaluations in by_systems().items():
        labels, mean = mean_of(results, evaluations)
        for image in content["hardest"] + content["best_fused"]:
            (system,) = (s for s in image["systems"] if s["system"] == name)
            order = mean.loc[image["id"]].sort_values(ascending=False, kind="stable")
            assert [f["class"] for f in system["first"]] == words[order.index[:5]].tolist()
            found = [f["posterior"] for f in system["first"]]
            np.testing.assert_allclose(found, order.iloc[:5], rtol=1e-9)
            assert image["label"] == labels[image["id"]]
            assert system["rank"] == order.index.tolist().index(image["label"]) + 1
            assert system["posterior"] == pytest.approx(order[image["label"]])
            true = [f["rank"] for f in system["first"] if f["true"]]
            assert true == ([system["rank"]] if system["rank"] <= 5 else [])


def test_the_hardest_images_have_the_lowest_posterior_of_their_class(made, results):
    _, own = true_posterior(results, by_systems()["fusion"])
    expected = own.sort_values(kind="stable").index[:6].tolist()
    assert [image["id"] for image in read(made("images.json"))["hardest"]] == expected


def test_best_fused_are_right_where_most_nets_are_wrong(made, results):
    keys = {}
    labels, fusion = mean_of(results, by_systems()["fusion"])
    for name, label in labels.items():
        if fusion.loc[name].idxmax() != label:
            continue
        parts = [mean_of(results, by_systems()[net])[1].loc[name].idxmax() for net in "DE"]
        second, first = np.sort(fusion.loc[name])[-2:]
        if wrong := sum(part != label for part in parts):
            keys[name] = (-wrong, second - first)
    assert len(keys) >= 6
    found = [image["id"] for image in read(made("images.json"))["best_fused"]]
    assert found == sorted(keys, key=keys.get)[:6]


def test_nets_that_are_all_wrong_go_before_a_clear_lead(tmp_path):
    labels = np.array([0, 0, 0, 0, 0])
    one = [
        [0.40, 0.45, 0.15],
        [0.1, 0.6, 0.3],
        [0.40, 0.50, 0.10],
        [0.9, 0.05, 0.05],
        [0.3, 0.6, 0.1],
    ]
    two = [
        [0.40, 0.15, 0.45],
        [0.9, 0.0, 0.1],
        [0.45, 0.05, 0.50],
        [0.8, 0.10, 0.10],
        [0.5, 0.4, 0.1],
    ]
    paths = []
    for name, posteriors in (("one", one), ("two", two)):
        paths.append(tmp_path / f"{name}.parquet")
        write_posteriors(paths[-1], list("abcde"), labels, np.array(posteriors, np.float32), {})
    nets = [predictions([path]) for path in paths]
    # Leads of the fusion: a 0.10, b 0.20, c 0.125; d has no net wrong, e is wrong itself.
    assert best_fused(predictions(paths), nets, 5) == [2, 0, 1]
    assert best_fused(predictions(paths), nets, 2) == [2, 0]
    assert best_fused(predictions(paths), [], 5) == []


def test_images_csv_has_a_line_an_image_system_and_rank(made, classes):
    content, words = read(made("images.json")), classes.set_index("wnid")["words"]
    expected = []
    for group in ("hardest", "best_fused"):
        for image in content[group]:
            for system in image["systems"]:
                first = [(f["rank"], f["class"], f["posterior"]) for f in system["first"]]
                if system["rank"] > 5:
                    first.append((system["rank"], image["class"], system["posterior"]))
                expected += [(group, image["id"], system["system"], *values) for values in first]
    lines = lines_of(made("images.csv"))
    assert [
        (x["group"], x["id"], x["system"], int(x["rank"]), x["class"], float(x["posterior"]))
        for x in lines
    ] == expected
    assert {int(line["rank"]) for line in lines} > {1, 2, 3, 4, 5}
    assert all(words[x["wnid"]] == x["class"] for x in lines)
    assert all(words[x["true_wnid"]] == x["true_class"] for x in lines)


def test_class_errors_equal_a_crosstab_with_statsmodels_intervals(made, results):
    labels, mean = mean_of(results, by_systems()["fusion"])
    order = np.argsort(-mean.to_numpy(), axis=1, kind="stable")
    wrong = pd.Series(order[:, 0] != labels.to_numpy())
    wrong_top5 = pd.Series((order[:, :5] != labels.to_numpy()[:, None]).all(1))
    lines = lines_of(made("classes.csv"))
    assert len(lines) == 10
    for label, line in enumerate(lines):
        own = (labels == label).to_numpy()
        images, errors = int(own.sum()), int(wrong[own].sum())
        assert (int(line["images"]), int(line["wrong"])) == (images, errors)
        assert int(line["wrong_top5"]) == wrong_top5[own].sum()
        assert float(line["top1_error"]) == pytest.approx(100 * errors / images)
        assert float(line["top5_error"]) == pytest.approx(100 * wrong_top5[own].mean())
        low, high = proportion_confint(errors, images, method="wilson")
        assert float(line["top1_low"]) == pytest.approx(100 * low, abs=1e-9)
        assert float(line["top1_high"]) == pytest.approx(100 * high)
    assert wrong_top5.any()
    stored = read(made("classes.json"))["classes"]
    assert [{k: str(v) for k, v in c.items()} for c in stored] == lines


def test_confused_pairs_equal_a_crosstab(made, results):
    labels, mean = mean_of(results, by_systems()["fusion"])
    table = pd.crosstab(labels, mean.to_numpy().argmax(1)).stack()
    expected = {pair: n for pair, n in table.items() if n and pair[0] != pair[1]}
    lines = lines_of(made("confusions.csv"))
    found = {(int(x["true_label"]), int(x["predicted_label"])): int(x["images"]) for x in lines}
    assert found == expected
    images = labels.value_counts()
    for line in lines:
        share = 100 * int(line["images"]) / images[int(line["true_label"])]
        assert float(line["share"]) == pytest.approx(share)
    counts = [int(line["images"]) for line in lines]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 1
    content = read(made("classes.json"))
    assert content["pairs"] == len(lines)
    shown = [{k: str(v) for k, v in pair.items()} for pair in content["confusions"]]
    assert shown == lines[: WANTED["classes"]["confusions"]]


def test_a_class_without_images_has_no_error(results):
    errors = class_errors(predictions([Evaluation(MODEL, "dense", 256).path(results, "val")]), 12)
    assert errors[11]["images"] == errors[11]["wrong"] == 0
    assert errors[11]["top1_error"] is errors[11]["top1_low"] is errors[11]["top5_error"] is None


def test_two_classes_of_one_name_are_told_apart():
    words = ["crane", "heron", "crane, derrick", "tank suit, maillot"]
    assert short_names(["n1", "n2", "n3", "n4"], words) == [
        "crane (n1)",
        "heron",
        "crane (n3)",
        "tank suit",
    ]


# Filters


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


# The files and the page


def page_of(made, folder, *words):
    arguments = []
    for kind in pictures_page.KEYS:
        path = folder / f"{kind}.json"
        arguments += [
            f"--{kind.replace('_', '-')}",
            str(path if path.exists() else made(path.name)),
        ]
    arguments += ["--config", str(made("config.yaml")), "--output", str(folder / "pictures.html")]
    render_pictures.main([*arguments, *words])
    return (folder / "pictures.html").read_text()


@pytest.fixture(scope="module")
def html(made, tmp_path_factory):
    return page_of(made, tmp_path_factory.mktemp("page"), "--pages", "index", "table6")


def test_the_same_inputs_give_the_same_bytes(made, html, results, shard_paths, tmp_path):
    words = [*FILES, "--results", str(results), "--shards", *shard_paths("val")]
    look_through_net.main([*words, "--output", str(tmp_path)])
    examine_errors.main([*words, *OF_TABLES, "--output", str(tmp_path)])
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(
        [f"{name}.json" for name in ("score_maps", "crops", "images", "classes")]
        + [f"{name}.csv" for name in ("images", "classes", "confusions")]
    )
    for name in written:
        assert (tmp_path / name).read_bytes() == made(name).read_bytes(), name
    assert page_of(made, tmp_path, "--pages", "index", "table6") == html


def has_row(page, values):
    """Whether a row has these values; what follows a table counts to its last row."""
    return any(row[: len(values)] == values for row in page.rows)


def test_maps_and_crops_stand_in_tables_as_in_their_files(made, html):
    page = Page(html)
    for image in read(made("score_maps.json"))["images"]:
        for map_ in image["maps"]:
            for values in map_["places"]:
                assert has_row(page, values)
            shown = (map_["view"], map_["mirrored"], map_["posterior"], map_["first"]["posterior"])
            assert set(shown) <= page.values
    for image in read(made("crops.json"))["images"]:
        for values in image["crops"]:
            assert has_row(page, values)
        assert {image["posterior"], image["evaluated"][1]["posterior"]} <= page.values


def test_answers_classes_and_filters_are_shown_as_in_their_files(made, html):
    page, content = Page(html), read(made("images.json"))
    for image in content["hardest"] + content["best_fused"]:
        for place in range(5):
            first = [system["first"][place]["posterior"] for system in image["systems"]]
            assert has_row(page, first)
        last = [value for s in image["systems"] for value in (s["rank"], s["posterior"])]
        assert has_row(page, last)
        assert image["id"] in page.text
    content = read(made("classes.json"))
    columns = ("images", "wrong", "top1_error", "top1_low", "top1_high", "top5_error")
    for c in content["classes"]:
        assert has_row(page, [c[column] for column in columns])
    for pair in content["confusions"]:
        assert has_row(page, [pair["images"], pair["share"]])
        assert re.search(rf"{pair['true_class']}\s+{pair['predicted_class']}\s", page.text)
    assert numbers([net["largest"] for net in read(made("filters.json"))["nets"]]) <= page.values


def test_the_csv_files_have_the_pages_numbers(made, html):
    page = Page(html)
    assert {float(line["posterior"]) for line in lines_of(made("images.csv"))} <= page.values
    for line in lines_of(made("classes.csv")):
        assert float(line["top1_error"]) in page.values


def test_the_page_loads_nothing_and_every_picture_has_a_text_of_its_own(html):
    page = Page(html)
    assert not page.tags.keys() & {"link", "iframe", "object", "image"}
    assert "url(" not in html
    assert "@import" not in html
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    texts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(sources) == len(texts) == page.tags["img"] == 4 * 4 + 2 * 3 + 12 + 1
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert all(len(text) > 20 for text in texts)
    ids = [re.search(r"ILSVRC2012_val_\d{8}", text) for text in texts]
    assert sum(map(bool, ids)) == len(texts) - 1, "all but the filters' name their image"
    assert len(html) < 1_000_000
    identifiers = Counter(value for _, name, value in page.attributes if name == "id")
    assert identifiers.most_common(1)[0][1] == 1


def test_only_pages_that_are_there_are_linked(made, html, tmp_path):
    def links(text):
        targets = [v for tag, name, v in Page(text).attributes if (tag, name) == ("a", "href")]
        return {t for t in targets if not t.startswith(("#", "https:"))}

    assert links(html) == {"index.html", "table6.html"}
    assert links(page_of(made, tmp_path)) == set()


def test_contents_lead_to_sections(html):
    page = Page(html)
    identifiers = {value for _, name, value in page.attributes if name == "id"}
    targets = [v for tag, name, v in page.attributes if (tag, name) == ("a", "href")]
    assert {t[1:] for t in targets if t.startswith("#")} <= identifiers


def contrast(colour, other):
    """WCAG's contrast ratio of two sRGB colours, components 0 to 1."""

    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_numbers_on_colours_are_legible_and_colours_grow_lighter():
    lightness = []
    for value in np.linspace(0, 1, 101):
        style = dict(part.split(":") for part in pictures_page.heat(value).split(";"))
        rgb = [int(style["background"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        ink = {"#000": (0, 0, 0), "#fff": (1, 1, 1)}[style["color"]]
        assert contrast(rgb, ink) >= 4.5, value
        lightness.append(contrast(rgb, (0, 0, 0)))
    assert all(a < b for a, b in pairwise(lightness)), "so they can be told in grey"


def test_a_thousand_classes_are_cut_to_the_worst_and_the_best(made, tmp_path):
    content = read(made("classes.json"))
    draw = np.random.default_rng(0)
    content["classes"] = [
        content["classes"][0]
        | {"label": k, "class": f"class{k:03d}", "top1_error": float(error), "top1_high": 99.5}
        for k, error in enumerate(draw.permutation(1000) / 10)
    ]
    write_json(tmp_path / "classes.json", content)
    page = Page(page_of(made, tmp_path))
    order = sorted(content["classes"], key=lambda c: -c["top1_error"])
    shown = re.findall(r"class\d{3}", page.text)
    assert shown == [c["class"] for c in order[:25] + order[-10:]]
    spaced = " ".join(page.text.split())
    assert "Of 1,000 classes, the 25 with the highest top-1 error and the 10 with the lowest" in (
        spaced
    )


def test_what_needs_missing_models_is_left_out_and_said_so(
    made, results, shard_paths, classes, tmp_path
):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "classes.parquet").write_bytes((results / "classes.parquet").read_bytes())
    words = [*FILES, "--results", str(bare), "--shards", *shard_paths("val")]
    words += ["--models", "A_S256", "E_S256-512", "--output", str(tmp_path)]
    look_through_net.main(words)
    examine_errors.main([*words, *OF_TABLES])
    for name in ("score_maps", "crops", "images", "classes"):
        assert read(tmp_path / f"{name}.json")["missing"] == [MODEL]
    assert lines_of(tmp_path / "images.csv") == lines_of(tmp_path / "classes.csv") == []
    page = Page(page_of(made, tmp_path))
    assert " ".join(page.text.split()).count(f"Left out: this run has no {MODEL}.") == 6
    assert page.tags["img"] == 1, "the filters"
    wanted = pictures_wanted.looked_through(WANTED, ["A_S256", "E_S256-512"])
    assert wanted == pictures_wanted.examined(WANTED, TABLES, ["A_S256"]) == []


def test_one_net_suffices_for_what_is_asked_of_it_alone(results, shard_paths, tmp_path):
    alone = WANTED | {
        "images": {"nets": {}, "fusion": "table5/D_both", "hardest": 2, "best_fused": 3},
        "classes": WANTED["classes"] | {"row": "table5/D_both"},
    }
    (tmp_path / "alone.yaml").write_text(yaml.safe_dump(alone))
    jsonschema.validate(alone, SCHEMA)
    words = ["--pictures", str(tmp_path / "alone.yaml"), *OF_TABLES, "--results", str(results)]
    words += ["--shards", *shard_paths("val"), "--models", MODEL, "--output", str(tmp_path)]
    examine_errors.main(words)
    content = read(tmp_path / "images.json")
    assert (len(content["hardest"]), content["best_fused"]) == (2, [])
    assert [s["system"] for s in content["hardest"][0]["systems"]] == ["fusion"]
    expected = {Evaluation(MODEL, m, Q) for m in ("dense", "multicrop") for Q in SCALES}
    assert set(pictures_wanted.examined(alone, TABLES, [MODEL])) == expected


def test_names_of_classes_and_images_are_shown_as_text(made, tmp_path):
    hostile = "<script>alert('S')</script>\"&<b>"
    content = read(made("score_maps.json"))
    content["images"][0]["class"] = content["images"][0]["maps"][0]["alt"] = hostile
    write_json(tmp_path / "score_maps.json", content)
    content = read(made("images.json"))
    content["hardest"][0]["systems"][0]["first"][0]["class"] = hostile
    content["hardest"][0]["id"] = hostile
    write_json(tmp_path / "images.json", content)
    page = Page(page_of(made, tmp_path))
    assert not page.tags["b"]
    assert page.text.count(hostile) >= 3
    assert ("img", "alt", hostile) in page.attributes


def test_photographs_are_shrunk_to_thumbnails(tmp_path):
    y, x = np.mgrid[:300, :450]
    pixels = np.stack([y % 256, x % 256, (x + y) % 256], axis=2).astype(np.uint8)
    small = decoded(thumbnail(pixels))
    assert small.shape == (128, 192, 3)
    reference = np.asarray(Image.fromarray(pixels).resize((192, 128), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - reference).mean() < 12
    assert decoded(thumbnail(pixels[:50, :60])).shape == (50, 60, 3), "never enlarged"


def test_an_image_that_no_shard_has_is_named(results, shard_paths, tmp_path):
    words = [*FILES, *OF_TABLES, "--results", str(results), "--output", str(tmp_path)]
    with pytest.raises(
        InputError, match=r"image ILSVRC2012_val_\d+: has posteriors but is in none"
    ):
        examine_errors.main([*words, "--shards", shard_paths("val")[0]])


def test_a_wrong_file_is_named(made, tmp_path):
    (tmp_path / "crops.json").write_text("{}")
    with pytest.raises(InputError, match=r"crops\.json: not the crops of the pictures; it lacks"):
        page_of(made, tmp_path)
    (tmp_path / "crops.json").write_text("nothing")
    with pytest.raises(InputError, match=r"crops\.json: is damaged: not JSON"):
        page_of(made, tmp_path)


# What is asked for


def test_the_shipped_wishes_fit_their_schema_and_name_what_there_is():
    jsonschema.validate(WANTED, SCHEMA)
    pictures_wanted.check_pictures(WANTED, MODELS["models"], TABLES)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("score_maps", {"q": 256}),
        ("score_maps", {"Q": []}),
        ("score_maps", {"Q": [200]}),
        ("crops", {"images": -1}),
        ("images", {"nets": {"fusion": "table5/D_both"}}),
        ("images", {"fusion": "D_both"}),
        ("classes", {"worst": "all"}),
    ],
)
def test_a_slip_in_what_is_asked_for_is_found(section, change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(WANTED | {section: WANTED[section] | change}, SCHEMA)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("crops", {"model": "F_S256"}, "pictures: crops: F_S256 is not in models.yaml"),
        ("images", {"nets": {"D": "table5/no"}}, "pictures: table5/no is no row of the tables"),
        ("classes", {"row": "table1/A"}, "pictures: table1/A is no row of the tables"),
    ],
)
def test_models_and_rows_must_be_defined(section, change, message):
    wanted = WANTED | {section: WANTED[section] | change}
    with pytest.raises(InputError, match=message):
        pictures_wanted.check_pictures(wanted, MODELS["models"], TABLES)
