"""Trainings that several processes share under torchrun, and how far their weights differ."""

import os
import subprocess
import sys

from safetensors.torch import load_file

from tests.helpers.clones import ROOT
from workflow_scripts import train

TORCHRUN = [  # as vgg/settings/launching.py has it
    *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
    "--signals-to-handle=SIGTERM,SIGINT,SIGUSR1",
]
# 50 iterations with all augmentation and dropout; a batch that 2 and 4 divide and 3 and 5 do not.
FIFTY = {
    "iterations": 50, "validation_interval": 25, "batch_size": 16, "train_scale": [256, 512],
    "dropout": 0.5, "latest_drops": 0.9,
}  # fmt: skip
# Float64 alone tells that nothing but rounding differs. In float32, rounding grows at each step
# where a ReLU or a maximum tips over; by how much depends on the processor.
EXACT = {**FIFTY, "precision": "float64", "initialisation": "he"}
# In so few iterations, rounding stays far below what a share of the batch that is counted wrongly
# would change, which is of the weights' own size: biases start at 0.
THREE = {**FIFTY, "iterations": 3, "initialisation": "normal-std-0.01"}
WAYS = {
    "2 processes": (2, {}),
    "4 processes": (4, {}),
    "3 processes": (3, {}),
    "micro-batches of 5": (1, {"micro_batch": 5}),
    "2 processes, micro-batches of 3": (2, {"micro_batch": 3}),
}


def launch(processes, words, log):
    """Start a training under torchrun."""
    program = [*TORCHRUN, f"--nproc-per-node={processes}", "-m", "workflow_scripts.train", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(log, "w") as file:
        return subprocess.Popen(program, cwd=ROOT, stderr=file, stdout=file, env=environment)


def run(processes, words, log):
    assert launch(processes, words, log).wait(300) == 0, log.read_text()


def shared(command, folder, way, **changes):
    """A training in one of WAYS: its number of processes."""
    processes, more = WAYS[way]
    words = command(folder, **changes, **more)
    run(processes, words, folder / "log.txt") if processes > 1 else train.main(words)
    return processes


def difference(folder, other):
    """The largest difference of two trainings' weights, over the largest weight of its tensor."""
    ours, theirs = (load_file(f / "w.safetensors") for f in (folder, other))
    return max(
        float((ours[key] - theirs[key]).abs().max() / theirs[key].abs().max()) for key in theirs
    )
