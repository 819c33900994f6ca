"""How a net's weights begin: at random, and from net A's layers (paper §3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from ..core.declarations import declared
from ..core.files import InputError
from ..core.randomness import Stream, torch_seed
from .convnets import ConvNet

INITIALISATIONS = ("normal-std-0.01", "normal-std-0.1", "glorot", "he", "dirac")
TRANSFERRED_CONVS = ("by-shape", "first-of-block")
BOX_LAST_LAYERS = ("mean-box", "zero")
IDENTITY = 0.9  # its part in "dirac"


@dataclass(frozen=True)
class Beginning:
    """Readings of how a net's weights begin: `initialise`'s method, `transfer_layers`' convs."""

    initialisation: str = declared("normal-std-0.01", values=INITIALISATIONS, choice=True)
    transferred_convs: str = declared("by-shape", values=TRANSFERRED_CONVS, choice=True)


@dataclass(frozen=True)
class BoxBeginning:
    """Reading of how the last layer of a net of boxes begins, whose weights are drawn from the
    paper's N(0, 0.01²) whatever `Beginning` says: noise of the size of a box makes it diverge.

    box_last_layer: its biases are the training set's "mean-box", or 0, a box without size in the
    crop's corner: "zero".
    """

    box_last_layer: str = declared("mean-box", values=BOX_LAST_LAYERS, choice=True)


def initialise(net: ConvNet, method: str, seed: int) -> None:
    """Draw all weights of `net`; biases start at 0. A last layer of boxes is always the paper's.

    method: "normal-std-0.01" (the paper's 10⁻² read as a standard deviation), "normal-std-0.1" (the
        paper's words taken literally), "glorot" (uniform, Glorot & Bengio 2010), "he" (normal,
        fan-in, He et al. 2015) or "dirac": "he", but conv layers of as many inputs as outputs are
        mostly the identity (as in Zagoruyko & Komodakis 2017, DiracNets), so that a layer more does
        not blur what the layers before it see.
    seed: the draws are a function of it and of the layer's place.
    """
    layers: list[nn.Conv2d | nn.Linear] = [*net.conv_layers, *net.fc_layers]
    for place, layer in enumerate(layers):
        generator = torch.Generator().manual_seed(torch_seed(seed, Stream.INITIALISATION, place))
        fan_in = layer.weight[0].numel()
        fan_out = layer.weight.shape[0] * math.prod(layer.weight.shape[2:])
        # Drawn on the CPU for every device, so that weights begin equal on all.
        values = torch.empty(layer.weight.shape)
        is_of_boxes = net.architecture.is_of_boxes and layer is layers[-1]
        match "normal-std-0.01" if is_of_boxes else method:
            case "normal-std-0.01":
                values.normal_(0, 0.01, generator=generator)
            case "normal-std-0.1":
                values.normal_(0, 0.1, generator=generator)
            case "glorot":
                limit = math.sqrt(6 / (fan_in + fan_out))
                values.uniform_(-limit, limit, generator=generator)
            case "he" | "dirac":
                values.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            case _:
                raise ValueError(f"unknown initialisation {method!r}")
        if method == "dirac" and isinstance(layer, nn.Conv2d) and fan_in == fan_out:
            identity = nn.init.dirac_(torch.empty_like(values))
            values = IDENTITY * identity + math.sqrt(1 - IDENTITY**2) * values
        with torch.no_grad():
            layer.weight.copy_(values)
            bias_of(layer).zero_()


def copy_all_but_last(net: ConvNet, parent: ConvNet) -> None:
    """Copy a classifier into a net of boxes, but for its last layer (paper, appendix A).

    Raises InputError if the two differ in more than that layer, or the parent is no classifier.
    """
    if parent.architecture.is_of_boxes:
        raise InputError("the parent predicts boxes itself; give the classifier of the same S")
    if replace(parent.architecture, head=net.architecture.head) != net.architecture:
        raise InputError(
            f"the parent is another net, {parent.architecture}, than that of the boxes, "
            f"{net.architecture}"
        )
    last = next(name for name, module in net.named_modules() if module is net.fc_layers[-1])
    own = {name: values for name, values in net.state_dict().items() if name.startswith(last)}
    net.load_state_dict({**parent.state_dict(), **own})


