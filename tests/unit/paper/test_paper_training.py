"""§3.1: SGD, dropout, the schedule, initialisation, batches, crops and colours."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from tests.checks import recompute_cells
from tests.helpers.paper_nets import CONVNETS, MEAN, SCALE, small, store
from workflow_scripts import train
from workflow_scripts.vgg.core.text_artefacts import write_json
from workflow_scripts.vgg.data import sampling
from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.data.pixel_statistics import pixel_statistics
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.nets.convnets import ConvNet
from workflow_scripts.vgg.nets.devices import to_input
from workflow_scripts.vgg.nets.dropout import seek_dropout
from workflow_scripts.vgg.nets.weights import save_weights
from workflow_scripts.vgg.training.history import read_history
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training


def test_s3_1_sgd_with_momentum_and_weight_decay_by_hand(paths):
    """Multinomial logistic regression by SGD with momentum 0.9, weight decay 5·10⁻⁴ and rate 10⁻²,
    one rate for all layers: two steps in float64."""
    layers = CONVNETS["A"]
    net, start = small(layers, width_divisor=16)
    start = {name: tensor.double().clone() for name, tensor in start.items()}
    images = TrainingImages(paths, 3, 8, 64, (256, 512), np.diag([9.0, 4.0, 2.0]))
    settings = Optimisation(
        batch_size=8, iterations=2, validation_interval=2, dropout=0.0, input_scale=SCALE,
        precision="float64",
    )  # fmt: skip
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
    assert near < 1e-12
    for other in ((0.9, 0.0), (0.8, 5e-4), (0.9, 1e-3)):
        assert distance(after_two_steps(*other)) > 1e-9, "the two must be told apart"


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
    monkeypatch.setattr(
        train, "validate", lambda *_: {"top1": int(next(errors)), "top5": 5}
    )  # of 100 images
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
