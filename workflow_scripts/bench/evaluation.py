"""Evaluating full-size D: ours beside the script that one would write around torchvision's net."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from workflow_scripts.vgg import evaluation
from workflow_scripts.vgg.arithmetic import evaluation_flop
from workflow_scripts.vgg.shards import Shards

from .machine import MatrixProduct, finish
from .measuring import Growth, Line, Measured, alternate, stopwatch
from .training import MEAN, net_of

SCALES = (256, 384, 512)
CROP = 224
IMAGES = {"cpu": {"dense": 2, "multicrop": 1}, "cuda": {"dense": 64, "multicrop": 8}}
MULTICROP_SCALES = {"cpu": (384,), "cuda": SCALES}  # each has 50 crops of one size


class Straightforward:
    """One image, one scale, one view or one image's crops at a time, decoded for each scale."""

    def __init__(self, files: Sequence[Path], device: torch.device):
        from torchvision import models

        net = models.vgg16(weights=None, num_classes=1000).eval().to(device)
        layers, side = [], 7
        for layer in net.classifier:
            if isinstance(layer, nn.Linear):
                conv = nn.Conv2d(layer.in_features // side**2, layer.out_features, side)
                conv.weight.data = layer.weight.data.view_as(conv.weight)
                conv.bias.data = layer.bias.data
                layers, side = [*layers, conv], 1
            elif isinstance(layer, nn.ReLU):
                layers.append(layer)
        self.dense_net = nn.Sequential(net.features, *layers).to(device)
        self.net, self.files, self.device = net, files, device
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)

    def image(self, path: Path, scale: int) -> torch.Tensor:
        """An image at a scale, float [1, 3, height, width]."""
        image = Image.open(path).convert("RGB")
        factor = scale / min(image.size)
        size = [round(side * factor) for side in image.size]
        pixels = np.array(image.resize(size, Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).to(self.device).permute(2, 0, 1)[None].float() - self.mean

    @torch.inference_mode()
    def dense(self, scales: Sequence[int]) -> None:
        """Posteriors by dense evaluation."""
        for path in self.files:
            for scale in scales:
                image = self.image(path, scale)
                for view in (image, image.flip(3)):
                    self.dense_net(view).mean((2, 3)).softmax(1).cpu()

    @torch.inference_mode()
    def multicrop(self, scales: Sequence[int]) -> None:
        """Posteriors by 50 crops a scale."""
        for path in self.files:
            for scale in scales:
                views = evaluation.multicrop_views(self.image(path, scale), CROP)
                self.net(torch.cat(list(views))).softmax(1).mean(0).cpu()


@contextmanager
def time_inside(net: nn.Module, device: torch.device) -> Iterator[Callable[[], float]]:
    """Counts the seconds that are spent inside the modules of a net, decoding left out."""
    seconds, started = 0.0, 0.0

    def begin(*_) -> None:
        nonlocal started
        finish(device)
        started = time.perf_counter()

    def end(*_) -> None:
        nonlocal seconds
        finish(device)
        seconds += time.perf_counter() - started

    parts = [m for m in net.modules() if not list(m.children())]
    handles = [part.register_forward_pre_hook(begin) for part in parts]
    handles += [part.register_forward_hook(end) for part in parts]
    try:
        yield lambda: seconds
    finally:
        for handle in handles:
            handle.remove()
