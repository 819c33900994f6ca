"""Several processes that share each batch give the result of one (paper §3.3)."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.test_interruptions import LONG, assert_same, children, wait_for
from tests.trainings import history
from workflow_scripts import train
from workflow_scripts.vgg.files import InputError
from workflow_scripts.vgg.processes import Processes

TORCHRUN = [  # as rules/common/train.smk has it
    *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
    "--signals-to-handle=SIGTERM,SIGINT,SIGUSR1",
]
# 50 iterations with all augmentation and dropout; a batch that 2 and 4 divide and 3 and 5 do not.
FIFTY = {
    "iterations": 50, "validation_interval": 25, "batch_size": 16, "train_scale": [256, 512],
    "dropout": 0.5, "latest_drops": 0.9,
}  # fmt: skip
# What the paper starts from; and what learns at this width, so that rounding is amplified at once.
STARTS = {
    "float32": {"precision": "float32", "initialisation": "normal-std-0.01"},
    "float64": {"precision": "float64", "initialisation": "he"},
}
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


@pytest.fixture(scope="module")
def single(command, tmp_path_factory):
    """Folders of trainings in one process."""
    folders = {}
    for name, start in STARTS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        train.main(command(folders[name], **FIFTY, **start))
    return folders


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", STARTS)
def test_weights_after_50_iterations_are_those_of_one_process(
    command, tmp_path, single, start, way, capsys
):
    processes, changes = WAYS[way]
    words = command(tmp_path, **FIFTY, **STARTS[start], **changes)
    run(processes, words, tmp_path / "log.txt") if processes > 1 else train.main(words)
    one, several = (load_file(f / "w.safetensors") for f in (single[start], tmp_path))
    differences = {
        key: float((several[key] - one[key]).abs().max() / one[key].abs().max()) for key in one
    }
    with capsys.disabled():
        print(f"\n{start}, {way}: maximum relative difference {max(differences.values()):.1e}")
    # Float64 is rounded once, when weights are saved.
    limit = 1e-5 if start == "float32" else 1.2e-7
    assert max(differences.values()) <= limit, differences
    if start == "float64":
        ours, theirs = (history(folder / "h.csv") for folder in (tmp_path, single[start]))
        assert len(ours) == len(theirs) == 2
        for row, other in zip(ours, theirs, strict=True):
            # Each validation image counts once.
            for error in ("val_top1_error", "val_top5_error"):
                assert row[error] == other[error]
            assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=1e-12)
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["processes"]) == processes


def test_fifty_iterations_change_the_weights_by_far_more_than_that(command, tmp_path, single):
    train.main(command(tmp_path, **FIFTY | {"iterations": 1}, **STARTS["float64"]))
    one, fifty = (load_file(f / "w.safetensors") for f in (tmp_path, single["float64"]))
    for key in one:
        change = (fifty[key] - one[key]).abs().max() / one[key].abs().max()
        assert change > 1e-3, key


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of an undisturbed training in three processes."""
    folder = tmp_path_factory.mktemp("whole")
    run(3, command(folder, **LONG), folder / "log.txt")
    return folder


@pytest.mark.parametrize(
    ("whom", "number"),
    [
        ("torchrun", signal.SIGTERM),
        ("torchrun", signal.SIGUSR1),
        ("one rank", signal.SIGUSR1),
        ("one rank", signal.SIGKILL),
    ],
)
def test_an_interrupted_training_of_three_processes_goes_on_bit_for_bit(
    command, tmp_path, whole, number, whom
):
    """A single rank that is told to stop takes the others along, after the same iteration."""
    words = command(tmp_path, **LONG)
    log = tmp_path / "log.txt"
    process = launch(3, words, log)
    wait_for(lambda: "iteration 20: loss" in log.read_text(), process, log)
    os.kill(process.pid if whom == "torchrun" else children(process.pid)[1], number)
    assert process.wait(120) != 0
    if number != signal.SIGKILL:
        assert f"on {number.name}; run the same command again" in log.read_text()
    assert not (tmp_path / "w.safetensors").exists()
    run(3, words, log)
    assert "going on from iteration" in log.read_text()
    assert_same(tmp_path, whole)


def test_a_checkpoint_of_three_processes_serves_two(command, tmp_path, whole, single):
    words = command(tmp_path, **LONG)
    log = tmp_path / "log.txt"
    process = launch(3, words, log)
    wait_for(lambda: "iteration 20: loss" in log.read_text(), process, log)
    process.terminate()
    process.wait(120)
    run(2, words, log)
    assert "the checkpoint is of 3 processes" in log.read_text()
    iterations = [int(row["iteration"]) for row in history(tmp_path / "h.csv")]
    assert iterations == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_shares_are_disjoint_and_complete(count):
    all_ranks = [Processes(rank, count) for rank in range(count)]
    items = torch.arange(50).numpy()
    assert sorted(i for p in all_ranks for i in p.share(items)) == list(range(50))
    assert [s for p in all_ranks for s in range(16)[p.rows(16)]] == list(range(16))
    sizes = {len(range(16)[p.rows(16)]) for p in all_ranks}
    assert max(sizes) - min(sizes) <= 1


def test_more_processes_than_samples_are_refused():
    with pytest.raises(InputError, match=r"batch of 2 cannot be shared by 3 processes; lower"):
        Processes(0, 3).rows(2)
