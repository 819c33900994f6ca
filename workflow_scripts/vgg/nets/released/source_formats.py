"""The forms of weights of other sources: names, order of axes, and the input of their nets.

Ours: torchvision's parameter names, float32, input RGB 0–255 minus `mean_rgb`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from ..convnets import ConvNet

Colour = tuple[float, float, float]  # of red, green and blue
Conversion = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Input:
    """The images that a net was trained on.

    words: the convention as a person states it. mean_rgb, std_rgb: of 0–255 pixels; the mean is
    subtracted, then each channel divided by its std. bgr: channels are in reverse order.
    """

    words: str
    mean_rgb: Colour
    std_rgb: Colour = (1.0, 1.0, 1.0)
    bgr: bool = False


def normalised_input(mean: Colour, std: Colour) -> Input:
    """The input of torchvision's `ToTensor` and `Normalize(mean, std)`."""
    return Input(
        f"RGB in [0, 1] minus {listed(mean)}, divided by {listed(std)}",
        (255 * mean[0], 255 * mean[1], 255 * mean[2]),
        (255 * std[0], 255 * std[1], 255 * std[2]),
    )


def listed(values: Iterable[float]) -> str:
    """Numbers as a sentence lists them."""
    return ", ".join(f"{value:.6g}" for value in values)


IMAGENET_STD = (0.229, 0.224, 0.225)  # torchvision's, of RGB in [0, 1]
TORCHVISION = normalised_input((0.485, 0.456, 0.406), IMAGENET_STD)
CAFFE = Input(
    "BGR 0–255 minus 103.939, 116.779, 123.68", mean_rgb=(123.68, 116.779, 103.939), bgr=True
)
INPUTS = {
    "torchvision": TORCHVISION,
    "timm": TORCHVISION,
    "caffe": CAFFE,
    "jcjohnson": CAFFE,
    "keras": CAFFE,
}
FORMATS = (*INPUTS, "own")
SIGNS = {
    "timm": "head.fc.weight",
    "jcjohnson": "classifier.1.weight",
    "torchvision": "classifier.0.weight",
}  # a name that tells formats of the same kind of file apart
HOLDERS = {
    "BN": ("torchvision", "timm", "own"),
    "GAP": ("torchvision", "own"),
}  # formats of files that hold nets with such layers; those with all others are held by all
NORMALISATION = ("weight", "bias", "running_mean", "running_var")
COUNTED = "num_batches_tracked"  # of batch normalisation too, which testing does not need
FC_NAMES = {
    "timm": ("pre_logits.fc1", "pre_logits.fc2", "head.fc"),
    "caffe": ("fc6", "fc7", "fc8"),
    "keras": ("fc1", "fc2", "predictions"),
}


@dataclass(frozen=True)
class Place:
    """Where a parameter is in a source's file: its name and shape there, and the way to ours."""

    name: str
    shape: tuple[int, ...]
    convert: Conversion


def parameter_places(
    net: ConvNet, source: str, names: Mapping[str, object] = MappingProxyType({})
) -> dict[str, Place]:
    """For each parameter of the net, and each statistic of batch normalisation, in order, where it
    is in a file of that format.

    names: those of the file; jcjohnson's FC layers are numbered in one of two ways.
    Raises ValueError if files of the format hold no such net.
    """
    has = [layer for layer in net.architecture.layers.split() if layer in HOLDERS]
    if lacking := [layer for layer in dict.fromkeys(has) if source not in HOLDERS[layer]]:
        raise ValueError(f"files of the format {source} hold no net with {' or '.join(lacking)}")
    layers = _layer_names(net, source, names)
    map_side = net.architecture.map_side
    places = {}
    shape: tuple[int, ...]
    for prefix, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in NORMALISATION:
                shape = tuple(getattr(module, name).shape)
                places[f"{prefix}.{name}"] = Place(f"{prefix}.{name}", shape, _unchanged)
            continue
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        shape = tuple(module.weight.shape)
        convert: Conversion = _unchanged
        if source == "timm" and prefix.startswith("classifier") and prefix != "classifier.6":
            side = map_side if prefix == "classifier.0" else 1
            shape, convert = (shape[0], shape[1] // side**2, side, side), _flat
        elif source == "keras" and isinstance(module, nn.Conv2d):
            shape, convert = tuple(shape[axis] for axis in (2, 3, 1, 0)), _from_hwio
        elif source == "keras":
            side = map_side if prefix == "classifier.0" else 1
            shape, convert = shape[::-1], _from_hwc_rows(side)
        places[f"{prefix}.weight"] = Place(f"{layers[prefix]}.weight", shape, convert)
        bias = tuple(module.bias.shape)
        places[f"{prefix}.bias"] = Place(f"{layers[prefix]}.bias", bias, _unchanged)
    return places


def _layer_names(net: ConvNet, source: str, names: Mapping[str, object]) -> dict[str, str]:
    """The source's name of each of the net's layers, by ours."""
    ours = [prefix for prefix, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    first_fc = len(net.conv_layers)
    convs, fcs = ours[:first_fc], ours[first_fc:]
    theirs = convs
    if source in ("caffe", "keras"):
        pattern = {"caffe": "conv{}_{}", "keras": "block{}_conv{}"}[source]
        theirs = [
            pattern.format(block, place)
            for block, layers in enumerate(net.architecture.blocks(), 1)
            for place, _ in enumerate((layer for layer in layers if layer != "LRN"), 1)
        ]
    their_fcs = FC_NAMES.get(source, fcs)
    if source == "jcjohnson" and SIGNS["jcjohnson"] in names:
        their_fcs = ("classifier.1", "classifier.4", "classifier.6")
    return dict(zip(ours, [*theirs, *their_fcs], strict=True))


def _unchanged(values: torch.Tensor) -> torch.Tensor:
    return values


def _flat(values: torch.Tensor) -> torch.Tensor:
    """An FC layer that is stored as a convolution: [out, channels, height, width]."""
    return values.flatten(1)


def _from_hwio(values: torch.Tensor) -> torch.Tensor:
    """A conv kernel [height, width, in, out]."""
    return values.permute(3, 2, 0, 1)


def _from_hwc_rows(side: int) -> Conversion:
    """An FC kernel [in, out] whose input is flattened from [side, side, channels]."""

    def convert(values: torch.Tensor) -> torch.Tensor:
        maps = values.reshape(side, side, -1, values.shape[1])
        return maps.permute(3, 2, 0, 1).flatten(1)

    return convert


def for_our_pixels(kernel: torch.Tensor, source: Input) -> torch.Tensor:
    """The first layer's kernel, float64 [out, RGB, height, width], for our pixels."""
    kernel = kernel.double()
    if source.bgr:
        kernel = kernel.flip(1)
    return kernel / torch.tensor(source.std_rgb, dtype=torch.float64)[:, None, None]


def for_normalised_input(kernel: torch.Tensor, std: Colour = IMAGENET_STD) -> torch.Tensor:
    """Our first layer's kernel for pixels in [0, 1] minus mean_rgb / 255, divided by `std`.

    Computed in float64 and rounded once, to the kernel's own type.
    """
    scale = 255 * torch.tensor(std, dtype=torch.float64)
    return (kernel.double() * scale[:, None, None]).to(kernel.dtype)
