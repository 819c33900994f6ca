"""A training step at full size: ours beside a plain loop around torchvision's net."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from workflow_scripts.vgg.arithmetic import built, training_flop
from workflow_scripts.vgg.convnets import Architecture, ConvNet
from workflow_scripts.vgg.devices import autocast
from workflow_scripts.vgg.initialisation import initialise
from workflow_scripts.vgg.loader import TrainingBatch, TrainingImages
from workflow_scripts.vgg.training import Optimisation, Running, Training

from .machine import NETS, MatrixProduct, finish
from .measuring import Contender, Line, Measured, alternate, fixed, stopwatch

TORCHVISION = {"A": "vgg11", "D": "vgg16"}
BATCH = {"cpu": {"A": 16, "D": 8}, "cuda": {"A": 256, "D": 64}}
STEPS = {"cpu": 1, "cuda": 10}  # of a run
MEAN = [123.7, 116.3, 103.5]
LEARNING_RATE = 1e-4  # small, so that random weights and few images stay finite


def net_of(name: str, device: torch.device) -> ConvNet:
    """One of the paper's nets with random weights."""
    net = ConvNet(Architecture(NETS[name]))
    initialise(net, "he", 0)
    return net.to(device)


class Ours:
    """Our training's steps; a call gives images a second."""

    def __init__(self, name: str, shard: Path, device: torch.device, precision: str):
        self.device = device
        self.settings = Optimisation(
            LEARNING_RATE, BATCH[device.type][name], precision=precision, input_scale=58.0
        )
        self.images = TrainingImages(
            [shard], 0, self.settings.batch_size, 224, (256, 256), np.zeros((3, 3))
        )
        self.training = Training(net_of(name, device), self.images, self.settings, "")
        self.mean = torch.tensor(MEAN, device=device)
        self.running = Running(Path())
        self.batch = self.images[0]

    def step(self, batch: TrainingBatch) -> None:
        """One iteration of SGD."""
        self.training.step(self.training.net, batch, self.mean, 0, self.running)

    def __call__(self) -> float:
        steps = STEPS[self.device.type]
        seconds = stopwatch(
            lambda: [self.step(self.batch) for _ in range(steps)], lambda: finish(self.device)
        )
        return steps * self.settings.batch_size / seconds

    def waiting(self, workers: int, steps: int) -> tuple[float, float]:
        """Share of the time that steps wait for the loader, and its images a second."""
        waited = 0.0
        batches = self.images.batches(0, steps + 1, workers, self.device.type == "cuda")
        with closing(batches):
            self.step(next(batches))
            finish(self.device)
            started = time.perf_counter()
            for _ in range(steps):
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                self.step(batch)
                finish(self.device)
            total = time.perf_counter() - started
        return waited / total, steps * self.settings.batch_size / total


class Plain:
    """The loop that one would write around torchvision's net, with all that makes it fast."""

    def __init__(self, name: str, batch: TrainingBatch, device: torch.device, precision: str):
        from torchvision import models

        net = getattr(models, TORCHVISION[name])(weights=None, num_classes=1000)
        self.net = net.to(device, memory_format=torch.channels_last).train()
        self.model = self.net
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-4, fused=True
        )
        self.device, self.precision, self.batch = device, precision, batch
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)

    def compiled(self) -> Plain:
        """The same with torch.compile."""
        self.model = torch.compile(self.net)
        return self

    def step(self) -> None:
        """One iteration of SGD."""
        images = self.batch.images.to(self.device, non_blocking=True)
        labels = self.batch.labels.to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.precision):
            loss = F.cross_entropy(self.model((images - self.mean) / 58), labels)
        loss.backward()
        self.optimizer.step()

    def __call__(self) -> float:
        steps = STEPS[self.device.type]
        seconds = stopwatch(
            lambda: [self.step() for _ in range(steps)], lambda: finish(self.device)
        )
        return steps * len(self.batch.labels) / seconds


def compiled_or_none(plain: Plain) -> Contender | None:
    """The plain loop compiled, or None where compiling fails, for instance without g++."""
    try:
        compiled = plain.compiled()
        compiled()
    except Exception as error:  # of Triton's, Inductor's or a compiler's
        logging.warning("torch.compile was tried and failed: %s", str(error).splitlines()[0])
        return None
    return compiled


def lines(shard: Path, device: torch.device, precision: str, workers: int) -> list[Line]:
    """The lines on training. shard: of images at S = 256. workers: of the loader."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    product, found = MatrixProduct(device, dtype), []
    for name in NETS:
        ours = Ours(name, shard, device, precision)
        contenders: dict[str, Contender] = {
            "ours": ours,
            "torchvision": Plain(name, ours.batch, device, precision),
            "matrix products": product,
        }
        compiled = compiled_or_none(Plain(name, ours.batch, device, precision))
        if compiled:
            contenders["torchvision, compiled"] = compiled
        measured = alternate(contenders)
        flop = training_flop(built(ours.training.net.architecture))
        rates = [rate / flop for rate in measured["matrix products"].values]
        plain = [m for rival, m in measured.items() if rival.startswith("torchvision")]
        found.append(
            Line(
                *("training", f"{name}, forward, backward and update", "images/s"),
                measured["ours"],
                max(plain, key=lambda rival: rival.best),
                Measured("matrix products", rates),
                *(1.0, 0.75),
                "beside: "
                + ", ".join(f"{rival.name} {rival.best:.3g} images/s" for rival in plain)
                + ("" if compiled else "; torch.compile failed here"),
                flop,
            )
        )
        shares = [ours.waiting(workers, 4 * STEPS[device.type])[0] for _ in range(5)]
        found.append(
            Line(
                *("training", f"{name}, share of time waiting for {workers} loader(s)", "share"),
                Measured("ours", [max(share, 1e-6) for share in shares], seconds=True),
                limit=fixed("at most", 0.03, seconds=True),
                least_over_limit=1.0,
            )
        )
        del ours, contenders, compiled
    return found
