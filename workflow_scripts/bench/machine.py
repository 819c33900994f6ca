"""The most that this machine can reach: its fastest kernels, and a net's layers one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn import functional as F

from workflow_scripts.vgg.nets.convnets import Architecture
from workflow_scripts.vgg.nets.precision import AUTOCAST, computing
from workflow_scripts.vgg.planning.arithmetic import built, layer_flop, training_flop

from .measuring import stopwatch

SIDE = {"cpu": 3072, "cuda": 8192}
ROWS = {"cpu": 128, "cuda": 2048}  # of an FC layer's product
IMAGES = {"cpu": 8, "cuda": 256}  # of a convolution
TIMES = {"cpu": 1, "cuda": 10}  # one behind the other, else a GPU's would be short beside the start
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


def rate_of(step: Callable[[], object], images: int, steps: int, device: torch.device) -> float:
    """Images a second of so many steps of so many images each.

    On a GPU its memory is given back afterwards, since contenders in other processes need it as
    well, and so a step that takes it again comes before those that count.
    """
    if device.type == "cuda":
        step()
    seconds = stopwatch(lambda: [step() for _ in range(steps)], lambda: finish(device))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return steps * images / seconds


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
        self.kernels: dict[str, tuple[float, Callable[[], torch.Tensor]]] = {
            "square matrices": (2 * side**3, lambda: left @ right),
            "FC-4096": (2 * rows * 25088 * 4096, lambda: F.linear(x, fc)),
        }
        for kernel, width, map_side in ((3, 128, 112), (3, 256, 56), (3, 512, 28), (1, 512, 28)):
            maps = drawn(images, width, map_side, map_side)
            weight = drawn(width, width, kernel, kernel)
            self.kernels[f"conv{kernel}-{width}"] = (
                2.0 * weight.numel() * images * map_side**2,
                partial(_convolve, maps, weight),
            )

    @torch.inference_mode()
    def rates(self) -> dict[str, float]:
        """FLOP a second of each kernel."""
        with computing(self.device, self.precision), best_algorithms():
            return {name: flop / self._seconds(work) for name, (flop, work) in self.kernels.items()}

    def _seconds(self, work: Callable[[], object]) -> float:
        times = TIMES[self.device.type]
        return (
            stopwatch(lambda: [work() for _ in range(times)], lambda: finish(self.device)) / times
        )

    def __call__(self) -> float:
        return max(self.rates().values())


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
            return rate_of(self.step, self.batch, 1, self.device)


def _convolve(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, weight, padding=weight.shape[2] // 2)
