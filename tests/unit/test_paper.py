"""The paper's protocol, sentence by sentence, against computations that share no code with ours.

In the order of the paper's sections. docs/paper_to_code.md lists the sentences with these tests and
those of other files. What the nets are compared with, torch.nn.functional calls on the tensors of a
state dict, is in recompute_cells.py.
"""

import ast
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps
from torch import nn

from tests.checks import recompute_cells
from tests.conftest import ROOT
from tests.helpers.evaluations import posteriors_of
from workflow_scripts import train
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import sampling
from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.data.pixel_statistics import pixel_statistics
from workflow_scripts.vgg.data.shards import Shards, write_shard
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.evaluation.posteriors import outcomes, write_posteriors
from workflow_scripts.vgg.nets import initialisation
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.devices import to_input
from workflow_scripts.vgg.nets.dropout import seek_dropout
from workflow_scripts.vgg.nets.weights import save_weights
from workflow_scripts.vgg.settings import experiments
from workflow_scripts.vgg.training.history import read_history
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training

CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
TABLES = yaml.safe_load((ROOT / "config/tables.yaml").read_text())
MEAN = [123.68, 116.78, 103.94]
SCALE = 64.0  # divides the inputs, so that nets with random weights are not sure of a class
INPUT = {"mean": MEAN, "input_scale": SCALE}


def picture(height, width, seed=0):
    """A smooth picture whose colours go together as in photographs, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / min(height, width)
    planes = np.zeros((height, width, 3))
    for axis in ([1, 0.9, 0.8], [0.4, 0, -0.4], [-0.1, 0.2, -0.1]):
        for _ in range(4):
            across, down, phase = rng.uniform(1, 12), rng.uniform(1, 12), rng.uniform(0, 6)
            planes += np.sin(across * x + down * y + phase)[:, :, None] * axis
    planes[height // 3 : height // 2, width // 4 : width // 2] *= -1
    return np.round(np.clip(rng.uniform(90, 150) + 25 * planes, 0, 255)).astype(np.uint8)


def store(folder, pictures):
    """A shard of pictures, PNGs to be free of decoders' differences; their labels are 0, 1, …"""
    rows = []
    for number, pixels in enumerate(pictures):
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        rows.append((f"{number:03d}", number, encoded.getvalue(), *pixels.shape[:2]))
    write_shard(folder / "shard.arrow", rows)
    return [str(folder / "shard.arrow")]


@pytest.fixture(scope="module")
def pictures():
    """Ten small pictures of several sizes."""
    return [picture(90 + 7 * n, 150 - 6 * n, seed=n) for n in range(10)]


@pytest.fixture(scope="module")
def paths(pictures, tmp_path_factory):
    """A shard of them."""
    return store(tmp_path_factory.mktemp("pictures"), pictures)


def small(layers, dropout=0.0, **fields):
    """A narrow net of these layers and its state dict."""
    fields = {"classes": 10, "crop": 64, "fc": 64, "width_divisor": 8} | fields
    net = ConvNet(Architecture(layers, **fields), dropout)
    initialisation.initialise(net, "he", seed=4)
    for number, layer in enumerate([*net.conv_layers, *net.fc_layers]):
        generator = torch.Generator().manual_seed(number)
        nn.init.normal_(layer.bias, 0, 0.1, generator=generator)
    return net.eval(), net.state_dict()


def as_input(image):
    """An image as the nets take it."""
    x = torch.tensor(np.array(image), dtype=torch.float32).permute(2, 0, 1)[None]
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / SCALE


# §2 ConvNet configurations


def test_s2_1_preprocessing_is_the_training_sets_mean_rgb_subtracted_from_each_pixel(
    pictures, paths
):
    """The only preprocessing is to subtract the mean RGB of the training set from each pixel."""
    statistics = pixel_statistics(Shards(paths), threads=1)
    mean = torch.tensor(statistics["mean_rgb"], dtype=torch.float64)
    inputs = [to_input(torch.tensor(p).permute(2, 0, 1)[None], mean, 1.0) for p in pictures]
    pixels = torch.cat([x.flatten(2) for x in inputs], dim=2)[0]
    assert pixels.mean(1).abs().max() < 1e-9
    raw = np.concatenate([p.reshape(-1, 3) for p in pictures]).T
    np.testing.assert_allclose(pixels.diff(dim=1), np.diff(raw.astype(float)), atol=1e-9)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["A-LRN", "C", "B-5x5"])