def begin_at(net: ConvNet, box: np.ndarray) -> None:
    """Let a net of boxes begin at one box, float [4], of all classes: its last layer's biases."""
    bias = bias_of(net.fc_layers[-1])
    with torch.no_grad():
        bias.copy_(torch.from_numpy(box).to(bias).repeat(len(bias) // 4))


def transfer_layers(net: ConvNet, parent: ConvNet, convs: str) -> dict[str, str]:
    """Copy A's first four conv layers and its three fully-connected layers into a deeper net.

    convs: "by-shape" puts A's convs 1–4 in the first conv layers of `net`, taken in order, that
        have their shapes (1, 3, 5 and 6 in B–E); "first-of-block" takes the first conv of each of
        blocks 1–4 instead.
    Batch normalisation, if both have it, goes along with its conv layer.
    Returns the copied layers, {name in net: name in parent}; the others keep their random values.
    Raises InputError if the fully-connected layers do not fit or no conv layer does.
    """
    names = {module: name for name, module in net.named_modules()}
    parent_names = {module: name for name, module in parent.named_modules()}
    pairs: list[tuple[nn.Conv2d | nn.Linear, nn.Conv2d | nn.Linear]] = []
    if convs == "by-shape":
        targets = list(net.conv_layers)
        for conv in parent.conv_layers[:4]:
            fitting = [t for t in targets if t.weight.shape == conv.weight.shape]
            if fitting:
                pairs.append((fitting[0], conv))
                targets = targets[targets.index(fitting[0]) + 1 :]
    elif convs == "first-of-block":
        for own, conv in zip(first_convs(net), first_convs(parent), strict=True):
            if own.weight.shape == conv.weight.shape and len(pairs) < 4:
                pairs.append((own, conv))
    else:
        raise ValueError(f"unknown choice of transferred convs {convs!r}")
    if not pairs:
        raise InputError("no conv layer of the parent has the shape of one of the net's")
    if net.architecture.averages != parent.architecture.averages:
        raise InputError(
            "the net and its parent differ in GAP: fully-connected layers of one do not fit the "
            "other; take a parent of the same kind, or inherit nothing"
        )
    pairs += zip(net.fc_layers, parent.fc_layers, strict=True)
    with torch.no_grad():
        for target, source in pairs:
            if target.weight.shape != source.weight.shape:
                raise InputError(
                    f"{names[target]}: shape {tuple(target.weight.shape)} differs from the "
                    f"parent's {tuple(source.weight.shape)}; train both with one convnet section"
                )
            target.weight.copy_(source.weight)
            bias_of(target).copy_(bias_of(source))
            after, given = normalisation_of(net, target), normalisation_of(parent, source)
            if after and given:
                after.load_state_dict(given.state_dict())
    return {names[target]: parent_names[source] for target, source in pairs}


def normalisation_of(net: ConvNet, layer: nn.Module) -> nn.BatchNorm2d | None:
    """The batch normalisation right behind a layer, if there is one."""
    following = {one: other for one, other in pairwise(net.features)}
    found = following.get(layer)
    return found if isinstance(found, nn.BatchNorm2d) else None


def bias_of(layer: nn.Conv2d | nn.Linear) -> torch.Tensor:
    """A layer's biases, which all layers of the ConvNets have; float [outputs]."""
    assert layer.bias is not None
    return layer.bias


def first_convs(net: ConvNet) -> list[nn.Conv2d]:
    """The first conv layer of each block."""
    layers, at_start = [], True
    for module in net.features:
        if isinstance(module, nn.Conv2d) and at_start:
            layers.append(module)
            at_start = False
        elif isinstance(module, nn.MaxPool2d):
            at_start = True
    return layers
