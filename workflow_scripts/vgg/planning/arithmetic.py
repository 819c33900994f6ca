"""How much arithmetic the ConvNets take: FLOP read off the built modules, a multiply-add being two.

Convolutions and fully-connected layers are counted, and response normalisation's sum over channels,
which is a convolution here; biases, ReLUs, pooling and the soft-max, a thousandth of it, are not.
Image sizes are arrays, so that all images of a data set are counted at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..data.images import rescaled_size
from ..evaluation.methods import GRID_SIDE
from ..nets import library_nets
from ..nets.convnets import Architecture, ConvNet, LocalResponseNorm
from ..nets.library_nets import Classifier, LibraryArchitecture, LibraryNet, input_of


@cache
def built(architecture: Architecture) -> ConvNet:
    """The net on the meta device: its modules and shapes, without memory for the weights."""
    with torch.device("meta"):
        return ConvNet(architecture)


@cache
def built_of_library(net: str) -> LibraryNet:
    """A library's net of ILSVRC's classes, likewise."""
    given_input, crop = input_of(net)
    architecture = LibraryArchitecture(net, 1000, crop, given_input.std_rgb)
    return LibraryNet(architecture, library_nets.built(net, 1000)).to("meta")


@cache
def _flop_of_library(net: LibraryNet) -> int:
    """FLOP of a forward pass over one crop, counted by PyTorch."""
    crop = net.architecture.crop
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, crop, crop, device="meta"))
    return counter.get_total_flops()


def layer_flop(net: ConvNet, heights, widths) -> Iterator[tuple[nn.Module, np.ndarray]]:
    """Each counted layer from the input on, with its FLOP in a forward pass over one image.

    heights, widths: int arrays of one shape, the images' pixels; the FLOP are float64 of that
    shape. Fully-connected layers count once for each place of the score map (dense evaluation,
    paper §3.2), which is one for an image of the training crop's size, but for a net that averages
    its last map.
    """
    rows, columns = np.asarray(heights), np.asarray(widths)
    for module in net.features:
        if isinstance(module, nn.Conv2d):
            yield module, 2.0 * module.weight.numel() * rows * columns
        elif isinstance(module, LocalResponseNorm):
            yield module, 2.0 * module.near.numel() * rows * columns
        elif isinstance(module, nn.MaxPool2d):
            rounding = 1 if module.ceil_mode else 0
            rows, columns = (rows + rounding) // 2, (columns + rounding) // 2
    window = net.architecture.window
    rows, columns = rows - window + 1, columns - window + 1
    for module in net.fc_layers:
        yield module, 2.0 * module.weight.numel() * rows * columns


def score_map_places(net: ConvNet, heights, widths) -> np.ndarray:
    """Places of the score map of an image of each of these sizes, float64: windows of the net."""
    *_, (_, flop) = layer_flop(net, heights, widths)
    return flop / (2.0 * net.fc_layers[-1].weight.numel())


def forward_flop(net: Classifier, heights, widths) -> np.ndarray:
    """FLOP of a forward pass over one image of each of these sizes; float64.

    Those of a library's net are taken to grow with the image's area.
    """
    if not isinstance(net, ConvNet):
        area = np.asarray(heights) * np.asarray(widths) / net.architecture.crop**2
        return _flop_of_library(net) * area
    total = np.zeros(())
    for _, flop in layer_flop(net, heights, widths):
        total = total + flop
    return total


def training_flop(net: ConvNet, trainable: str = "all") -> float:
    """FLOP of a training step for each sample: the forward pass, and the backward pass's products.

    The gradient with respect to a layer's weights takes as much as its forward pass, and so does
    the one with respect to its input. Frozen layers need no gradient of weights, and a layer needs
    none of its input unless something before it learns: so three forward passes less the first
    convolution, or far less if `trainable` is "fc", the fully-connected layers only.
    """
    crop, total, learnt_before = net.architecture.crop, 0.0, False
    for module, flop in layer_flop(net, crop, crop):
        learns = isinstance(module, nn.Linear) or (
            isinstance(module, nn.Conv2d) and trainable == "all"
        )
        total += float(flop) * (1 + learns + learnt_before)
        learnt_before |= learns
    return total


def evaluation_flop(
    net: Classifier, method: str, smallest_side: int, heights, widths
) -> np.ndarray:
    """FLOP of one image's posterior by "dense", "multicrop" or "center", for each image size.

    smallest_side: Q in pixels, to which images of `heights` × `widths` (int [images]) are rescaled;
    their sizes matter in dense evaluation only, which takes a second pass for the mirror image.
    Returns float64 [images].
    """
    heights, widths = np.atleast_1d(heights), np.atleast_1d(widths)
    if method == "dense":
        return 2 * forward_flop(net, *rescaled_sizes(smallest_side, heights, widths))
    views = {"multicrop": 2 * GRID_SIDE**2, "center": 1}[method]
    crop = net.architecture.crop
    return np.full(len(heights), views * forward_flop(net, crop, crop))


def descriptor_flop(net: ConvNet, smallest_side: int, heights, widths) -> np.ndarray:
    """FLOP of one image's descriptor, for each image size: as dense evaluation without its last
    layer (appendix B). The arguments and the result are as for `evaluation_flop`.
    """
    heights, widths = np.atleast_1d(heights), np.atleast_1d(widths)
    *kept, _ = layer_flop(net, *rescaled_sizes(smallest_side, heights, widths))
    return 2 * np.sum([flop for _, flop in kept], axis=0)


def boxes_flop(
    net: ConvNet, classifier: ConvNet, method: str, smallest_side: int, heights, widths
) -> np.ndarray:
    """FLOP of one image's boxes by "dense" or "center", for each image size (appendix A).

    net: of boxes. classifier: rates them, which takes a pass of its own in "dense". The rest is as
    for `evaluation_flop`, but there is one view of the image.
    """
    heights, widths = np.atleast_1d(heights), np.atleast_1d(widths)
    if method == "dense":
        rescaled = rescaled_sizes(smallest_side, heights, widths)
        return forward_flop(net, *rescaled) + forward_flop(classifier, *rescaled)
    return evaluation_flop(net, method, smallest_side, heights, widths)


def rescaled_sizes(smallest_side: int, heights, widths) -> np.ndarray:
    """Heights and widths, int [2, images], of images that are rescaled to a smallest side."""
    sizes, places = np.unique(np.stack([heights, widths]), axis=1, return_inverse=True)
    rescaled = np.array([rescaled_size(h, w, smallest_side) for h, w in sizes.T.tolist()])
    return rescaled.T[:, places.reshape(-1)]