def test_s2_1_nets_that_torchvision_lacks_are_their_layers_written_out(name):
    """Convs of stride 1 that keep the size, a ReLU behind every hidden layer, five max-pools of 2×2
    with stride 2, three FC layers; A-LRN normalises the first conv layer's rectified responses."""
    net, tensors = small(CONVNETS[name])
    x = as_input(picture(64, 64))
    expected = recompute_cells.fc_scores(
        tensors, recompute_cells.feature_map(tensors, CONVNETS[name], x)
    )
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4 * expected.abs().max())


def receptive_fields(name):
    """Side of what one place sees of the input of its block, for each block of a net."""
    sides, side = [], 1
    for module in small(CONVNETS[name])[0].features:
        if isinstance(module, nn.Conv2d):
            side += module.kernel_size[0] - 1
        elif isinstance(module, nn.MaxPool2d):
            sides.append(side)
            side = 1
    return sides


def test_s2_3_stacks_of_3x3_convs_see_as_much_as_5x5_and_7x7():
    """Two 3×3 convs see 5×5 pixels and three see 7×7; so B-5x5 sees what B sees (§4.1)."""
    assert receptive_fields("B") == receptive_fields("B-5x5") == [5] * 5
    assert receptive_fields("D") == [5, 5, 7, 7, 7]


# §3.1 Training


def test_s3_1_sgd_with_momentum_and_weight_decay_by_hand(paths):
    """Multinomial logistic regression by SGD with momentum 0.9, weight decay 5·10⁻⁴ and rate 10⁻²,
    one rate for all layers: two steps in float64."""
    layers = CONVNETS["A"]
    net, start = small(layers, width_divisor=16)
    start = {name: tensor.double().clone() for name, tensor in start.items()}
    images = TrainingImages(paths, 3, 8, 64, (256, 512), np.diag([9.0, 4.0, 2.0]))
    settings = Optimisation(
        batch_size=8, iterations=2, validation_interval=2, dropout=0.0, input_scale=SCALE
    )
    training = Training(net, images, settings, MEAN)
    for iteration in range(2):
        training.step(images[iteration])

    def after_two_steps(momentum, decay):
        weights = {name: tensor.clone() for name, tensor in start.items()}
        velocity = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
        for batch in (images[0], images[1]):
            tensors = {name: w.clone().requires_grad_() for name, w in weights.items()}
            mean = torch.tensor(MEAN, dtype=torch.float64)
            offset = (batch.shifts.double() - mean).view(-1, 3, 1, 1)
            x = (batch.images.double() + offset) / SCALE
            scores = recompute_cells.fc_scores(
                tensors, recompute_cells.feature_map(tensors, layers, x)
            )
            likelihood = scores.exp() / scores.exp().sum(1, keepdim=True)
            loss = -likelihood[range(8), batch.labels].log().sum() / 8
            loss.backward()
            for name, w in weights.items():
                gradient = tensors[name].grad + decay * w
                velocity[name] = momentum * velocity[name] - 0.01 * gradient
                weights[name] = w + velocity[name]
        return weights

    def distance(expected):
        found = net.state_dict()
        return max((found[name] - tensor).abs().max().item() for name, tensor in expected.items())

    near = distance(after_two_steps(0.9, 5e-4))
    assert near < 3e-7
    for other in ((0.9, 0.0), (0.8, 5e-4), (0.9, 1e-3)):
        assert distance(after_two_steps(*other)) > 5 * near, "the two must be told apart"


