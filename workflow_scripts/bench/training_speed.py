"""A training step at full size: ours beside a plain loop around torchvision's net."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from workflow_scripts.vgg.data.loader import READ_AHEAD, TrainingBatch, TrainingImages
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.devices import is_out_of_memory
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.precision import computing
from workflow_scripts.vgg.planning.arithmetic import built, training_flop
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training

from .machine import NETS, FastestKernel, LayersAlone, finish, rate_of
from .measuring import RUNS, Elsewhere, Line, Measured, alternate

TORCHVISION = {"A": "vgg11", "D": "vgg16"}
BATCH = {"cpu": {"A": 16, "D": 8}, "cuda": {"A": 256, "D": 256}}
LEAST_BATCH = 64  # that a GPU of little memory is measured with
STEPS = {"cpu": 1, "cuda": 10}  # of a run
MEAN = [123.7, 116.3, 103.5]
LEARNING_RATE = 1e-4  # small, so that random weights and few images stay finite


def net_of(name: str, device: torch.device, head: str = "classes") -> ConvNet:
    """One of the paper's nets with random weights."""
    net = ConvNet(Architecture(NETS[name], head=head))
    initialise(net, "he", 0)
    return net.to(device)


class Ours:
    """Our training's steps with batches of a size; a call gives images a second."""

    def __init__(self, name: str, shard: Path, device: torch.device, precision: str, size: int):
        self.device = device
        self.settings = Optimisation(LEARNING_RATE, size, precision=precision, input_scale=58.0)
        self.images = TrainingImages(
            [shard],
            seed=0,
            batch_size=self.settings.batch_size,
            crop=224,
            scales=(256, 256),
            colour_axes=np.zeros((3, 3)),
        )
        self.training = Training(net_of(name, device), self.images, self.settings, MEAN)
        self.batch = self.images[0]
        if device.type == "cuda":  # as the loader gives them
            self.batch = self.batch.pin_memory()

    def step(self, batch: TrainingBatch) -> None:
        """One iteration of SGD."""
        self.training.step(batch)

    def __call__(self) -> float:
        steps, size = STEPS[self.device.type], self.settings.batch_size
        return rate_of(lambda: self.step(self.batch), size, steps, self.device)

    def waiting(self, workers: int) -> list[float]:
        """The share of its time that training waits for the loader, in each of RUNS runs.

        A run has a batch of each worker at least. What they have read ahead of the first step does
        not count: as many batches are taken before.
        """
        steps, ahead = max(STEPS[self.device.type], workers), workers * (READ_AHEAD + 1)
        shares = []
        batches = self.images.batches(0, ahead + RUNS * steps, workers, self.device.type == "cuda")
        with closing(batches):
            for _ in range(ahead):
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
    """The loop that one would write around torchvision's net, with all that makes it fast: mixed
    precision, channels last, a fused optimiser, and on a GPU pinned batches and cuDNN's choice of
    algorithms by timing them.

    repeatable: with our settings of cuDNN instead, by which the same bits come again.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        precision: str,
        threads: int,
        size: int,
        compiled: bool = False,
        repeatable: bool = False,
    ):
        from torchvision import models

        torch.set_num_threads(threads)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = not repeatable
            torch.use_deterministic_algorithms(repeatable, warn_only=True)
        net = getattr(models, TORCHVISION[name])(weights=None, num_classes=1000)
        self.net = net.to(device, memory_format=torch.channels_last).train()
        self.model = torch.compile(self.net) if compiled else self.net
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-4, fused=True
        )
        self.device, self.precision = device, precision
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        images = torch.randint(0, 256, (size, 3, 224, 224), dtype=torch.uint8)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 1000, (size,))
        if device.type == "cuda":
            self.images, self.labels = self.images.pin_memory(), self.labels.pin_memory()

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
        return rate_of(self.step, len(self.labels), STEPS[self.device.type], self.device)


def fastest_plain(*words) -> tuple[str, Elsewhere, str]:
    """The plain loop, compiled if that is faster: its name, itself, and what compiling does."""
    plain, compiled = Elsewhere(Plain, *words), Elsewhere(Plain, *words, True)
    try:
        compiled()
        rates = [max(contender() for _ in range(2)) for contender in (plain, compiled)]
    except RuntimeError as error:  # of Inductor's, Triton's or a compiler's, such as a missing g++
        if is_out_of_memory(error):
            raise
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


def fitting(measure: Callable[[int], list[Line]], size: int) -> list[Line]:
    """The lines that `measure` gives with batches of `size`, or of half as many on a small GPU.

    They are halved until all contenders fit, but not below LEAST_BATCH.
    """
    while True:
        try:
            return measure(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or size // 2 < LEAST_BATCH:
                raise
            size //= 2
            logging.warning("once more with batches of %d: the GPU has no memory for more", size)
        torch.cuda.empty_cache()


def lines(
    shard: Path, device: torch.device, precision: str, threads: int, workers: int
) -> list[Line]:
    """The lines on training. shard: of images at S = 256. workers: of the loader."""
    kernel, found = FastestKernel(device, precision), []
    for name in NETS:
        words = name, shard, device, precision, threads, workers, kernel
        found += fitting(partial(_lines_on, *words), BATCH[device.type][name])
    return found


def _lines_on(
    name: str,
    shard: Path,
    device: torch.device,
    precision: str,
    threads: int,
    workers: int,
    kernel: FastestKernel,
    size: int,
) -> list[Line]:
    ours, on_gpu = Ours(name, shard, device, precision, size=size), device.type == "cuda"
    words = name, device, precision, threads, size
    rival_name, rival, note = fastest_plain(*words)
    contenders = {"ours": ours, rival_name: rival, "fastest kernel": kernel}
    if on_gpu:  # a GPU's freed memory is PyTorch's in any process
        same, why = "torchvision, repeatable", "the rival has our settings of cuDNN"
        contenders[same] = alike = Elsewhere(Plain, *words, False, True)
        contenders["its layers alone"] = LayersAlone(name, size, device, precision)
        note += "; ours repeats its bits, the rival takes what is fastest"
    else:
        same = "torchvision, in our process"
        why = "the rival keeps freed memory as ours does, which a plain loop does not"
        contenders[same] = Plain(*words)
    measured = alternate(contenders)
    rival.close()
    flop = training_flop(built(ours.training.net.architecture))
    rates = [rate / flop for rate in measured["fastest kernel"].values]
    limit, least = Measured("fastest kernel", rates), 0.75
    what = f"{name}, forward, backward and update of {size} images"
    if on_gpu:
        alike.close()
        note += f"; the fastest kernel reaches {limit.best:.0f} images/s"
        limit, least = measured["its layers alone"], 0.85
    return [
        Line(
            "training",
            what,
            "images/s",
            ours=measured["ours"],
            rival=measured[rival_name],
            limit=limit,
            least_over_rival=1.0,
            least_over_limit=least,
            note=note,
            flop=flop,
        ),
        Line(
            "training",
            what,
            "images/s",
            ours=measured["ours"],
            rival=measured[same],
            limit=limit,
            note=why,
        ),
        Line.at_most(
            "training",
            f"{name}, share of time waiting for {workers} loader(s)",
            "share",
            Measured("ours", ours.waiting(workers), seconds=True),
            most=0.03,
        ),
    ]
