"""Checkpoints that are written while the training goes on, and what they hold."""

import errno
import logging
import os
import signal
import threading
from pathlib import Path

import pytest
import torch

from tests.helpers.trainings import LONG, history, run, same_weights
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.signals import STOPPED
from workflow_scripts.vgg.data.loader import TrainingBatch
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.training import checkpoints, state
from workflow_scripts.vgg.training.checkpoints import (
    CheckpointWriter,
    load_checkpoint,
    newest_checkpoint,
)
from workflow_scripts.vgg.training.optimisation import Optimisation


@pytest.fixture
def held(monkeypatch):
    """Files are written once `held` is set."""
    gate, save = threading.Event(), torch.save

    def slow(state, path):
        assert gate.wait(60)
        save(state, path)

    monkeypatch.setattr(checkpoints.torch, "save", slow)
    return gate


def test_a_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path, held):
    weight, history_ = torch.zeros(3), [{"iteration": 1}]
    state = {"settings": "s", "net": {"w": weight}, "history": history_, "losses": (weight,)}
    with CheckpointWriter(tmp_path) as writer:
        writer.write(10, state)
        weight += 1  # the training goes on
        history_.append({"iteration": 2})
        assert not list(tmp_path.glob("*.pt"))
        held.set()
    saved = load_checkpoint(newest_checkpoint(tmp_path, "s"))
    assert saved["net"]["w"].tolist() == saved["losses"][0].tolist() == [0, 0, 0]
    assert saved["history"] == [{"iteration": 1}]


def test_training_goes_on_while_a_checkpoint_is_written(command, tmp_path, monkeypatch, held):
    """Two epochs' ends lie between the first checkpoint and the iteration that lets it be written;
    the second is what waits."""
    reached = []
    step = state.Training.step

    def watched(self, *arguments):
        reached.append(self.iteration)
        if self.iteration == 12:
            held.set()
        return step(self, *arguments)

    monkeypatch.setattr(state.Training, "step", watched)
    train.main(command(tmp_path, iterations=14))
    assert reached == list(range(14)), "the first checkpoint is due after 8 iterations"


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device", "checkpoint")


def test_a_full_disk_stops_the_training_with_its_reason(command, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(InputError, match="checkpoint: the disk is too full for it"):
        train.main(command(tmp_path))
    assert not list((tmp_path / "checkpoints").glob("*.pt*"))
    assert not (tmp_path / "w.safetensors").exists()


def test_a_stop_whose_checkpoint_finds_no_room_is_an_error(command, tmp_path, monkeypatch):
    """Status 75 says that the same command goes on from there."""
    step = state.Training.step

    def stopped(self, *arguments):
        if self.iteration == 2:
            monkeypatch.setattr(checkpoints.torch, "save", full)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments)

    monkeypatch.setattr(state.Training, "step", stopped)
    with pytest.raises(InputError, match="checkpoint: the disk is too full for it"):
        train.main(command(tmp_path))