@torch.inference_mode()
def test_s3_1_dropout_of_half_follows_the_first_two_fc_layers_only():
    """Dropout with ratio 0.5 regularises the first two fully-connected layers."""
    net, tensors = small(CONVNETS["A"], dropout=Optimisation().dropout, fc=512)
    x = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 50
    seen = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: seen.update({name: inputs[0].clone()})
            )
    net(x)
    without = dict(seen)
    net.train()
    seek_dropout(net, seed=1, iteration=0, rows=None, batch_size=8)
    scores = net(x)
    for name in without:
        assert torch.equal(seen[name], without[name]) == (
            name not in ("classifier.3", "classifier.6")
        ), name
    for number, (above, below) in enumerate([(0, 3), (3, 6)]):
        weight, bias = (tensors[f"classifier.{above}.{kind}"] for kind in ("weight", "bias"))
        hidden = (seen[f"classifier.{above}"] @ weight.T + bias).clamp(min=0)
        left = seen[f"classifier.{below}"]
        dropped = (left == 0) & (hidden > 0)
        assert dropped.sum() / (hidden > 0).sum() == pytest.approx(0.5, abs=0.03), number
        torch.testing.assert_close(left, 2 * hidden * ~dropped, rtol=1e-4, atol=1e-3)
    last = seen["classifier.6"] @ tensors["classifier.6.weight"].T + tensors["classifier.6.bias"]
    torch.testing.assert_close(scores, last, rtol=1e-4, atol=1e-3)


def test_s3_1_the_rate_falls_three_times_and_training_ends_on_the_plateau_after(
    pictures, paths, tmp_path, monkeypatch
):
    """The rate starts at 10⁻², is divided by 10 when validation accuracy stops improving, three
    times in all, and training stops."""
    plateaus = {  # the rate, and the validation errors while it lasts: two without a new best
        1e-2: [90, 80, 81, 80],
        1e-3: [60, 60, 61],
        1e-4: [59, 58, 59, 57, 57, 58],
        1e-5: [56, 56, 56],
    }
    errors = iter([float(error) for each in plateaus.values() for error in each])
    rates, step = [], torch.optim.SGD.step

    def recorded(self, *arguments, **keywords):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    monkeypatch.setattr(train, "validate", lambda *_: (int(next(errors)), 5))  # of 100 images
    (tmp_path / "val").mkdir()
    statistics = {"mean_rgb": MEAN, "eigenvectors": np.eye(3).tolist(), "eigenvalues": [0] * 3}
    write_json(tmp_path / "statistics.json", statistics)
    values = {
        "model": "A", "net": "A", "layers": "conv3-64", "crop": 8, "classes": 10, "fc": 8,
        "width_divisor": 8, "train_scale": 256, "batch_size": 2, "iterations": 1000,
        "validation_interval": 5, "patience": 2, "input_scale": 255, "initialisation": "he",
        "statistics": tmp_path / "statistics.json", "checkpoints": tmp_path / "checkpoints",
        "output": tmp_path / "w.safetensors", "history": tmp_path / "h.csv",
    }  # fmt: skip
    words = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    words += ["--train-shards", *paths]
    train.main([*words, "--val-shards", *store(tmp_path / "val", 10 * pictures)])
    history = read_history(tmp_path / "h.csv").lines
    expected = [rate for rate, each in plateaus.items() for _ in each]
    assert [line.learning_rate for line in history] == pytest.approx(expected, rel=1e-12)
    assert rates == pytest.approx(np.repeat(expected, 5).tolist(), rel=1e-12)
    assert next(errors, None) is None, "the last plateau ends the training"


# The conv layers by block and place, as Table 1 lists them, and their places among torchvision's
# modules; by hand. A's first four conv layers are conv1_1, conv2_1, conv3_1 and conv3_2.
LAYERS = {
    "A": {"conv1_1": 0, "conv2_1": 3, "conv3_1": 6, "conv3_2": 8, "conv4_1": 11, "conv4_2": 13,
          "conv5_1": 16, "conv5_2": 18},
    "B": {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10, "conv3_2": 12,
          "conv4_1": 15, "conv4_2": 17, "conv5_1": 20, "conv5_2": 22},
    "C": {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7,
          "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv4_1": 17, "conv4_2": 19, "conv4_3": 21,
          "conv5_1": 24, "conv5_2": 26, "conv5_3": 28},
    "D": {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7,
          "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv4_1": 17, "conv4_2": 19, "conv4_3": 21,
          "conv5_1": 24, "conv5_2": 26, "conv5_3": 28},
    "E": {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7,
          "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
          "conv4_1": 19, "conv4_2": 21, "conv4_3": 23, "conv4_4": 25,
          "conv5_1": 28, "conv5_2": 30, "conv5_3": 32, "conv5_4": 34},
}  # fmt: skip
TAKEN = {"conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"}


