"""Small nets, pictures and shards for tests of the paper's sentences."""

import io

import numpy as np
import torch
import yaml
from PIL import Image
from torch import nn

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.data.shards import write_shard
from workflow_scripts.vgg.nets import initialisation
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet

CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
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
