"""Small nets as other sources build and run them, in plain PyTorch with random values.

Each source has its own order of axes, channels and preprocessing, which is written out here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import yaml
from torch import nn
from torch.nn import functional as F
from torchvision import transforms
from torchvision.models.vgg import make_layers

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.nets.convnets import Architecture

LAYERS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
BLOCKS = {"C": (2, 2, 3, 3, 3), "D": (2, 2, 3, 3, 3), "E": (2, 2, 4, 4, 4)}
WIDTHS = (4, 8, 16, 32, 32)  # the paper's, divided by 16
CROP, FC, CLASSES, DIVISOR = 64, 64, 7, 16
MAP = CROP // 32
ARCHITECTURE = Architecture(LAYERS["D"], CLASSES, CROP, FC, DIVISOR)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BGR_MEAN = (103.939, 116.779, 123.68)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def names_of(net):
    return [(b + 1, k + 1) for b, count in enumerate(BLOCKS[net]) for k in range(count)]


def random_parameters(net, first_scale, classes=CLASSES):
    """(kernel OIHW, bias) by (block, place), and [(matrix out×in, bias)] of the FC layers.

    first_scale: the size of the source's inputs, so that activations stay near 1.
    """
    generator = seeded(len(net) + ord(net))

    def normal(*sides: int) -> torch.Tensor:
        return torch.randn(*sides, generator=generator)

    convs, channels = {}, 3
    for block, place in names_of(net):
        width = WIDTHS[block - 1]
        side = 1 if net == "C" and block > 2 and place == 3 else 3
        std = (2 / (channels * side**2)) ** 0.5 / (first_scale if channels == 3 else 1)
        convs[block, place] = std * normal(width, channels, side, side), 0.1 * normal(width)
        channels = width
    sides = (channels * MAP**2, FC, FC, classes)
    fcs = [((2 / n) ** 0.5 * normal(m, n), 0.1 * normal(m)) for n, m in pairwise(sides)]
    return convs, fcs


def run_channels_first(convs, fcs, inputs):
    """Logits of a net whose maps are [channels, height, width], as Caffe's and PyTorch's are."""
    maps, last = inputs, 1
    for (block, _), (kernel, bias) in convs.items():
        if block > last:
            maps, last = F.max_pool2d(maps, 2), block
        maps = F.conv2d(maps, kernel, bias, padding=kernel.shape[-1] // 2).relu()
    units = F.max_pool2d(maps, 2).flatten(1)
    for place, (matrix, bias) in enumerate(fcs):
        units = units @ matrix.T + bias
        units = units.relu() if place < 2 else units
    return units


def caffe_inputs(images):
    """BGR 0–255 minus the mean, [N, 3, height, width]."""
    return (images.flip(-1).float() - torch.tensor(BGR_MEAN)).permute(0, 3, 1, 2)


def torchvision_inputs(images):
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    return torch.stack([prepare(image.numpy()) for image in images])


class TorchvisionNet(nn.Module):
    """A narrow VGG of torchvision's own layers; only the FC layers' widths are not its own."""

    def __init__(self, net):
        super().__init__()
        plan = [w for block, n in enumerate(BLOCKS[net]) for w in [*[WIDTHS[block]] * n, "M"]]
        self.features = make_layers(plan)
        self.classifier = nn.Sequential(
            *(nn.Linear(WIDTHS[-1] * MAP**2, FC), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(FC, FC), nn.ReLU(), nn.Dropout(), nn.Linear(FC, CLASSES)),
        )

    def forward(self, inputs):
        return self.classifier(self.features(inputs).flatten(1))


class TimmNet(nn.Module):
    """timm's form: FC layers as convolutions, global pool, head."""

    def __init__(self, net):
        super().__init__()
        self.features = TorchvisionNet(net).features
        self.pre_logits = nn.Module()
        self.pre_logits.fc1 = nn.Conv2d(WIDTHS[-1], FC, MAP)
        self.pre_logits.fc2 = nn.Conv2d(FC, FC, 1)
        self.head = nn.Module()
        self.head.fc = nn.Linear(FC, CLASSES)

    def forward(self, inputs):
        maps = self.pre_logits.fc1(self.features(inputs)).relu()
        return self.head.fc(self.pre_logits.fc2(maps).relu().mean((2, 3)))


def filled(net):
    """The net in test mode, with random values that keep activations near 1."""
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 200
            parameter.normal_(std=(2 / fan_in) ** 0.5, generator=seeded(parameter.numel()))
    return net.eval()


# Keras' files
def keras_kernels(convs, fcs):
    """Kernels HWIO and in×out, by Keras' names; random ones need no reordering."""
    named = {}
    for (b, k), (kernel, bias) in convs.items():
        named[f"block{b}_conv{k}"] = kernel.permute(2, 3, 1, 0).contiguous(), bias
    for name, (matrix, bias) in zip(("fc1", "fc2", "predictions"), fcs, strict=False):
        named[name] = matrix.T.contiguous(), bias
    return named


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """2×2 max-pooling of maps [N, height, width, channels]."""
    return F.max_pool2d(maps.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def run_keras(named, images):
    """Logits with maps [height, width, channels], flattened in that order."""
    maps, last = images.flip(-1).float() - torch.tensor(BGR_MEAN), 1
    for name, (kernel, bias) in named.items():
        if not name.startswith("block"):
            continue
        if int(name[5]) > last:
            maps, last = pooled(maps), int(name[5])
        height, width = maps.shape[1:3]
        padded = F.pad(maps, (0, 0, 1, 1, 1, 1))
        maps = bias + sum(
            padded[:, y : y + height, x : x + width] @ kernel[y, x]
            for y in range(3)
            for x in range(3)
        )
        maps = maps.relu()
    units = pooled(maps).flatten(1)
    for name in ("fc1", "fc2", "predictions"):
        kernel, bias = named[name]
        units = units @ kernel + bias
        units = units.relu() if name != "predictions" else units
    return units


def assert_same_logits(weights, images, expected):
    net, metadata = weights
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        logits = net.eval()(inputs.permute(0, 3, 1, 2))
        scale = expected.abs().max()
        assert expected.std(0).min() > 1e-2 * scale  # the images differ for every class
        assert (logits - expected).abs().max() < 1e-4 * scale
