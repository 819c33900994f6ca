"""Trainings that cannot succeed stop with the iteration, the samples and something to try."""

import logging
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.evaluations import posteriors_of
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.data import sampling
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation import methods
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.devices import explained_memory
from workflow_scripts.vgg.training import state
from workflow_scripts.vgg.training.guards import chance_loss, check_flat_line
from workflow_scripts.vgg.training.history import Validation


def expected_ids(given, iteration, samples):
    """Names of an iteration's samples, from the batch sequence itself."""
    shards = Shards(given.train_shards)
    seed = train.model_seed(given.seed, given.model)
    batch = sampling.batch_at(seed, iteration - 1, 8, 60, (256, 256), np.zeros((3, 3)))
    return [shards.id(int(batch.images[sample])) for sample in samples]


def test_a_loss_that_is_not_finite_names_iteration_rate_and_samples(command, tmp_path, monkeypatch):
    """Two pixels that overflow spoil two samples' losses of iteration 7 and no other."""
    real, calls = state.to_input, []

    def overflowing(*arguments):
        inputs = real(*arguments)
        calls.append(None)
        if len(calls) == 7:
            inputs[[2, 5], 0, 3, 3] = math.inf
        return inputs

    monkeypatch.setattr(state, "to_input", overflowing)
    words = command(tmp_path)
    with pytest.raises(InputError) as raised:
        train.main(words)
    message = str(raised.value)
    assert "the loss is not finite in iteration 7, learning rate 0.01, in 2 of the 8" in message
    named = re.search(r"such as (.*?)\. Lower the model's learning_rate", message)[1].split(", ")
    assert named == expected_ids(train.parse(words), 7, [2, 5])
    assert not (tmp_path / "w.safetensors").exists()


def test_a_gradient_that_is_not_finite_is_told_from_the_loss(command, tmp_path, monkeypatch):
    """The soft-max's gradient overflows in iteration 4, where every loss is still finite."""
    step = state.Training.step

    def exploding(self, *arguments):
        if self.iteration == 3:
            self.net.classifier[-1].bias.register_hook(lambda gradient: gradient * math.inf)
        return step(self, *arguments)

    monkeypatch.setattr(state.Training, "step", exploding)
    words = command(tmp_path)
    with pytest.raises(InputError, match=r"gradient \(its norm is (inf|nan)\).* iteration 4,") as e:
        train.main(words)
    for name in expected_ids(train.parse(words), 4, range(8)):
        assert name in str(e.value)


def test_nothing_that_is_not_finite_gets_into_a_checkpoint(command, tmp_path, monkeypatch):
    real, calls = state.to_input, []

    def overflowing(*arguments):
        calls.append(None)
        return real(*arguments) * (math.nan if len(calls) == 12 else 1)

    monkeypatch.setattr(state, "to_input", overflowing)
    words = command(tmp_path, checkpoint_seconds=0)
    with pytest.raises(InputError, match="in iteration 12,"):
        train.main(words)
    assert [p.name for p in sorted((tmp_path / "checkpoints").glob("*.pt"))] == [
        "000000010.pt", "000000011.pt",
    ]  # fmt: skip


def test_chance_is_the_entropy_of_the_labels():
    assert chance_loss(np.repeat(np.arange(1000), 3)) == pytest.approx(math.log(1000))
    assert chance_loss(np.array([0, 0, 0, 2])) == pytest.approx(
        -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    )


@pytest.mark.slow
def test_a_net_at_chance_is_stopped_and_goes_on_if_told_to_wait(command, tmp_path, caplog):
    """N(0, 0.01²) at this width is the failure that the paper speaks of (§3.1)."""
    flat = {"initialisation": "normal-std-0.01", "iterations": 30, "validation_interval": 5}
    with pytest.raises(InputError) as raised:
        train.main(command(tmp_path, **flat, flat_line_iterations=12))
    message = str(raised.value)
    assert "at chance after 15 iterations, learning rate 0.01" in message
    chance = chance_loss(Shards(train.parse(command(tmp_path)).train_shards).labels)
    assert f"guessing gives {chance:.4f}" in message
    for cure in ("net A's layers", "choices.initialisation", "train.flat_line_iterations (now 12)"):
        assert cure in message
    caplog.set_level(logging.INFO)
    with pytest.raises(InputError, match="at chance after 15 iterations"):
        train.main(command(tmp_path, **flat, flat_line_iterations=12))
    train.main(command(tmp_path, **flat, flat_line_iterations=31))
    assert caplog.text.count("going on from iteration 15") == 2
    assert (tmp_path / "w.safetensors").exists()


def test_a_net_that_learns_is_no_flat_line():
    line = Validation(10_000, 1.0, 1.0, 6.5, 99.0, 95.0, 1.0)
    history = [line]
    check_flat_line(history, math.log(1000), 10_000)
    history = [replace(line, train_loss=6.905)]
    check_flat_line(history, math.log(1000), 10_001)
    check_flat_line(history, math.log(1000), None)
    with pytest.raises(InputError, match="at chance after 10000 iterations"):
        check_flat_line(history, math.log(1000), 10_000)


def test_out_of_memory_in_training_names_the_batch_and_the_cure(command, tmp_path, monkeypatch):
    """An activation too large for any machine: the allocator's own error."""
    monkeypatch.setattr(
        state, "to_input", lambda pixels, *_: torch.zeros(1).expand(2**40, 3, 64, 64) + 1
    )
    cure = r"out of memory with 5 samples at once \(train.batch_size 8, train.processes 1\): set "
    with pytest.raises(InputError, match=cure + "train.micro_batch to 2 or less"):
        train.main(command(tmp_path, micro_batch=5))


def test_out_of_memory_in_evaluation_names_the_batch_size(shard_paths, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    net = ConvNet(Architecture("conv3-64", crop=64, classes=10, fc=8, width_divisor=8))
    monkeypatch.setattr(methods, "to_input", full)
    with pytest.raises(InputError, match=r"out of memory with 64 crops .*evaluate.batch_size.*20"):
        posteriors_of(net, shard_paths("val"), method="center", smallest_side=64, mean=[0, 0, 0])


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match="size mismatch"), explained_memory("a", "b"):
        raise RuntimeError("size mismatch")
