"""What this machine can reach at most: its fastest kernels, and a net's own layers one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from workflow_scripts.vgg.arithmetic import built, layer_flop, training_flop
from workflow_scripts.vgg.convnets import Architecture
from workflow_scripts.vgg.precision import AUTOCAST, computing

from .measuring import stopwatch

SIDE = {"cpu": 3072, "cuda": 8192}
ROWS = {"cpu": 128, "cuda": 2048}  # of an FC layer's product
IMAGES = {"cpu": 8, "cuda": 256}  # of a convolution
NETS = {  # as in config/models.yaml; the shallowest and the one of most tables
    "A": "conv3-64 | conv3-128 | conv3-256 conv3-256 | conv3-512 conv3-512 | conv3-512 conv3-512",
    "D": "conv3-64 conv3-64 | conv3-128 conv3-128 | conv3-256 conv3-256 conv3-256"
    " | conv3-512 conv3-512 conv3-512 | conv3-512 conv3-512 conv3-512",
}


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def best_algorithms() -> Iterator[None]:
    """Inside the block, cuDNN times its algorithms for each shape and takes the fastest, which may
    be one that does not repeat its bits."""
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.use_deterministic_algorithms(before[1], warn_only=True)


class FastestKernel:
    """FLOP a second of the fastest of several kernels and shapes, which bounds what a net reaches.

    One kernel alone is no bound: on some processors convolutions are faster than the product of two
    square matrices. precision: as in `precision.computing`.
    """

    def __init__(self, device: torch.device, precision: str):
        self.device, self.precision = device, precision
        dtype = AUTOCAST.get(precision, torch.float32)

        def drawn(*shape: int) -> torch.Tensor:
            made = torch.randn(shape, device=device).to(dtype)
            return made.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else made

        side, rows, images = (table[device.type] for table in (SIDE, ROWS, IMAGES))
        left, right = drawn(side, side), drawn(side, side)
        x, fc = drawn(rows, 25088), drawn(4096, 25088)
        early, late = drawn(images, 256, 56, 56), drawn(images, 512, 28, 28)
        of_early, of_late = drawn(256, 256, 3, 3), drawn(512, 512, 3, 3)
        self.kernels: dict[str, tuple[float, Callable[[], torch.Tensor]]] = {
            "square matrices": (2 * side**3, lambda: left @ right),
            "FC-4096": (2 * rows * 25088 * 4096, lambda: F.linear(x, fc)),
            "conv3-256": (_flop(early, of_early), lambda: F.conv2d(early, of_early, padding=1)),
            "conv3-512": (_flop(late, of_late), lambda: F.conv2d(late, of_late, padding=1)),
        }

    @torch.inference_mode()
    def rates(self, times: int = 2) -> dict[str, float]:
        """FLOP a second of each kernel."""
        with computing(self.device, self.precision), best_algorithms():
            return {
                name: times * flop / stopwatch(lambda w=work: [w() for _ in range(times)], self.end)
                for name, (flop, work) in self.kernels.items()
            }

    def end(self) -> None:
        finish(self.device)

    def __call__(self) -> float:
        return max(self.rates().values())


def _flop(images: torch.Tensor, weight: torch.Tensor) -> float:
    """FLOP of a convolution that keeps its input's size."""
    return 2.0 * weight.numel() * images.shape[0] * images.shape[2] * images.shape[3]


class LayersAlone:
    """Images a second of a net's conv and FC layers, forward and backward, each by itself at its
    fastest: what a training step could reach if all else cost nothing.

    batch: images. crop, classes, fc, divisor: as in `Architecture`.
    """

    def __init__(
        self, name: str, batch: int, device: torch.device, precision: str, **architecture: int
    ):
        self.device, self.batch, self.precision = device, batch, precision
        net = built(Architecture(NETS[name], **architecture))
        dtype = AUTOCAST.get(precision, torch.float32)
        crop = net.architecture.crop
        self.flop = training_flop(net)
        self.layers: list[tuple[Callable, torch.Tensor, torch.Tensor, bool]] = []
        side = crop
        counted = {module for module, _ in layer_flop(net, crop, crop)}
        for module in [*net.features, *net.fc_layers]:
            if isinstance(module, torch.nn.MaxPool2d):
                side //= 2
            if module not in counted or not hasattr(module, "weight"):
                continue
            weight = torch.randn(module.weight.shape, device=device, dtype=dtype)
            if weight.dim() == 4:
                shape = (batch, weight.shape[1], side, side)
                weight = weight.contiguous(memory_format=torch.channels_last)
            else:
                shape = (batch, weight.shape[1])
            x = torch.randn(shape, device=device, dtype=dtype)
            if x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            work = _convolve if weight.dim() == 4 else F.linear
            first = not self.layers  # images need no gradient
            self.layers.append((work, x.requires_grad_(not first), weight.requires_grad_(), first))

    def step(self) -> None:
        """Forward and backward pass of each layer."""
        for work, x, weight, first in self.layers:
            y = work(x, weight)
            torch.autograd.grad(y, [weight] if first else [x, weight], y.detach())

    def __call__(self) -> float:
        with computing(self.device, self.precision), best_algorithms():
            return self.batch / stopwatch(self.step, lambda: finish(self.device))


def _convolve(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, weight, padding=weight.shape[2] // 2)
