"""TensorBoard's own reader finds each step of a training once, however often it was killed."""

import os
import random
import shutil
import signal

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from tests.helpers.event_files import accumulator, seen, written
from tests.helpers.shared_trainings import THREE
from tests.helpers.shared_trainings import run as run_shared
from tests.helpers.trainings import LONG, assert_same, run
from workflow_scripts import train
from workflow_scripts.vgg.core.text_artefacts import read_csv

pytestmark = pytest.mark.slow

# Other ones in each run; KILL_AT repeats them.
KILL_AT = os.environ.get("KILL_AT") or ",".join(map(str, sorted(random.sample(range(9, 60), 2))))


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of the undisturbed training."""
    folder = tmp_path_factory.mktemp("whole")
    train.main(command(folder, **LONG, tensorboard=folder / "events"))
    return folder


def newest(folder):
    return max(folder.glob("*tfevents*"))


def cut(folder):
    """Killed while it was writing an event."""
    path = newest(folder)
    os.truncate(path, path.stat().st_size - 7)


def write_ahead(folder):
    """All until the end had been flushed, and the checkpoint was older."""
    known = {tag: max(step for step, _ in values) for tag, values in written(folder).items()}
    writer = SummaryWriter(str(folder))
    for tag, last in known.items():
        for step in range(last + 1, 61):
            writer.add_scalar(tag, -1.0, step)
    writer.close()


LEFT = {"as it is": lambda _: None, "cut": cut, "ahead": write_ahead, "deleted": shutil.rmtree}


# A TensorBoard that is open waits for a file that somebody deletes, so that comes first.
@pytest.mark.parametrize("left", [("deleted", "cut"), ("ahead", "as it is")])
def test_a_training_killed_twice_has_each_step_once(command, tmp_path, whole, left):
    print(f"KILL_AT={KILL_AT}")
    events = tmp_path / "events"
    words = command(tmp_path, **LONG, tensorboard=events)
    open_meanwhile = accumulator(events)
    for at, how in zip(KILL_AT.split(","), left, strict=True):
        status, log = run(tmp_path, words, "iteration", at, "SIGKILL")
        assert status == -signal.SIGKILL, log
        LEFT[how](events)
        if events.exists():
            open_meanwhile.Reload()
    status, log = run(tmp_path, words)
    assert status == 0, log
    assert_same(tmp_path, whole)

    expected = written(whole / "events")
    assert [step for step, _ in expected["loss/train"]] == list(range(1, 61))
    assert [step for step, _ in expected["learning_rate"]] == list(range(1, 61))
    speed = expected.pop("images_per_second")
    reader = accumulator(events)
    reader.Reload()
    open_meanwhile.Reload()
    for found in (written(events), seen(reader), seen(open_meanwhile)):
        assert [step for step, _ in found.pop("images_per_second")] == [step for step, _ in speed]
        assert found == expected


def test_what_they_hold_is_what_the_history_has(whole):
    found = written(whole / "events")
    rows = read_csv(whole / "h.csv")
    columns = {
        "loss/since_last_validation": "train_loss",
        "error/top-1": "val_top1_error",
        "error/top-5": "val_top5_error",
        "images_per_second": "images_per_second",
        "epoch": "epoch",
    }
    assert found.keys() == {"loss/train", "learning_rate", *columns}
    for tag, column in columns.items():
        steps = [(int(row["iteration"]), float(row[column])) for row in rows]
        assert found[tag] == [(step, torch.tensor(value).item()) for step, value in steps]
    for row in rows:
        own = slice(int(row["iteration"]) - 10, int(row["iteration"]))
        losses = [loss for _, loss in found["loss/train"][own]]
        assert sum(losses) / 10 == pytest.approx(float(row["train_loss"]), rel=1e-6)
        rates = {rate for _, rate in found["learning_rate"][own]}
        assert rates == {torch.tensor(float(row["learning_rate"])).item()}
    reader = accumulator(whole / "events")
    reader.Reload()
    (settings,) = reader.Tensors("settings/text_summary")
    assert b'"batch_size": 8' in settings.tensor_proto.string_val[0]
    assert b"checkpoint" not in settings.tensor_proto.string_val[0]


def test_the_loss_is_that_of_the_whole_batch_whatever_the_processes(command, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for processes, folder in enumerate(folders, start=1):
        folder.mkdir()
        words = command(folder, **THREE, tensorboard=folder / "events")
        run_shared(processes, words, folder / "log.txt") if processes > 1 else train.main(words)
    one, two = (written(folder / "events")["loss/train"] for folder in folders)
    assert [step for step, _ in two] == [1, 2, 3]
    assert [loss for _, loss in one] == pytest.approx([loss for _, loss in two], rel=1e-5)