def layer_tensors(tensors, name):
    """{layer: its weights and biases} of a state dict."""
    places = {layer: f"features.{place}" for layer, place in LAYERS[name].items()}
    places |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    assert {f"{place}.{kind}" for place in places.values() for kind in ("weight", "bias")} == set(
        tensors
    )
    return {
        layer: (tensors[f"{place}.weight"], tensors[f"{place}.bias"])
        for layer, place in places.items()
    }


@pytest.mark.parametrize("name", "BCDE")
def test_s3_1_deeper_nets_begin_with_layers_of_a(name, tmp_path):
    """The first four conv layers and the last three FC layers are those of the trained A; the
    layers between are random, with biases of 0."""
    parent, _ = small(CONVNETS["A"], width_divisor=4)
    metadata = {"model": "A_S256", "mean_rgb": MEAN}
    save_weights(tmp_path / "A.safetensors", parent, SCALE, metadata)
    words = ["--model", name, "--net", name, "--layers", CONVNETS[name], "--inherit", "layers-of-A"]
    words += ["--crop", "64", "--classes", "10", "--fc", "64", "--width-divisor", "4"]
    words += ["--parent", str(tmp_path / "A.safetensors"), "--train-scale", "256"]
    for unused in ("train-shards", "val-shards", "statistics", "checkpoints", "output", "history"):
        words += [f"--{unused}", "none"]
    given = train.parse(words)
    net = ConvNet(train.architecture_of(given))
    train.begin(net, given, SCALE)
    theirs = layer_tensors(parent.state_dict(), "A")
    for layer, (weight, bias) in layer_tensors(net.state_dict(), name).items():
        if layer in TAKEN:
            torch.testing.assert_close((weight, bias), theirs[layer], rtol=1e-6, atol=0)
        else:
            assert not bias.any(), layer
            # The default is the paper's 10⁻², as a standard deviation.
            bound = 5 * 0.01 / math.sqrt(2 * weight.numel())
            assert weight.std().item() == pytest.approx(0.01, abs=bound), layer


def test_s3_1_batches_of_256_visit_each_image_once_an_epoch_and_wrap():
    """Batches of 256; 370,000 iterations are 74 epochs of 1,281,167 images."""
    images, size = 1_281_167, Optimisation().batch_size
    assert size == 256
    assert math.ceil(Optimisation().iterations * size / images) == 74
    last = images // size  # the batch in which the first epoch ends and the second begins
    batches = [
        sampling.batch_at(1, iteration, size, images, (256, 256), np.eye(3))
        for iteration in [*range(last + 1), 2 * last]
    ]
    assert all(len(batch.images) == size for batch in batches)
    first = np.concatenate([batch.images for batch in batches[: last + 1]])
    assert np.array_equal(np.bincount(first[:images], minlength=images), np.ones(images))
    assert first.max() == images - 1
    assert not np.array_equal(first[images:], first[: len(first) - images]), "a new order"
    flips = np.concatenate([batch.flips for batch in batches[: last + 1]])
    assert flips.mean() == pytest.approx(0.5, abs=0.003), "half of all samples are mirrored"


