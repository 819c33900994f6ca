"""Where the windows of nets of boxes lie in an image, by naive loops; nets that say one box."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import save_weights

LAYERS = "conv3-64 | conv3-128 | conv3-256 | conv3-512 | conv3-512"
CROP, STRIDE = 64, 32
MEAN = [120.0, 115.0, 100.0]
WINDOW = (0.5, 0.5, 1.0, 1.0)  # a window's own rectangle, in its frame


def net_of(head: str, classes: int = 10, seed: int = 3, **sizes) -> ConvNet:
    """A net of random weights whose outputs for pixels are about 1, or boxes of about a half."""
    values = {"crop": CROP, "fc": 16, "width_divisor": 16} | sizes
    net = ConvNet(Architecture(LAYERS, classes, head=head, **values))
    initialise(net, "he", seed)
    with torch.no_grad():
        net.conv_layers[0].weight.div_(64)
        if net.architecture.is_of_boxes:
            net.fc_layers[-1].weight.mul_(4)
            net.fc_layers[-1].bias.fill_(0.5)
    return net.eval()


def constant(head: str, numbers, classes: int = 10) -> ConvNet:
    """A net that gives these numbers, [4], or [classes, 4], whatever it sees."""
    net = net_of(head, classes)
    bias = torch.tensor(numbers, dtype=torch.float32).flatten()
    with torch.no_grad():
        net.fc_layers[-1].weight.zero_()
        net.fc_layers[-1].bias.copy_(bias.repeat(net.architecture.outputs // len(bias)))
    return net


def saved(path: Path, net: ConvNet, model: str = "A_S256_pcr", **metadata) -> str:
    """Weights of a net as a training leaves them."""
    values = {"model": model, "mean_rgb": MEAN, "iterations": 7, "code_fingerprint": "c",
              "choices": {}} | metadata  # fmt: skip
    save_weights(path, net, 1.0, values)
    return str(path)


def rescaled_sides(height: int, width: int, side: int) -> tuple[int, int]:
    """Of an image, by the paper's words: isotropic, the smallest side has that length."""
    if height <= width:
        return side, round(side * width / height)
    return round(side * height / width), side


def windows(height: int, width: int, side: int) -> list[list[tuple[int, int]]]:
    """Every place's window, top and left in pixels of the rescaled image: [rows][columns]."""
    tall, wide = rescaled_sides(height, width, side)
    found, top = [], 0
    while top + CROP <= tall:
        row, left = [], 0
        while left + CROP <= wide:
            row.append((top, left))
            left += STRIDE
        found.append(row)
        top += STRIDE
    return found


def in_original(
    height: int, width: int, side: int, top: int, left: int, numbers: Sequence[float] = WINDOW
) -> list[float]:
    """The box of a window, [4], in the image's own pixels."""
    tall, wide = rescaled_sides(height, width, side)
    x, y, across, down = (CROP * number for number in numbers)
    return [
        (left + x - across / 2) * width / wide,
        (top + y - down / 2) * height / tall,
        (left + x + across / 2) * width / wide,
        (top + y + down / 2) * height / tall,
    ]


def dense_boxes_of(
    height: int, width: int, side: int, numbers: Sequence[float] = WINDOW
) -> np.ndarray:
    """The boxes [rows, columns, 4] of all windows."""
    return np.array(
        [
            [in_original(height, width, side, top, left, numbers) for top, left in row]
            for row in windows(height, width, side)
        ]
    )


def central_box_of(
    height: int, width: int, side: int, numbers: Sequence[float] = WINDOW
) -> list[float]:
    """The box [4] of the central crop."""
    tall, wide = rescaled_sides(height, width, side)
    return in_original(height, width, side, (tall - CROP) // 2, (wide - CROP) // 2, numbers)
