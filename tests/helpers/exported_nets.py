"""Nets that are exported, and the code of their model cards, run as a reader would."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.helpers.evaluations import posteriors_of
from tests.helpers.paper_nets import picture
from workflow_scripts import export_weights
from workflow_scripts.vgg.data.shards import write_shard
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

SMALL = {"classes": 7, "crop": 64, "fc": 48, "width_divisor": 16}
WIDE, TALL = (150, 217), (301, 160)  # of pictures: height, width


def saved_net(path: Path, layers: str, S=(256, 512), **options) -> ConvNet:
    """A net with random weights, as a training writes it; its answers to pictures differ."""
    sizes = {k: options.pop(k) for k in list(options) if k in Architecture.__dataclass_fields__}
    net = ConvNet(Architecture(layers, **SMALL | sizes), dropout=0.0)
    initialise(net, "he", 3)
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.bias.normal_(0, 0.1, generator=draws)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=draws)
                module.running_mean.normal_(0, 0.2, generator=draws)
                module.running_var.uniform_(0.5, 1.5, generator=draws)
    trained = {"model": "D_S256-512", "net": "D", "S": list(S), "iterations": 370000, "seed": 0}
    trained |= {"mean_rgb": [120.5, 118.25, 101.0], "code_fingerprint": "0123456789ab"}
    trained |= {"choices": {"resize_filter": "bilinear"}, "parent": None}
    save_weights(path, net, 60.0, trained | options)
    return net


def exported(weights: Path, folder: Path, *options: str) -> Path:
    """The folder with an export of a weights file."""
    export_weights.main(["--weights", str(weights), "--output", str(folder), *options])
    return folder


def photograph(folder: Path, height: int, width: int) -> bytes:
    """A smooth picture at photo.jpg in the folder; its bytes, a PNG's, so that all decode alike."""
    content = io.BytesIO()
    Image.fromarray(picture(height, width)).save(content, "PNG")
    (folder / "photo.jpg").write_bytes(content.getvalue())
    return content.getvalue()


def central_posteriors(weights: Path, photo: bytes, smallest_side: int, folder: Path) -> np.ndarray:
    """The posteriors [1, classes] that the pipeline gives of a photograph's central crop."""
    with Image.open(io.BytesIO(photo)) as image:
        width, height = image.size
    write_shard(folder / "photo.arrow", [("photo", 0, photo, height, width)])
    net, metadata = load_weights(weights)
    paths, mean = [folder / "photo.arrow"], metadata["mean_rgb"]
    filter = metadata["choices"]["resize_filter"]
    return posteriors_of(net, paths, "center", smallest_side, mean, resize_filter=filter)


def code_of_card(folder: Path) -> dict[str, list[str]]:
    """The Python in a model card, by heading."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^##+ ", (folder / "README.md").read_text(encoding="utf-8"), flags=re.M):
        heading = part.partition("\n")[0]
        found[heading] = re.findall(r"^```python\n(.*?)^```", part, flags=re.M | re.S)
    return {heading: code for heading, code in found.items() if code}


def run_card(folder: Path) -> dict[str, list[dict]]:
    """What each piece of a card's code leaves in its names, by heading; run in the folder."""
    pieces, before = code_of_card(folder), os.getcwd()
    (of_input,) = pieces.pop("Input")
    os.chdir(folder)
    try:
        names: dict = {}
        exec(of_input, names)
        left: dict[str, list[dict]] = {"Input": [names]}
        for heading, code in pieces.items():
            left[heading] = [dict(names) for _ in code]
            for piece, own in zip(code, left[heading], strict=True):
                exec(piece, own)
    finally:
        os.chdir(before)
    return left
