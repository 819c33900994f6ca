"""Batch normalisation is PyTorch's over the whole batch, however many processes share it."""

import copy
import re

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, multiprocessing, nn
from torchvision.models.vgg import make_layers

from tests.helpers.shared_trainings import EXACT, WAYS, shared
from tests.helpers.trainings import LAYERS_A, LONG, history, run, same_weights
from workflow_scripts import train
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.batch_normalisation import BatchNormalisation
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet, describe
from workflow_scripts.vgg.nets.initialisation import copy_all_but_last, initialise, transfer_layers

LAYERS = re.sub(r"(conv\d+-\d+)", r"\1 BN", LAYERS_A)
SMALL = Architecture(LAYERS, classes=10, crop=64, fc=32, width_divisor=16)
NORMALISED = {"net": "A-BN", "layers": LAYERS}
CONV_BIASES = [f"features.{place}.bias" for place in (0, 4, 8, 11, 15, 18, 22, 25)]
SHARES = (0, 3, 8, 12)  # where the samples of three processes begin


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net_of(architecture=SMALL, seed=0):
    net = ConvNet(architecture, dropout=0.0)
    initialise(net, "he", seed)
    return net


@pytest.mark.parametrize("training", [True, False])
def test_a_net_equals_torchvisions_layers_with_the_same_weights(training):
    ours = net_of().double().train(training)
    plan = [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"]
    theirs = make_layers(plan, batch_norm=True).double().train(training)
    theirs.load_state_dict(ours.features.state_dict())
    images = 60 * drawn(6, 3, 64, 64)
    found, expected = ours.features(images), theirs(images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found.square().sum().backward()
    expected.square().sum().backward()
    for (name, own), other in zip(
        ours.features.named_parameters(), theirs.parameters(), strict=True
    ):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-9, atol=1e-9, msg=name)
    for own, other in zip(ours.features.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


def test_its_layers_are_told_and_stand_before_the_relu():
    assert describe(SMALL)[:3] == ["conv3-4", "BN", "maxpool"]
    kinds = [type(module) for module in net_of().features[:4]]
    assert kinds == [nn.Conv2d, BatchNormalisation, nn.ReLU, type(net_of().features[3])]
    with pytest.raises(ValueError, match="unknown layer 'BM'"):
        ConvNet(Architecture("conv3-64 BM"))


def test_a_frozen_layer_normalises_by_its_running_statistics_and_keeps_them():
    layer = BatchNormalisation(4).double().requires_grad_(False).train()
    layer.running_mean.copy_(drawn(4))
    layer.running_var.copy_(drawn(4, seed=1).square())
    before = copy.deepcopy(layer.state_dict())
    x = drawn(5, 4, 3, 3, seed=2)
    expected = (x - before["running_mean"][:, None, None]) / (before["running_var"] + 1e-5).sqrt()[
        :, None, None
    ]
    torch.testing.assert_close(layer(x), expected)
    assert all(torch.equal(layer.state_dict()[name], before[name]) for name in before)


def one_of_three(rank, rendezvous, path):
    """The forward and backward pass of a process that has a third of a batch, or so."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=3
    )
    layer = BatchNormalisation(4).double()
    x = drawn(12, 4, 5, 7)[SHARES[rank] : SHARES[rank + 1]].requires_grad_()
    weights = drawn(12, 4, 5, 7, seed=1)[SHARES[rank] : SHARES[rank + 1]]
    result = layer(x)
    (result * weights).sum().backward()
    torch.save((result.detach(), x.grad, layer.weight.grad, layer.state_dict()), f"{path}/{rank}")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_three_processes_normalise_as_one_with_the_whole_batch(tmp_path):
    multiprocessing.spawn(one_of_three, (tmp_path / "rendezvous", tmp_path), nprocs=3)
    parts = [torch.load(tmp_path / str(rank)) for rank in range(3)]
    layer = nn.BatchNorm2d(4).double()
    x = drawn(12, 4, 5, 7).requires_grad_()
    result = layer(x)
    (result * drawn(12, 4, 5, 7, seed=1)).sum().backward()
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), result.detach())
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), x.grad)
    torch.testing.assert_close(sum(part[2] for part in parts), layer.weight.grad)
    for name, expected in layer.state_dict().items():
        for *_, state in parts:
            torch.testing.assert_close(state[name], expected)


@pytest.mark.slow
def test_a_training_shared_by_processes_is_that_of_one(command, tmp_path):
    one = tmp_path / "one"
    train.main(command(one, **EXACT | NORMALISED))
    shared(command, tmp_path, "3 processes", **EXACT | NORMALISED)
    ours, theirs = (load_file(folder / "w.safetensors") for folder in (tmp_path, one))
    for name, expected in theirs.items():
        # A constant before normalisation changes nothing: such biases stay 0, but for rounding.
        atol = 1e-12 if name in CONV_BIASES else 0
        assert (name in CONV_BIASES) == (expected.abs().max() < 1e-12)
        torch.testing.assert_close(ours[name], expected, rtol=1e-5, atol=atol, msg=name)


@pytest.mark.slow
def test_a_training_that_was_killed_ends_with_the_same_bits(command, tmp_path):
    whole = tmp_path / "whole"
    train.main(command(whole, **LONG | NORMALISED))
    words = command(tmp_path, **LONG | NORMALISED)
    assert run(tmp_path, words, "iteration", 40, "SIGKILL")[0] != 0
    assert "going on from iteration" in run(tmp_path, words)[1]
    assert same_weights(tmp_path / "w.safetensors", whole / "w.safetensors")
    assert history(tmp_path / "h.csv") == history(whole / "h.csv")


def test_micro_batches_are_refused(command, tmp_path):
    ways = [more for _, more in WAYS.values() if more]
    assert ways
    for more in ways:
        with pytest.raises(InputError, match=r"train.micro_batch: \d, but the net has batch norm"):
            train.main(command(tmp_path, **NORMALISED | more))
    train.main(command(tmp_path, **NORMALISED, micro_batch=8, iterations=1))  # the whole batch


@pytest.mark.slow
def test_fc_only_training_leaves_the_convs_and_their_statistics_alone(command, tmp_path):
    parent = tmp_path / "parent"
    train.main(command(parent, **NORMALISED))
    child = {"parent": parent / "w.safetensors", "inherit": "all", "trainable": "fc"}
    train.main(command(tmp_path, **NORMALISED | child, model="A-BN_fc"))
    before, after = (load_file(folder / "w.safetensors") for folder in (parent, tmp_path))
    for name in before:
        # The first layer's input scale, 64, is undone and done again.
        assert torch.equal(before[name], after[name]) == name.startswith("features"), name


def test_normalisation_goes_along_with_the_layers_of_a_parent():
    parent = net_of(seed=1)
    for number, module in enumerate(m for m in parent.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.constant_(module.weight, number + 2)
        module.running_mean.fill_(number + 3)
    deeper = Architecture(LAYERS.replace("conv3-64 BN", "conv3-64 BN conv3-64 BN"), 10, 64, 32, 16)
    child = net_of(deeper)
    copied = transfer_layers(child, parent, "by-shape")
    assert list(copied)[:2] == ["features.0", "features.7"]
    assert child.features[1].weight.tolist() == [2] * 4
    assert child.features[8].running_mean.tolist() == [4] * 8
    assert child.features[4].weight.tolist() == [1] * 4, "a layer that nobody gave"
    without = Architecture(LAYERS_A, 10, 64, 32, 16)
    transfer_layers(net_of(without), parent, "by-shape")


def test_a_net_of_boxes_has_its_classifiers_statistics():
    classifier = net_of()
    classifier.train()(drawn(4, 3, 64, 64).float())
    boxes = net_of(Architecture(LAYERS, 10, 64, 32, 16, head="box-pcr"))
    copy_all_but_last(boxes, classifier)
    own, given = boxes.state_dict(), classifier.state_dict()
    same = {
        name
        for name in own
        if own[name].shape == given[name].shape and own[name].equal(given[name])
    }
    assert set(own) - same == {"classifier.6.weight", "classifier.6.bias"}
    assert given["features.1.running_mean"].abs().max() > 0
