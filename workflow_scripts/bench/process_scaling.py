"""Several processes sharing a training's batches on this machine's cores."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

from workflow_scripts.vgg.data.loader import TrainingImages
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.training.distributed import Processes
from workflow_scripts.vgg.training.optimisation import Optimisation
from workflow_scripts.vgg.training.state import Training

from .machine import NETS
from .measuring import Growth, stopwatch

BATCH, STEPS, REPEATS = 32, 10, 3


def step_seconds(rank: int, count: int, port: int, shard: Path, results) -> None:
    """Seconds of an iteration of one process among `count`, on one thread each."""
    import os

    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(count)
    )
    torch.set_num_threads(1)
    processes = Processes(rank, count)
    with processes.joined(torch.device("cpu")):
        # An eighth of D's channels: arithmetic and gradients stand in proportion on a CPU.
        net = ConvNet(Architecture(NETS["D"], classes=10, crop=64, fc=512, width_divisor=8))
        initialise(net, "he", 0)
        rows = processes.rows(BATCH)
        images = TrainingImages(
            [shard],
            seed=0,
            batch_size=BATCH,
            crop=64,
            scales=(256, 256),
            colour_axes=np.zeros((3, 3)),
            rows=rows,
        )
        settings = Optimisation(1e-4, BATCH, input_scale=58.0)
        training = Training(net, images, settings, mean=[0, 0, 0], processes=processes)
        training.prepare()
        batch = images[0]

        def steps() -> None:
            for _ in range(STEPS):
                training.step(batch)

        steps()
        found = min(stopwatch(steps) for _ in range(REPEATS)) / STEPS
    if rank == 0:
        results.put(found)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def growth(shard: Path, cores: int) -> list[Growth]:
    """Seconds of an iteration as processes are added, up to one a core and at least to two."""
    counts, seconds = [1, 2, 4] if cores >= 4 else [1, 2], []
    for count in counts:
        results = multiprocessing.get_context("spawn").SimpleQueue()
        multiprocessing.spawn(
            step_seconds, (count, free_port(), shard, results), nprocs=count, join=True
        )
        seconds.append(results.get())
    note = f"an iteration of {BATCH} images, on {cores} cores; through gloo"
    return [Growth("training", "a narrow D", "processes", sizes=counts, seconds=seconds, note=note)]
