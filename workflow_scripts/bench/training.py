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
from workflow_scripts.vgg.initialisation import initialise
from workflow_scripts.vgg.loader import TrainingBatch, TrainingImages
from workflow_scripts.vgg.precision import computing
from workflow_scripts.vgg.training import Optimisation, Running, Training

from .machine import NETS, MatrixProduct, finish
from .measuring import RUNS, Elsewhere, Line, Measured, alternate, fixed, stopwatch

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

    def waiting(self, workers: int) -> list[float]:
        """The share of its time that training waits for the loader, in each of RUNS runs.

        A run has a batch of each worker at least. Their first ones, which come together, do not
        count.
        """
        steps = max(STEPS[self.device.type], workers)
        shares = []
        batches = self.images.batches(
            0, workers + RUNS * steps, workers, self.device.type == "cuda"
        )
        with closing(batches):
            for _ in range(workers):
                self.step(next(batches))
            finish(self.device)
            for _ in range(RUNS):
                waited, started = 0.0, time.perf_counter()
                for _ in range(steps):
                    asked = time.perf_counter()
                    batch = next(batches)
                    waited += time.perf_counter() - asked
                    self.step(batch)
                    finish(self.device)  # else a GPU that is still busy would seem to wait
                shares.append(waited / (time.perf_counter() - started))
        return shares


class Plain:
    """The loop that one would write around torchvision's net, with all that makes it fast."""

    def __init__(
        self, name: str, device: torch.device, precision: str, threads: int, compiled: bool = False
    ):
        from torchvision import models

        torch.set_num_threads(threads)
        net = getattr(models, TORCHVISION[name])(weights=None, num_classes=1000)
        self.net = net.to(device, memory_format=torch.channels_last).train()
        self.model = torch.compile(self.net) if compiled else self.net
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-4, fused=True
        )
        self.device, self.precision = device, precision
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        size = BATCH[device.type][name]
        images = torch.randint(0, 256, (size, 3, 224, 224), dtype=torch.uint8)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 1000, (size,))

    def step(self) -> None:
        """One iteration of SGD."""
        images = self.images.to(self.device, non_blocking=True)
        labels = self.labels.to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with computing(self.device, self.precision):
            loss = F.cross_entropy(self.model((images - self.mean) / 58), labels)
        loss.backward()
        self.optimizer.step()

    def __call__(self) -> float:
        steps = STEPS[self.device.type]
        seconds = stopwatch(
            lambda: [self.step() for _ in range(steps)], lambda: finish(self.device)
        )
        return steps * len(self.labels) / seconds


def fastest_plain(*words) -> tuple[str, Elsewhere, str]:
    """The plain loop, compiled if that is faster: its name, itself, and what compiling does."""
    plain, compiled = Elsewhere(Plain, *words), Elsewhere(Plain, *words, True)
    try:
        compiled()
        rates = [max(contender() for _ in range(2)) for contender in (plain, compiled)]
    except RuntimeError as error:  # of Inductor's, Triton's or a compiler's, such as a missing g++
        reason = str(error).splitlines()[0]
        logging.warning("torch.compile was tried and failed: %s", reason)
        compiled.close()
        return "torchvision", plain, f"torch.compile was tried and failed: {reason}"
    faster, slower = (compiled, plain) if rates[1] > rates[0] else (plain, compiled)
    slower.close()
    return (
        "torchvision, compiled" if faster is compiled else "torchvision",
        faster,
        f"torch.compile makes torchvision's loop {rates[1] / rates[0]:.2f} times as fast",
    )


def lines(
    shard: Path, device: torch.device, precision: str, threads: int, workers: int
) -> list[Line]:
    """The lines on training. shard: of images at S = 256. workers: of the loader."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    product, found = MatrixProduct(device, dtype), []
    for name in NETS:
        words = name, device, precision, threads
        rival_name, rival, note = fastest_plain(*words)
        ours = Ours(name, shard, device, precision)
        contenders = {"ours": ours, rival_name: rival, "matrix products": product}
        same_memory = "torchvision, in our process"
        if device.type == "cpu":  # a GPU's freed memory is PyTorch's in any process
            contenders[same_memory] = Plain(*words)
        measured = alternate(contenders)
        rival.close()
        flop = training_flop(built(ours.training.net.architecture))
        rates = [rate / flop for rate in measured["matrix products"].values]
        limit = Measured("matrix products", rates)
        what = f"{name}, forward, backward and update"
        found.append(
            Line(
                *("training", what, "images/s", measured["ours"], measured[rival_name], limit),
                *(1.0, 0.75, note, flop),
            )
        )
        if same_memory in measured:
            found.append(
                Line(
                    *("training", what, "images/s"),
                    *(measured["ours"], measured[same_memory], limit),
                    note="the rival keeps freed memory as ours does, which a plain loop does not",
                )
            )
        found.append(
            Line(
                *("training", f"{name}, share of time waiting for {workers} loader(s)", "share"),
                Measured("ours", ours.waiting(workers), seconds=True),
                limit=fixed("at most", 0.03, seconds=True),
                least_over_limit=1.0,
            )
        )
        del ours, contenders
    return found
