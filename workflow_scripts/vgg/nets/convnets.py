"""The ConvNets of Table 1, built from one-line descriptions (paper §2)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..core.declarations import declared
from ..settings.net_notation import CONV, GAP
from .batch_normalisation import BatchNormalisation
from .dropout import SequencedDropout
from .precision import at_least_float32

POOLING_ROUNDING = ("floor", "ceil")
SIZES = ("crop", "classes", "fc", "width_divisor")  # fields of `Architecture` that a run sets
HEADS = ("classes", "box-scr", "box-pcr")
LRN_CONSTANTS = {"krizhevsky": (2.0, 1e-4), "caffe": (1.0, 1e-4 / 5)}  # k, and α on the plain sum


@dataclass(frozen=True)
class Architecture:
    """A ConvNet's layers and input.

    layers: Table 1's notation, blocks divided by `|` (a 2×2 max-pool of stride 2 ends each block),
        for example "conv3-64 | conv3-128 | conv3-256 conv3-256"; `LRN` may follow a conv layer.
        Not in the paper: `BN` behind a conv layer normalises over the batch before the ReLU, and
        `GAP` as the last block stands for global average pooling in place of the hidden
        fully-connected layers.
    classes: number of classes; 1000 in the paper.
    crop: side of the training crop in pixels; 224 in the paper. Must be divisible by 2^pools.
    fc: width of the two hidden fully-connected layers; 4096 in the paper.
    width_divisor: the channels of every conv layer are divided by this; 1 in the paper.
    pool_rounding: "floor" or "ceil" for odd sides; they differ in dense evaluation only.
    lrn: constants of `LRN` layers, "krizhevsky" or "caffe"; see LocalResponseNorm.
    head: what the last layer gives (paper, appendix A): scores of "classes", or one box for all of
        them, "box-scr" (single-class regression), or a box a class, "box-pcr" (per-class).
    """

    layers: str
    classes: int = 1000
    crop: int = 224
    fc: int = 4096
    width_divisor: int = 1
    pool_rounding: str = "floor"
    lrn: str = "krizhevsky"
    head: str = "classes"

    @property
    def outputs(self) -> int:
        """Width of the last layer: a score a class, or four numbers a box."""
        if self.head not in HEADS:
            raise ValueError(f"unknown head {self.head!r}")
        return {"classes": self.classes, "box-scr": 4, "box-pcr": 4 * self.classes}[self.head]

    @property
    def is_of_boxes(self) -> bool:
        """True if the net predicts boxes, not classes."""
        return self.head != "classes"

    def blocks(self) -> list[list[str]]:
        """The layer names of each block, e.g. [["conv3-64", "LRN"], ["conv3-128"]]."""
        blocks = [block.split() for block in self.layers.split("|")]
        return blocks[:-1] if blocks[-1] == [GAP] else blocks

    @property
    def averages(self) -> bool:
        """True if the last map's mean stands in place of the hidden fully-connected layers."""
        return self.layers.split()[-1:] == [GAP]

    @property
    def map_side(self) -> int:
        """Side of the last feature map at the training crop; 7 in the paper."""
        stride = 2 ** len(self.blocks())
        if self.crop % stride:
            raise ValueError(f"crop {self.crop} is not divisible by {stride}, the nets' stride")
        return self.crop // stride

    @property
    def window(self) -> int:
        """Side of the part of the last map that one place of the score map sees (§3.2): as large
        as a crop's map, or a single place where the map is averaged.
        """
        return 1 if self.averages else self.map_side