def test_s3_1_samples_are_random_crops_and_flips_of_rescaled_images(pictures, paths):
    """Each image is rescaled isotropically until its smallest side is S, drawn from [256; 512];
    one crop is taken at random and mirrored at random."""
    axes = np.zeros((3, 3))
    images = TrainingImages(paths, 5, 32, 64, (256, 512), axes)
    places = []
    for iteration in range(4):
        draw = sampling.batch_at(5, iteration, 32, len(pictures), (256, 512), axes)
        batch = images[iteration]
        assert batch.labels.tolist() == draw.images.tolist()
        for sample, image in enumerate(draw.images):
            whole = Image.fromarray(pictures[image])
            smallest = round(draw.scales[sample] * 64 / 224)
            size = [round(side * smallest / min(whole.size)) for side in whole.size]
            whole = whole.resize(size, Image.Resampling.BICUBIC)
            left, top = (
                int(np.floor(share * (side - 64 + 1)))
                for share, side in zip((draw.lefts[sample], draw.tops[sample]), size, strict=True)
            )
            crop = whole.crop((left, top, left + 64, top + 64))
            crop = ImageOps.mirror(crop) if draw.flips[sample] else crop
            found = batch.images[sample].permute(1, 2, 0).numpy().astype(int)
            assert np.abs(found - np.asarray(crop)).max() <= 2
            places += [left / (size[0] - 64 or 1), top / (size[1] - 64 or 1)]
    assert 0 in places
    assert 1 in places, "crops reach both ends"


def test_s3_1_the_colour_shift_is_one_draw_along_the_principal_axes_for_a_whole_crop(
    pictures, paths
):
    """To the RGB of every pixel of a crop the same multiples of the principal components of the
    training pixels are added, in proportion to Gaussian draws of standard deviation 0.1."""
    statistics = pixel_statistics(Shards(paths), threads=1)
    axes = sampling.colour_axes(statistics, "pca-root-eigenvalues")
    values, vectors = np.linalg.eigh(np.cov(np.concatenate([p.reshape(-1, 3) for p in pictures]).T))
    assert values[2] > 5 * values[1] > 5 * values[0] > 0, "the axes must be told apart"

    shifts = sampling.batch_at(5, 0, 100_000, 10, (256, 256), axes).shifts
    along = shifts @ vectors
    np.testing.assert_allclose(along.std(0), 0.1 * np.sqrt(values), rtol=0.02)
    np.testing.assert_allclose(along.mean(0) / along.std(0), 0, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(along.T), np.eye(3), atol=0.02)
    kurtosis = ((along / along.std(0)) ** 4).mean(0)
    np.testing.assert_allclose(kurtosis, 3, atol=0.1)

    batch = TrainingImages(paths, 5, 16, 64, (256, 512), axes)[0]
    inputs = to_input(batch.images, torch.tensor(MEAN), 1.0, batch.shifts)
    added = inputs - batch.images + torch.tensor(MEAN).view(1, 3, 1, 1)
    torch.testing.assert_close(
        added, batch.shifts[:, :, None, None].expand_as(added), rtol=0, atol=1e-4
    )
    assert len(batch.shifts.unique(dim=0)) == 16


