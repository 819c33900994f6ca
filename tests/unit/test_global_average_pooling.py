"""Nets with global average pooling in place of the hidden fully-connected layers."""

import pytest
import torch

from tests.helpers.trainings import LAYERS_A
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.methods import DenseConvNet, Method
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet, describe, parameter_count
from workflow_scripts.vgg.nets.initialisation import initialise, transfer_layers
from workflow_scripts.vgg.planning.arithmetic import built, forward_flop
from workflow_scripts.vgg.results.single_evaluations import weight_layers

LAYERS = f"{LAYERS_A} | GAP"
SMALL = Architecture(LAYERS, classes=7, crop=64, fc=32, width_divisor=16)


@pytest.fixture
def net():
    made = ConvNet(SMALL).eval()
    initialise(made, "he", 3)
    return made


def images(height=64, width=64):
    generator = torch.Generator().manual_seed(0)
    return 50 * torch.randn(2, 3, height, width, generator=generator)


def test_the_scores_are_a_linear_function_of_the_last_maps_mean(net):
    maps = net.features(images())
    layer = net.classifier[0]
    mean = maps.sum((2, 3)) / maps[0, 0].numel()
    torch.testing.assert_close(net(images()), mean @ layer.weight.T + layer.bias)


def test_it_is_as_large_as_its_layers_say():
    full = Architecture(LAYERS)
    convs = [(3, 64), (64, 128), (128, 256), (256, 256), (256, 512), *[(512, 512)] * 3]
    assert parameter_count(full) == sum(9 * a * b + b for a, b in convs) + 512 * 1000 + 1000
    assert describe(full)[-4:] == ["maxpool", "GAP", "FC-1000", "soft-max"]
    assert built(full).weight_layers == weight_layers(LAYERS) == 9


def test_its_score_map_has_a_place_for_each_of_the_last_map(net):
    scores = DenseConvNet(net)(images(96, 160))
    assert scores.shape == (2, 7, 3, 5)
    torch.testing.assert_close(scores.mean((2, 3)), net(images(96, 160)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(DenseConvNet(net)(images()).mean((2, 3)), net(images()))


def test_dense_evaluation_is_the_whole_image_and_its_mirror_image(net):
    whole = images(96, 160)
    expected = (net(whole).softmax(1) + net(whole.flip(3)).softmax(1)) / 2
    torch.testing.assert_close(Method("dense").of(net)(whole), expected, rtol=1e-4, atol=1e-6)


def test_its_arithmetic_is_that_of_its_convs_and_a_product_at_each_place():
    def convs_of(net):
        return float(forward_flop(net, 64, 64)) - sum(
            2 * layer.weight.numel() * places
            for layer, places in zip(net.fc_layers, [net.architecture.map_side**2], strict=True)
        )

    with_fcs = built(Architecture(LAYERS_A, 7, 64, 32, 16))
    fcs = sum(2 * layer.weight.numel() for layer in with_fcs.fc_layers)
    assert convs_of(built(SMALL)) == float(forward_flop(with_fcs, 64, 64)) - fcs


def test_layers_go_from_one_such_net_to_another_and_from_no_other_net(net):
    child = ConvNet(SMALL)
    assert "classifier.0" in transfer_layers(child, net, "by-shape")
    assert torch.equal(child.classifier[0].weight, net.classifier[0].weight)
    other = ConvNet(Architecture(LAYERS_A, 7, 64, 32, 16))
    for one, two in ((net, other), (other, net)):
        with pytest.raises(InputError, match="the net and its parent differ in GAP"):
            transfer_layers(one, two, "by-shape")