def add_model_options(parser: argparse.ArgumentParser, or_of_library: bool = False) -> None:
    """Give a command the options that name a model and its net, as models.yaml does.

    or_of_library: the net may also be one of a library, whose layers are not given.
    """
    group = parser.add_argument_group("model")
    group.add_argument("--model", required=True, help="name, e.g. D_S256")
    more = ", or timm/… or torchvision/… with the name there" if or_of_library else ""
    group.add_argument("--net", required=True, help=f"configuration of Table 1, e.g. D{more}")
    group.add_argument(
        "--layers", required=not or_of_library, help="its layers, e.g. 'conv3-64 | conv3-128'"
    )
    group.add_argument("--head", choices=HEADS, default="classes", help="what its last layer gives")
    add_size_options(
        group,
        crop="side of the input in pixels",
        fc="width of the hidden FC layers",
        width_divisor="divides all conv channels",
    )


def add_size_options(parser: argparse._ActionsContainer, **help: str) -> None:
    """Give a parser, or a group of its options, one option for each of SIZES; help: by name."""
    for name in SIZES:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=getattr(Architecture, name),
            help=help.get(name),
        )


def sizes_of(given: argparse.Namespace) -> dict[str, Any]:
    """The value that each of SIZES was given as an option."""
    return {name: getattr(given, name) for name in SIZES}


@dataclass(frozen=True)
class NetChoices:
    """The reading of a net that its training fixes."""

    lrn: str = declared("krizhevsky", "constants of LRN layers", values=LRN_CONSTANTS, choice=True)


@dataclass(frozen=True)
class PoolingChoices:
    """The reading of a net that matters in testing only."""

    pool_rounding: str = declared("floor", values=POOLING_ROUNDING, choice=True)


def neighbours(channels: int) -> torch.Tensor:
    """Which channels are at most two apart, float [channels, channels, 1, 1]: 1 where they are."""
    place = torch.arange(channels)
    return ((place[:, None] - place).abs() <= 2).float()[:, :, None, None]


class LocalResponseNorm(nn.Module):
    """Krizhevsky et al.'s normalisation over five neighbouring channels: a / (k + α Σ a²)^β.

    constants: "krizhevsky" is their paper's k = 2 and α = 10⁻⁴ on the plain sum; "caffe" is what
        Caffe makes of its AlexNet's settings, k = 1 and α = 10⁻⁴ on the mean of the five squares.
        β = 0.75 in both. Input and output: float [N, channels, height, width].

    The sum is a 1×1 convolution, two to three times as fast on a CPU as PyTorch's pooling over
    channels, and in float32 always: squares of 0–255 activations would lose their small terms in
    bfloat16. Raises ValueError for unknown constants.
    """

    near: torch.Tensor  # float [channels, channels, 1, 1]: which channels each sum is over

    def __init__(self, channels: int, constants: str = "krizhevsky"):
        super().__init__()
        if constants not in LRN_CONSTANTS:
            raise ValueError(f"unknown constants of response normalisation {constants!r}")
        self.k, self.alpha = LRN_CONSTANTS[constants]
        self.register_buffer("near", neighbours(channels), persistent=False)

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        with torch.autocast(activations.device.type, enabled=False):
            activations = at_least_float32(activations)
            scale = self.k + self.alpha * F.conv2d(activations.square(), self.near)
            return activations * (scale * scale.sqrt()).rsqrt()  # (scale^1.5)^-0.5 = scale^-0.75