# §3.2 Testing


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def full_size(name, pool_rounding):
    """A net of the paper's size with weights of no special kind."""
    with torch.device("meta"):
        architecture = Architecture(CONVNETS[name], pool_rounding=pool_rounding)
        net = ConvNet(architecture, dropout=0.0)
    net.to_empty(device="cpu")
    for number, parameter in enumerate(net.parameters()):
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1.0
        generator = torch.Generator().manual_seed(number)
        parameter.uniform_(-1, 1, generator=generator).mul_((6 / fan_in) ** 0.5)
    return net.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "size", "Q", "pool_rounding", "rescaled", "windows"),
    [
        ("D", (224, 224), 224, "floor", (224, 224), (1, 1)),
        ("D", (375, 500), 256, "floor", (256, 341), (2, 4)),
        ("D", (375, 500), 256, "ceil", (256, 341), (2, 5)),
        ("D", (500, 375), 256, "floor", (341, 256), (4, 2)),
        ("D", (375, 500), 384, "floor", (384, 512), (6, 10)),
        ("E", (500, 375), 256, "ceil", (341, 256), (5, 2)),
        ("E", (375, 500), 256, "floor", (256, 341), (2, 4)),
    ],
)
def test_s3_2_dense_evaluation_slides_the_fc_layers_over_the_whole_image(
    name, size, Q, pool_rounding, rescaled, windows, tmp_path, two_threads
):
    """The FC layers become conv layers, 7×7 and 1×1, and run over the whole uncropped image; the
    class score map is averaged over its places, and the soft-max posteriors of the image and its
    mirror image are averaged. At full size, from pixels to posteriors."""
    net = full_size(name, pool_rounding)
    tensors, layers = net.state_dict(), net.architecture.layers
    pixels = picture(*size, seed=3)
    image = Image.fromarray(pixels).resize(rescaled[::-1], Image.Resampling.BICUBIC)
    x = as_input(image)
    maps = [
        recompute_cells.window_scores(tensors, layers, view, 7, pool_rounding)
        for view in (x, x.flip(3))
    ]
    found = methods.DenseConvNet(net)(x)
    assert found.shape == (1, 1000, *windows)
    spread = maps[0].std()
    torch.testing.assert_close(
        found[0].permute(1, 2, 0), maps[0], rtol=0, atol=1e-4 * spread.item()
    )
    if windows == (1, 1):
        torch.testing.assert_close(found[:, :, 0, 0], net(x), rtol=0, atol=1e-4 * spread.item())
    else:
        assert maps[0].std((0, 1)).mean() > 0.05 * spread, "the places must differ"

    expected = sum(scores.mean((0, 1)).softmax(0) for scores in maps) / 2
    posteriors = posteriors_of(
        net, store(tmp_path, [pixels]), method="dense", smallest_side=Q, **INPUT
    )
    torch.testing.assert_close(torch.tensor(posteriors[0]), expected, rtol=1e-3, atol=1e-6)


@torch.inference_mode()
def test_s3_2_without_padding_dense_evaluation_is_the_net_run_on_crops_32_pixels_apart():
    """Dense evaluation is the whole net applied at every place. Crops of the image differ from it
    at their borders, which padding fills with 0 instead of the image; 1×1 convs have none."""
    layers = "conv1-64 | conv1-128 | conv1-256 | conv1-512 | conv1-512"
    net, tensors = small(layers, crop=224)
    x = as_input(picture(300, 430))
    found = methods.DenseConvNet(net)(x)
    assert found.shape[2:] == (3, 7)
    for row in range(3):
        for column in range(7):
            top, left = 32 * row, 32 * column
            crop = x[:, :, top : top + 224, left : left + 224]
            last = recompute_cells.feature_map(tensors, layers, crop)
            expected = recompute_cells.fc_scores(tensors, last)
            torch.testing.assert_close(
                found[:, :, row, column], expected, rtol=1e-4, atol=1e-4 * expected.abs().max()
            )


@torch.inference_mode()
def test_s3_2_multicrop_is_the_mean_of_150_crops_over_three_scales(tmp_path):
    """A regular 5×5 grid and 2 flips make 50 crops a scale, 150 over three scales; their soft-max
    posteriors are averaged."""
    net, tensors = small(CONVNETS["B"], crop=224, width_divisor=32)
    pixels = picture(375, 500, seed=6)
    paths = store(tmp_path, [pixels])
    found = np.mean(
        [
            posteriors_of(net, paths, method="multicrop", smallest_side=Q, **INPUT)[0]
            for Q in (256, 384, 512)
        ],
        axis=0,
    )
    crops = []
    for width, height in ((341, 256), (512, 384), (683, 512)):
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        for top in np.round(np.linspace(0, height - 224, 5)).astype(int).tolist():
            for left in np.round(np.linspace(0, width - 224, 5)).astype(int).tolist():
                crop = image.crop((left, top, left + 224, top + 224))
                crops += [crop, ImageOps.mirror(crop)]
    assert len(crops) == 150
    total = 0
    for crop in crops:
        last = recompute_cells.feature_map(tensors, CONVNETS["B"], as_input(crop))
        total = total + recompute_cells.fc_scores(tensors, last).softmax(1)[0]
    torch.testing.assert_close(torch.tensor(found), total / 150, rtol=1e-5, atol=1e-7)


