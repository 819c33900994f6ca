"""An interrupted training ends bit for bit as an undisturbed one, whenever and however hit."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from tests.helpers.clones import ROOT
from tests.helpers.trainings import LONG, assert_same, children, run, wait_for
from workflow_scripts import train
from workflow_scripts.vgg.core.signals import STOPPED
from workflow_scripts.vgg.nets.weights import write_safetensors
from workflow_scripts.vgg.training import state

pytestmark = pytest.mark.slow

# Another one in each run; a failed test prints it, and INTERRUPT_AT repeats it. In the names of
# tests it would be another one in each of pytest-xdist's processes.
RANDOM = int(os.environ.get("INTERRUPT_AT", random.randrange(9, 60)))


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of the undisturbed training."""
    folder = tmp_path_factory.mktemp("whole")
    train.main(command(folder, **LONG))
    return folder


@pytest.mark.parametrize(
    ("moment", "at", "name"),
    [
        ("iteration", "random", "SIGTERM"),
        ("iteration", "random", "SIGINT"),
        ("iteration", "random", "SIGKILL"),
        ("validation", 30, "SIGUSR1"),
        ("validation", 30, "SIGKILL"),
        ("checkpoint", 30, "SIGTERM"),
        ("checkpoint", 30, "SIGKILL"),
        ("drop", 3, "SIGTERM"),
        ("drop", 3, "SIGKILL"),
    ],
)
def test_hit_once(command, tmp_path, whole, moment, at, name):
    words = command(tmp_path, **LONG)
    if at == "random":
        at = RANDOM
        print(f"INTERRUPT_AT={at}")
    status, log = run(tmp_path, words, moment, at, name)
    assert status == (-signal.SIGKILL if name == "SIGKILL" else STOPPED), log
    assert not (tmp_path / "w.safetensors").exists()
    if name != "SIGKILL":
        where = {"iteration": at, "validation": 30, "checkpoint": 30, "drop": 51}[moment]
        assert f"stopped at iteration {where} on {name}" in log
    if moment == "validation":
        assert "iteration 30: loss" not in log, "the validation was not cut short"
    if moment == "checkpoint" and name == "SIGKILL":
        assert (tmp_path / "checkpoints/.000000030.pt.tmp").exists(), "no half-written checkpoint"
    status, log = run(tmp_path, words)
    assert status == 0, log
    assert "going on from iteration" in log
    assert_same(tmp_path, whole)


def test_deleted_weights_are_written_again_without_training(command, tmp_path, whole, monkeypatch):
    """Snakemake deletes a job's outputs if Slurm calls it failed, though it had finished."""
    words = command(tmp_path, **LONG)
    train.main(words)
    for name in ("w.safetensors", "h.csv"):
        (tmp_path / name).unlink()
    monkeypatch.setattr(state.Training, "step", lambda *_: pytest.fail("trained again"))
    train.main(words)
    assert_same(tmp_path, whole)


def test_a_parent_that_was_written_again_leaves_its_childs_checkpoints_valid(command, tmp_path):
    """Its tensors count, not its file, in which other metadata may stand."""
    parent = tmp_path / "parent/w.safetensors"
    train.main(command(parent.parent, iterations=1))
    child = {"parent": parent, "inherit": "all", "model": "A_S384"}
    words = command(tmp_path, **LONG | child)
    assert run(tmp_path, words, "iteration", 40, "SIGTERM")[0] == STOPPED
    with safe_open(parent, "pt") as file:
        metadata = file.metadata()
    write_safetensors(parent, load_file(parent), metadata | {"node": '"another"'})
    status, log = run(tmp_path, words)
    assert status == 0, log
    assert "going on from iteration 40" in log
    changed = {name: tensor + 1e-3 for name, tensor in load_file(parent).items()}
    write_safetensors(parent, changed, metadata)
    status, log = run(tmp_path, words)
    assert status == 0, log
    assert "was made with other settings or data; starting anew" in log


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_hit_twice_in_a_row(command, tmp_path, whole, name):
    print(f"INTERRUPT_AT={RANDOM}")
    words = command(tmp_path, **LONG)
    for at in (RANDOM, RANDOM + 1):
        status, log = run(tmp_path, words, "iteration", at, name)
        assert status != 0, log
    assert "going on from iteration" in log
    assert run(tmp_path, words)[0] == 0
    assert_same(tmp_path, whole)


def test_the_cost_of_earlier_attempts_is_counted(command, tmp_path):
    words = [*command(tmp_path, **LONG), "--cost", str(tmp_path / "cost.json")]
    assert run(tmp_path, words, "iteration", 40, "SIGTERM")[0] == STOPPED
    assert not (tmp_path / "cost.json").exists()
    assert run(tmp_path, words)[0] == 0
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert (cost["attempts"], cost["images"]) == (2, 60 * 8)


def descendants(pid):
    """Process numbers of a process's children and of theirs."""
    return [p for child in children(pid) for p in (child, *descendants(child))]


def is_alive(group):
    """True if a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_signal_to_loader_workers_too_loses_nothing(command, tmp_path):
    """A cluster signals all processes of a job, the loader's workers among them."""
    long = LONG | {"iterations": 2000, "latest_drops": [0.9], "validation_interval": 500}
    words = command(tmp_path, **long, threads=3)
    log = tmp_path / "log.txt"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workflow_scripts.train", *words],
            stderr=file, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        checkpoints = tmp_path / "checkpoints"
        wait_for(lambda: list(checkpoints.glob("*.pt")), process, log)
        processes = descendants(process.pid)
        assert len(processes) == 4, "two workers, their server, and its tracker of resources"
        for worker in processes:
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                os.kill(worker, number)
        before = max(checkpoints.glob("*.pt"))
        wait_for(lambda: max(checkpoints.glob("*.pt"), default=before) > before, process, log)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == STOPPED, log.read_text()
    assert "on SIGTERM" in log.read_text()
    deadline = time.monotonic() + 60
    while is_alive(process.pid):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.05)


def test_a_second_training_of_the_same_model_is_refused(command, tmp_path):
    long = LONG | {"iterations": 5000, "latest_drops": [0.9], "validation_interval": 5000}
    words = command(tmp_path, **long)
    log = tmp_path / "log.txt"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workflow_scripts.train", *words], stderr=file, cwd=ROOT
        )
        try:
            wait_for(lambda: list((tmp_path / "checkpoints").glob("*.pt")), process, log)
            status, second = run(tmp_path, words)
        finally:
            process.kill()
            process.wait()
    assert status == 1
    assert f"process {process.pid} on {os.uname().nodename} is training this model" in second