class MaxPooling(nn.MaxPool2d):
    """A 2×2 max-pool of stride 2 (paper, §2.1), float [N, C, H, W] to [N, C, H / 2, W / 2].

    PyTorch's kernel for the CPU also finds where each maximum is, which only a backward pass needs,
    and takes one number after the other. Without gradients the same bits come from the maximum of
    neighbouring rows and then of neighbouring columns, many numbers at once.
    """

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        if activations.device.type != "cpu" or torch.is_grad_enabled() or self.ceil_mode:
            return super().forward(activations)
        height, width = (side // 2 * 2 for side in activations.shape[-2:])  # odd ends are left out
        even = activations[..., :height, :width]
        rows = torch.maximum(even[..., 0::2, :], even[..., 1::2, :])
        return torch.maximum(rows[..., 0::2], rows[..., 1::2])


def feature_layers(architecture: Architecture) -> Iterator[nn.Module]:
    """The convolutional part; each conv keeps its input's size and has a ReLU behind it (§2.1)."""
    channels = 3
    for block in architecture.blocks():
        for layer, following in zip(block, [*block[1:], None], strict=True):
            if match := CONV.fullmatch(layer):
                kernel, width = int(match[1]), int(match[2])
                if width % architecture.width_divisor:
                    raise ValueError(f"{layer}: not divisible by {architecture.width_divisor}")
                width //= architecture.width_divisor
                yield nn.Conv2d(channels, width, kernel, padding=kernel // 2)
                if following == "BN":
                    yield BatchNormalisation(width)
                yield nn.ReLU(inplace=True)
                channels = width
            elif layer == "LRN":
                yield LocalResponseNorm(channels, architecture.lrn)
            elif layer != "BN":
                raise ValueError(f"unknown layer {layer!r}; expected e.g. conv3-64, BN or LRN")
        yield MaxPooling(2, stride=2, ceil_mode=architecture.pool_rounding == "ceil")


class ConvNet(nn.Module):
    """A ConvNet of the paper; parameter names are torchvision's (`features.N`, `classifier.N`).

    Input: float [N, 3, crop, crop], RGB, 0–255 minus the training mean. Output: class scores
    [N, classes] before the soft-max, or the boxes [N, 4] or [N, 4 · classes] of another head.
    """

    def __init__(self, architecture: Architecture, dropout: float = 0.5):
        super().__init__()
        self.architecture = architecture
        self.features = nn.Sequential(*feature_layers(architecture))
        channels = self.conv_layers[-1].out_channels
        if architecture.averages:
            self.classifier = nn.Sequential(nn.Linear(channels, architecture.outputs))
            return
        self.classifier = nn.Sequential(
            nn.Linear(channels * architecture.map_side**2, architecture.fc),
            nn.ReLU(inplace=True),
            SequencedDropout(dropout),
            nn.Linear(architecture.fc, architecture.fc),
            nn.ReLU(inplace=True),
            SequencedDropout(dropout),
            nn.Linear(architecture.fc, architecture.outputs),
        )

    @property
    def conv_layers(self) -> list[nn.Conv2d]:
        """The conv layers from the input on."""
        return [module for module in self.features if isinstance(module, nn.Conv2d)]

    @property
    def fc_layers(self) -> list[nn.Linear]:
        """The fully-connected layers: three, or one behind global average pooling."""
        return [module for module in self.classifier if isinstance(module, nn.Linear)]

    @property
    def weight_layers(self) -> int:
        """Number of layers with weights, as Table 1 counts them."""
        return len(self.conv_layers) + len(self.fc_layers)

    def parameter_count(self) -> int:
        """Number of weights and biases (Table 2)."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.features(images)
        averages = self.architecture.averages
        return self.classifier(maps.mean((2, 3)) if averages else maps.flatten(1))


def describe(architecture: Architecture) -> list[str]:
    """The net's layers from input to output, in Table 1's words, read off the built modules."""
    with torch.device("meta"):
        net = ConvNet(architecture)
    names = []
    for module in net.features:
        if isinstance(module, nn.Conv2d):
            names.append(f"conv{module.kernel_size[0]}-{module.out_channels}")
        elif isinstance(module, nn.BatchNorm2d):
            names.append("BN")
        elif isinstance(module, LocalResponseNorm):
            names.append("LRN")
        elif isinstance(module, nn.MaxPool2d):
            names.append("maxpool")
    if architecture.averages:
        names.append(GAP)
    return [*names, *(f"FC-{layer.out_features}" for layer in net.fc_layers), "soft-max"]


def parameter_count(architecture: Architecture) -> int:
    """Number of parameters, counted on the meta device (no memory is taken)."""
    with torch.device("meta"):
        return ConvNet(architecture).parameter_count()
