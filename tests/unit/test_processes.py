"""Several processes that share each batch give the result of one (paper §3.3)."""

import json
import os
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.helpers.shared_trainings import EXACT, THREE, WAYS, difference, launch, run, shared
from tests.helpers.trainings import LONG, assert_same, children, history, wait_for
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.training.distributed import Processes


@pytest.fixture(scope="module")
def single(command, tmp_path_factory):
    """Folders of trainings in one process: EXACT's, and THREE's in float32."""
    trainings = {"exact": EXACT, "float32": THREE | {"precision": "float32"}}
    folders = {}
    for name, changes in trainings.items():
        folders[name] = tmp_path_factory.mktemp(name)
        train.main(command(folders[name], **changes))
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_weights_after_50_iterations_are_those_of_one_process(command, tmp_path, single, way):
    processes = shared(command, tmp_path, way, **EXACT)
    # Float64 is rounded once, when weights are saved.
    assert difference(tmp_path, single["exact"]) <= 1.2e-7
    ours, theirs = (history(folder / "h.csv") for folder in (tmp_path, single["exact"]))
    assert len(ours) == len(theirs) == 2
    for row, other in zip(ours, theirs, strict=True):
        # Each validation image counts once.
        for error in ("val_top1_error", "val_top5_error"):
            assert row[error] == other[error]
        assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=1e-12)
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert json.loads(file.metadata()["processes"]) == processes


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_in_float32_sharing_a_batch_adds_rounding_only(command, tmp_path, single, way):
    """The bound is a thousand times what was seen, since processors round differently."""
    shared(command, tmp_path, way, **THREE, precision="float32")
    assert difference(tmp_path, single["float32"]) < 1e-2


@pytest.mark.slow
def test_fifty_iterations_change_the_weights_by_far_more_than_that(command, tmp_path, single):
    train.main(command(tmp_path, **EXACT | {"iterations": 1}))
    one, fifty = (load_file(f / "w.safetensors") for f in (tmp_path, single["exact"]))
    for key in one:
        change = (fifty[key] - one[key]).abs().max() / one[key].abs().max()
        assert change > 1e-3, key


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of an undisturbed training in three processes."""
    folder = tmp_path_factory.mktemp("whole")
    run(3, command(folder, **LONG), folder / "log.txt")
    return folder


@pytest.mark.slow
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


@pytest.mark.slow
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
