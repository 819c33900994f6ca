"""The setting of a measuring session's parts: a device, nets, batches, shards."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data.loader import TrainingBatch, TrainingImages
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.dropout import SequencedDropout
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.precision import OF_EVALUATION, resolved
from workflow_scripts.vgg.settings.experiments import read_yaml
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training

from .machine import finish
from .training_speed import MEAN

MODELS = Path(__file__).parents[2] / "config/models.yaml"
INPUT_SCALE = 58.0
RATE = 1e-3


@dataclass(frozen=True)
class Setting:
    """A device, and how much of it is asked.

    small: nets and numbers so small that a CPU does all parts within a minute or two. original,
    rescaled: shards of the same images, as they came and at S = 256. folder: for files.
    """

    device: torch.device
    small: bool
    cores: int
    folder: Path
    original: Path
    rescaled: Path

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def crop(self) -> int:
        """The nets' input in pixels."""
        return 64 if self.small else 224

    @property
    def workers(self) -> int:
        """Loader processes."""
        return max(1, self.cores - 1)

    @property
    def precisions(self) -> list[str]:
        """Those that the device has."""
        return [name for name in OF_EVALUATION if self._has(name)]

    def _has(self, precision: str) -> bool:
        try:
            return resolved(precision, self.device) == precision
        except InputError:
            return False

    def either(self, in_full, small):
        """A size: in full, or small."""
        return small if self.small else in_full

    @cached_property
    def layers(self) -> dict[str, str]:
        """Table 1's nets."""
        return read_yaml(MODELS)["convnets"]

    @cached_property
    def _drawn(self) -> dict[str, ConvNet]:
        return {}  # 140 million normal numbers take a second

    def architecture(self, name: str) -> Architecture:
        """A net of the paper, or the same layers a sixteenth as wide."""
        if self.small:
            return Architecture(
                self.layers[name], classes=10, crop=self.crop, fc=64, width_divisor=16
            )
        return Architecture(self.layers[name])

    def net(self, name: str, dropout: float = 0.0) -> ConvNet:
        """A net with the same random weights each time, on the CPU."""
        if name not in self._drawn:
            self._drawn[name] = ConvNet(self.architecture(name))
            initialise(self._drawn[name], "he", 0)
        net = copy.deepcopy(self._drawn[name])
        for module in net.modules():
            if isinstance(module, SequencedDropout):
                module.ratio = dropout
        return net

    def training(
        self,
        name: str,
        size: int,
        precision: str = "auto",
        *,
        dropout: float = 0.5,
        device: torch.device | None = None,
    ) -> Steps:
        """A training on batches of a size, ready for its first step."""
        settings = Optimisation(
            RATE, size, dropout=dropout, precision=precision, input_scale=INPUT_SCALE
        )
        net = self.net(name, dropout).to(device or self.device)
        unread = TrainingImages(
            [],
            seed=0,
            batch_size=size,
            crop=self.crop,
            scales=(256, 256),
            colour_axes=np.zeros((3, 3)),
        )
        return Steps(Training(net, unread, settings, MEAN))

    def batch(self, size: int, seed: int = 0, pinned: bool = True) -> TrainingBatch:
        """Random pixels, labels of ten classes, and shifts."""
        draw = torch.Generator().manual_seed(seed)
        pixels = torch.randint(
            0, 256, (size, self.crop, self.crop, 3), dtype=torch.uint8, generator=draw
        )
        batch = TrainingBatch(
            pixels.permute(0, 3, 1, 2),
            torch.randint(0, 10, (size,), generator=draw),
            torch.randn(size, 3, generator=draw),
        )
        return batch.pin_memory() if self.on_gpu and pinned else batch


@dataclass(frozen=True)
class Steps:
    """A training whose steps are done by hand."""

    training: Training

    @property
    def net(self) -> ConvNet:
        """The net in training."""
        return self.training.net

    def __call__(
        self,
        batches: Iterable[TrainingBatch],
        model: torch.nn.Module | None = None,
        micro_batch: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do a step with each batch. Gives the last one's losses and gradient norm."""
        own = self.training
        own.model, own.micro_batch = model or own.net, micro_batch
        for batch in batches:
            found = own.step(batch)
        return found


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The norm of the difference over the norm of what was expected, in float64."""
    expected = expected.detach().double()
    found = found.detach().to(expected.device).double()
    return float((found - expected).norm() / expected.norm())


def mean_seconds(
    work: Callable[[], object], device: torch.device, times: int, warm: int = 3
) -> float:
    """Seconds of a run, of so many one behind the other, after some that do not count."""
    for _ in range(warm):
        work()
    finish(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    finish(device)
    return (time.perf_counter() - started) / times