def test_a_good_checkpoint_is_not_set_aside_for_want_of_memory(tmp_path, monkeypatch):
    checkpoints.save_checkpoint(tmp_path, 10, {"settings": "s"})

    def lacking(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(checkpoints.torch, "load", lacking)
    with pytest.raises(RuntimeError, match="can't allocate"):
        newest_checkpoint(tmp_path, "s")
    assert [path.name for path in tmp_path.iterdir()] == ["000000010.pt"]


def test_files_of_other_names_are_no_checkpoints(tmp_path, caplog):
    """A user's copy is not counted among those kept, not gone on from, not deleted."""
    own = {"backup.pt", "000000005 (copy).pt", "000000005-old.pt", "best.corrupt", "notes.txt"}
    for name in own:
        (tmp_path / name).write_text("no checkpoint")
    assert newest_checkpoint(tmp_path, "s") is None
    for iteration in (10, 20, 999_999_999, 1_000_000_000):  # by number, not by name
        checkpoints.save_checkpoint(tmp_path, iteration, {"settings": "s"})
    made = {"999999999.pt", "1000000000.pt"}
    assert {path.name for path in tmp_path.iterdir()} == own | made
    assert newest_checkpoint(tmp_path, "s").name == "1000000000.pt"
    assert "is corrupt" not in caplog.text
    (tmp_path / "000000005.corrupt").touch()
    (tmp_path / ".000000007.pt.tmp").touch()  # as a killed process leaves it
    assert newest_checkpoint(tmp_path, "others") is None
    assert {path.name for path in tmp_path.iterdir()} == own


HALF = {"precision": "float16", "iterations": 30, "validation_interval": 10}


@pytest.mark.slow
def test_float16_goes_on_bit_for_bit_with_the_scale_of_its_loss(command, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train.main(command(whole, **LONG | HALF))
    scale = load_checkpoint(whole / "checkpoints/000000030.pt")["scaler"]
    assert scale["scale"] > 1
    assert scale["_growth_tracker"] > 0, "what a resumed training must go on from"
    words = command(cut, **LONG | HALF)
    status, said = run(cut, words, "iteration", 13, "SIGUSR1")
    assert status == STOPPED, said
    status, said = run(cut, words)
    assert status == 0, said
    assert "going on from iteration 13" in said
    assert same_weights(cut / "w.safetensors", whole / "w.safetensors")
    assert history(cut / "h.csv") == history(whole / "h.csv")


def test_float16_is_another_computation_than_float32(command, tmp_path):
    for name in ("float16", "float32"):
        train.main(command(tmp_path / name, **LONG | HALF | {"precision": name}))
    assert not same_weights(*(tmp_path / n / "w.safetensors" for n in ("float16", "float32")))


class Rows:
    """Images of a training, as far as a step asks for them."""

    seed, crop, own_rows = 0, 8, slice(0, 2)


@pytest.fixture
def scaled():
    """A training in float16 of a net so small that a step is plain."""
    torch.manual_seed(0)
    net = ConvNet(Architecture("conv3-64", crop=8, classes=2, fc=8, width_divisor=8), dropout=0.0)
    settings = Optimisation(batch_size=2, precision="float16", input_scale=256.0)
    return state.Training(net, Rows(), settings, [0, 0, 0])


def step(scaled, tmp_path):
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    batch = TrainingBatch(pixels, torch.tensor([0, 1]), torch.zeros(2, 3))
    before = [p.detach().clone() for p in scaled.net.parameters()]
    _, norm = scaled.step(batch)
    same = all(torch.equal(a, b) for a, b in zip(before, scaled.net.parameters(), strict=True))
    return norm.item(), same


def test_a_step_that_overflows_is_left_out_and_its_scale_halved(scaled, tmp_path):
    scaled.scaler.load_state_dict(scaled.scaler.state_dict() | {"scale": 2.0**40})
    norm, same = step(scaled, tmp_path)
    assert (norm, same) == (0.0, True)
    assert scaled.scaler.state_dict()["scale"] == 2.0**39
    for _ in range(40):
        norm, same = step(scaled, tmp_path)
    assert 0 < norm < float("inf")
    assert not same


def test_gradients_that_no_scale_can_help_are_found(scaled, tmp_path):
    scaled.scaler.load_state_dict(scaled.scaler.state_dict() | {"scale": 1.0})
    scaled.net.classifier[-1].bias.register_hook(lambda gradient: gradient * float("inf"))
    norm, same = step(scaled, tmp_path)
    assert not norm < float("inf")
    assert same


def test_another_precision_than_before_is_told(command, tmp_path, caplog, monkeypatch):
    """`auto` is another on another device."""
    caplog.set_level(logging.WARNING)
    words = command(tmp_path, iterations=10, validation_interval=10)
    monkeypatch.setattr(state, "resolved", lambda *_: "float16")
    train.main(words)
    Path(words[words.index("--output") + 1]).unlink()
    monkeypatch.setattr(state, "resolved", lambda *_: "float32")
    train.main(words)
    assert "the training began in float16 and goes on in float32" in caplog.text
