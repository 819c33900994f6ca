"""A ConvNet's weights in the forms that torchvision, timm and plain PyTorch load.

All take pixels as torchvision's `ToTensor` and `Normalize(mean, std)` give them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from textwrap import indent

import torch
from torch import nn

from ..batch_normalisation import is_normalised
from ..convnets import ConvNet, LocalResponseNorm
from ..dropout import SequencedDropout
from .source_formats import for_normalised_input, parameter_places

State = dict[str, torch.Tensor]
POOL = "M"  # in the libraries' plans of conv layers
WIDTHS = (64, 128, 256, 512, 512)  # of the libraries' nets, by block
CONVS_OF_BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
MAP_SIDE, FC = 7, 4096  # that the libraries' nets have, whatever their conv layers
LRN_SIZE, LRN_BETA = 5, 0.75


def normalised_state(net: ConvNet) -> State:
    """The net's parameters, by torchvision's names, for input divided by IMAGENET_STD."""
    state = net.state_dict()
    return {**state, "features.0.weight": for_normalised_input(state["features.0.weight"])}


def timm_state(net: ConvNet, state: Mapping[str, torch.Tensor]) -> State:
    """The same parameters as timm's nets have them: FC layers by other names, as convolutions."""
    places, renamed = parameter_places(net, "timm"), {}
    for name, values in state.items():
        place = places.get(name)
        renamed[place.name if place else name] = values.reshape(place.shape) if place else values
    return renamed


def conv_plan(net: ConvNet) -> list[int | str] | None:
    """The channels of the conv layers, and "M" for pools, as torchvision's `make_layers` has them.

    None if it cannot make them: all must be 3×3, with batch normalisation behind each or none.
    """
    plan: list[int | str] = []
    for module in net.features:
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            plan.append(module.out_channels)
        elif isinstance(module, nn.MaxPool2d):
            plan.append(POOL)
        elif isinstance(module, nn.Conv2d | LocalResponseNorm):
            return None
    normalised = sum(isinstance(module, nn.BatchNorm2d) for module in net.features)
    return plan if normalised in (0, len(net.conv_layers)) else None


def library_name(net: ConvNet) -> str | None:
    """What torchvision and timm call the net, such as vgg16_bn; None if they have not this one.

    Their nets may have any number of outputs.
    """
    architecture = net.architecture
    if architecture.averages or (architecture.map_side, architecture.fc) != (MAP_SIDE, FC):
        return None
    plan = conv_plan(net)
    for name, convs in CONVS_OF_BLOCKS.items():
        blocks = zip(WIDTHS, convs, strict=True)
        if plan == [layer for width, count in blocks for layer in [*[width] * count, POOL]]:
            return f"{name}_bn" if is_normalised(net) else name
    return None


def plain_net(net: ConvNet, state: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """The net of PyTorch's own layers alone, in evaluation mode, with these parameters.

    Input: float [N, 3, crop, crop], normalised; output [N, outputs].
    """
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {"features": nn.Sequential(*map(_plain, net.features))}
        if net.architecture.averages:
            parts["average"] = nn.AdaptiveAvgPool2d(1)
        parts["flatten"] = nn.Flatten()
        parts["classifier"] = nn.Sequential(*map(_plain, net.classifier))
        plain = nn.Sequential(OrderedDict(parts))
    plain.load_state_dict(state, assign=True)
    return plain.eval()


def _plain(layer: nn.Module) -> nn.Module:
    """A layer of ours as PyTorch has it, without values."""
    match layer:
        case nn.Conv2d():
            side = layer.kernel_size[0]
            return nn.Conv2d(layer.in_channels, layer.out_channels, side, padding=side // 2)
        case nn.BatchNorm2d():
            return nn.BatchNorm2d(layer.num_features)
        case nn.ReLU():
            return nn.ReLU()
        case LocalResponseNorm():  # PyTorch divides alpha by the size
            return nn.LocalResponseNorm(LRN_SIZE, LRN_SIZE * layer.alpha, LRN_BETA, layer.k)
        case nn.MaxPool2d():
            return nn.MaxPool2d(2)
        case SequencedDropout():
            return nn.Dropout()
        case nn.Linear():
            return nn.Linear(layer.in_features, layer.out_features)
    raise TypeError(f"no form of {type(layer).__name__} in PyTorch is known")


def code_of(plain: nn.Module) -> str:
    """The Python expression that makes `plain_net`'s net or a part of it, but for the parameters.

    A line for each layer that has weights and for each pool.
    """
    if not isinstance(plain, nn.Sequential):
        return _call(plain)
    if "0" not in dict(plain.named_children()):
        parts = [f"{name}={code_of(part)}," for name, part in plain.named_children()]
        return "\n".join(["nn.Sequential(OrderedDict(", *(indent(p, "    ") for p in parts), "))"])
    rows: list[list[str]] = []
    for layer in plain:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.Linear):
            rows.append([])
        rows[-1].append(_call(layer))
    return "\n".join(["nn.Sequential(", *(f"    {', '.join(row)}," for row in rows), ")"])


def _call(layer: nn.Module) -> str:
    """The call that makes a layer of `plain_net`."""
    match layer:
        case nn.Conv2d():
            values = f"{layer.in_channels}, {layer.out_channels}, {layer.kernel_size[0]}"
            values += f", padding={layer.padding[0]}" if layer.padding[0] else ""
        case nn.BatchNorm2d():
            values = str(layer.num_features)
        case nn.LocalResponseNorm():
            values = f"{layer.size}, alpha={layer.alpha:g}, beta={layer.beta:g}, k={layer.k:g}"
        case nn.MaxPool2d():
            values = str(layer.kernel_size)
        case nn.AdaptiveAvgPool2d():
            values = str(layer.output_size)
        case nn.Linear():
            values = f"{layer.in_features}, {layer.out_features}"
        case _:
            values = ""
    return f"nn.{type(layer).__name__}({values})"
