"""Run short trainings, and compare what two have made in every bit but those of the clock."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core.text_artefacts import read_csv

LAYERS_A = "conv3-64 | conv3-128 | conv3-256 conv3-256 | conv3-512 conv3-512 | conv3-512 conv3-512"

# 60 images in batches of 8: an epoch, and so a checkpoint, after iterations 8, 15, 23, 30, …
LONG = {
    "iterations": 60, "validation_interval": 10, "latest_drops": [0.3, 0.5, 0.7], "patience": 9,
    "train_scale": [256, 512], "batch_size": 8,
}  # fmt: skip


def same_weights(one: Path, two: Path) -> bool:
    """Whether two weights files hold the same tensors."""
    ours, theirs = load_file(one), load_file(two)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def history(path: Path) -> list[dict[str, str]]:
    """A training's history without its speed."""
    return [
        {name: value for name, value in row.items() if name != "images_per_second"}
        for row in read_csv(path)
    ]


def assert_same(folder, whole):
    """Weights, history and learning rates of two trainings are the same in every bit."""
    assert same_weights(folder / "w.safetensors", whole / "w.safetensors")
    assert history(folder / "h.csv") == history(whole / "h.csv")
    rates = [float(row["learning_rate"]) for row in history(whole / "h.csv")]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-4, 1e-5])
    with safe_open(folder / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["iterations"]) == 60
    assert [p.name for p in (folder / "checkpoints").glob("*.pt")] == ["000000060.pt"]


def run(folder, words, *moment):
    """Run the training, hit at a moment if there is one: exit status and what it logged."""
    program = (
        ["tests.helpers.killed_training", *map(str, moment)]
        if moment
        else ["workflow_scripts.train"]
    )
    done = subprocess.run(
        [sys.executable, "-m", *program, *words], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def wait_for(condition, process, log, seconds=120):
    """Poll until `condition()` holds; fail if the process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def children(pid):
    """Process numbers of a process's children, in the order of their start."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
