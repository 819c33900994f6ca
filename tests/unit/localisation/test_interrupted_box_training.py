"""A net of boxes is trained to the same bits whenever it is hit, and by any number of processes."""

import os
import random
import signal

import pytest
from safetensors.torch import load_file

from tests.helpers.shared_trainings import EXACT, THREE, difference, launch, shared
from tests.helpers.shared_trainings import run as run_shared
from tests.helpers.trainings import LONG, assert_same, children, history, run, wait_for
from workflow_scripts import train
from workflow_scripts.vgg.core.signals import STOPPED

pytestmark = pytest.mark.slow

LEARNING = LONG | {"head": "box-scr", "box_last_layer": "zero"}  # so that its error falls
RANDOM = int(os.environ.get("INTERRUPT_AT", random.randrange(9, 60)))  # as in test_interruptions.py


@pytest.fixture(scope="module")
def whole(boxing, tmp_path_factory):
    """The folder of the undisturbed training."""
    folder = tmp_path_factory.mktemp("whole")
    train.main(boxing(folder, **LEARNING))
    errors = [float(row["val_gtloc_error"]) for row in history(folder / "h.csv")]
    assert errors[0] > errors[-1] > 0
    return folder


@pytest.mark.parametrize(
    ("moment", "at", "name"),
    [
        ("iteration", "random", "SIGTERM"),
        ("iteration", "random", "SIGKILL"),
        ("validation", 30, "SIGUSR1"),
        ("checkpoint", 30, "SIGKILL"),
        ("drop", 3, "SIGTERM"),
    ],
)
def test_hit_once(boxing, tmp_path, whole, moment, at, name):
    words = boxing(tmp_path, **LEARNING)
    if at == "random":
        at = RANDOM
        print(f"INTERRUPT_AT={at}")
    status, log = run(tmp_path, words, moment, at, name)
    assert status == (-signal.SIGKILL if name == "SIGKILL" else STOPPED), log
    assert not (tmp_path / "w.safetensors").exists()
    if name != "SIGKILL":
        where = {"iteration": at, "validation": 30, "drop": 51}[moment]
        assert f"stopped at iteration {where} on {name}" in log
    if moment == "validation":
        assert "iteration 30: loss" not in log, "the validation was not cut short"
    status, log = run(tmp_path, words)
    assert status == 0, log
    assert "going on from iteration" in log
    assert_same(tmp_path, whole)


@pytest.fixture(scope="module")
def single(boxing, tmp_path_factory):
    """Folders of trainings in one process: in float64, and a short one in float32."""
    folders = {}
    for name, changes in {"exact": EXACT, "float32": THREE | {"precision": "float32"}}.items():
        folders[name] = tmp_path_factory.mktemp(name)
        train.main(boxing(folders[name], **changes))
    return folders


@pytest.mark.parametrize(
    "way", ["2 processes", "4 processes", "micro-batches of 5", "2 processes, micro-batches of 3"]
)
def test_weights_after_50_iterations_are_those_of_one_process(boxing, tmp_path, single, way):
    shared(boxing, tmp_path, way, **EXACT)
    # Float64 is rounded once, when weights are saved.
    assert difference(tmp_path, single["exact"]) <= 1.2e-7
    ours, theirs = (history(folder / "h.csv") for folder in (tmp_path, single["exact"]))
    assert len(ours) == len(theirs) == 2
    for row, other in zip(ours, theirs, strict=True):
        # Each validation image counts once.
        assert row["val_gtloc_error"] == other["val_gtloc_error"]
        assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=1e-12)


@pytest.mark.parametrize("way", ["2 processes", "micro-batches of 5"])
def test_in_float32_sharing_a_batch_adds_rounding_only(boxing, tmp_path, single, way):
    shared(boxing, tmp_path, way, **THREE, precision="float32")
    assert difference(tmp_path, single["float32"]) < 1e-2


def test_fifty_iterations_change_the_weights_by_far_more_than_that(boxing, tmp_path, single):
    train.main(boxing(tmp_path, **EXACT | {"iterations": 1}))
    one, fifty = (load_file(f / "w.safetensors") for f in (tmp_path, single["exact"]))
    for key in one:
        change = (fifty[key] - one[key]).abs().max() / one[key].abs().max()
        assert change > 1e-3, key


def test_two_processes_of_which_one_is_killed_go_on_bit_for_bit(boxing, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    run_shared(2, boxing(whole, **LONG), whole / "log.txt")
    words, log = boxing(tmp_path, **LONG), tmp_path / "log.txt"
    process = launch(2, words, log)
    wait_for(lambda: "iteration 20: loss" in log.read_text(), process, log)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    assert process.wait(120) != 0
    assert not (tmp_path / "w.safetensors").exists()
    run_shared(2, words, log)
    assert "going on from iteration" in log.read_text()
    assert_same(tmp_path, whole)