# §4 Classification experiments


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        # Table 4: one net, dense, three Q (§4.2).
        ("table4/E_S384", [("E_S384", "dense", [352, 384, 416])]),
        # Table 5: multi-crop and dense of one net, three Q each (§4.3).
        (
            "table5/D_both",
            [
                ("D_S256-512", "multicrop", [256, 384, 512]),
                ("D_S256-512", "dense", [256, 384, 512]),
            ],
        ),
        # Table 6: the ILSVRC submission's seven nets at three Q each, then D and E (§4.4).
        (
            "table6/ilsvrc_submission",
            [
                ("D_S256", "dense", [224, 256, 288]),
                ("D_S384", "dense", [352, 384, 416]),
                ("D_S256-512_fc", "dense", [256, 384, 512]),
                ("C_S256", "dense", [224, 256, 288]),
                ("C_S384", "dense", [352, 384, 416]),
                ("E_S256", "dense", [224, 256, 288]),
                ("E_S384", "dense", [352, 384, 416]),
            ],
        ),
        (
            "table6/D_E_dense",
            [("D_S256-512", "dense", [256, 384, 512]), ("E_S256-512", "dense", [256, 384, 512])],
        ),
    ],
)
def test_s4_errors_are_of_means_over_scales_then_methods_then_nets(row, parts, tmp_path):
    """Posteriors are averaged over Q, over multi-crop and dense, and over nets. The top-1 error is
    the share of images whose best class is wrong; the top-5 error, of those whose class is not
    among the five best."""
    rng = np.random.default_rng(7)
    labels = rng.integers(12, size=300)
    ids = [f"{n:03d}" for n in range(300)]
    drawn = {}
    for model, method, scales in parts:
        for Q in scales:
            drawn[model, method, Q] = rng.dirichlet(np.full(12, 0.3), 300).astype(np.float32)
            path = tmp_path / f"posteriors/val/{model}/{method}_Q{Q}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_posteriors(path, ids, labels, drawn[model, method, Q], {})
    entries = experiments.find_row(row, TABLES)["evaluations"]
    own = [each.path(tmp_path, "val") for each in experiments.evaluations(entries)]
    assert len(set(own)) == len(own) == len(drawn)
    found = outcomes(own)

    for image, label in enumerate(labels):
        of_parts = []
        for model, method, scales in parts:
            vectors = [drawn[model, method, Q][image].astype(float) for Q in scales]
            of_parts.append(sum(vectors) / len(vectors))
        mean = sum(of_parts) / len(of_parts)
        best = sorted(range(12), key=lambda c: -mean[c])[:5]
        assert found.top1[image] == (best[0] != label)
        assert found.top5[image] == (label not in best)


# The list of sentences


def names_in(path):
    """What a Python file defines, or the keys of a YAML file and of its first level."""
    if path.suffix == ".yaml":
        content = yaml.safe_load(path.read_text())
        return {*content, *(k for v in content.values() if isinstance(v, dict) for k in v)}
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}


def test_every_name_in_the_list_of_sentences_exists():
    text = (ROOT / "docs/paper_to_code.md").read_text()
    sentences = re.split(r"^- ", text, flags=re.M)[1:]
    for sentence in sentences:
        words, code, tests = re.split(r"\n  - (?:code|tests):", sentence.split("\n## ")[0])
        for part in code.split(";"):
            names, path = re.fullmatch(r"(.+)\sin\s+`(\S+)`", part.strip(), flags=re.S).groups()
            path = ROOT / ("" if path.startswith("config/") else "workflow_scripts") / path
            assert set(re.findall(r"`(\S+)`", names)) <= names_in(path), words
        for file, name in re.findall(r"`(\S+)::(\S+)`", tests):
            (path,) = (ROOT / "tests").rglob(file)
            assert name in names_in(path), words
        assert "::" in tests, words
    named = set(re.findall(r"`test_paper.py::(\w+)`", text))
    own = {name for name in names_in(Path(__file__)) if name.startswith("test_s")}
    assert named == own, "every test of a sentence is in the list"
