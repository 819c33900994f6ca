"""Random initialisation has the named distribution; B–E take A's layers by the paper's rule."""

import math

import pytest
import torch
import yaml

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise, transfer_layers

CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]


def small(net, fc=64):
    return ConvNet(Architecture(CONVNETS[net], classes=10, crop=64, fc=fc, width_divisor=8))


@pytest.mark.parametrize(
    ("method", "std"),
    [
        ("normal-std-0.01", lambda fan_in, fan_out: 0.01),
        ("normal-std-0.1", lambda fan_in, fan_out: 0.1),
        ("glorot", lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        ("he", lambda fan_in, fan_out: math.sqrt(2 / fan_in)),
    ],
)
def test_weights_have_the_named_standard_deviation_and_biases_are_zero(method, std):
    net = small("D", fc=512)
    initialise(net, method, seed=3)
    for layer in (net.conv_layers[5], net.classifier[3]):
        receptive = layer.weight[0, 0].numel()
        fan_in, fan_out = layer.weight.shape[1] * receptive, layer.weight.shape[0] * receptive
        assert layer.weight.std().item() == pytest.approx(std(fan_in, fan_out), rel=0.05)
        assert abs(layer.weight.mean().item()) < 0.1 * std(fan_in, fan_out)
        assert not layer.bias.any()


def test_dirac_begins_with_layers_that_pass_on_what_they_see():
    net, he = small("D"), small("D")
    initialise(net, "dirac", seed=3)
    initialise(he, "he", seed=3)
    first, second = net.conv_layers[:2]  # 3 channels to 8, and 8 to 8
    assert torch.equal(first.weight, he.conv_layers[0].weight)
    identity = torch.zeros_like(second.weight)
    identity[range(8), range(8), 1, 1] = 1
    noise = math.sqrt(1 - 0.9**2) * he.conv_layers[1].weight
    assert torch.allclose(second.weight, 0.9 * identity + noise)
    assert torch.equal(net.classifier[3].weight, he.classifier[3].weight)  # square, but no conv


def test_initialisation_is_a_function_of_the_seed():
    nets = [small("A") for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        initialise(net, "he", seed)
    first, second, third = (net.classifier[0].weight for net in nets)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


# Places of the conv layers in torchvision's numbering, written out by hand from Table 1.
BY_SHAPE = {
    "B": {"features.0": "features.0", "features.5": "features.3",
          "features.10": "features.6", "features.12": "features.8"},
    "C": {"features.0": "features.0", "features.5": "features.3",
          "features.10": "features.6", "features.12": "features.8"},
    "D": {"features.0": "features.0", "features.5": "features.3",
          "features.10": "features.6", "features.12": "features.8"},
    "E": {"features.0": "features.0", "features.5": "features.3",
          "features.10": "features.6", "features.12": "features.8"},
}  # fmt: skip
FULLY_CONNECTED = {f"classifier.{n}": f"classifier.{n}" for n in (0, 3, 6)}


@pytest.mark.parametrize("name", BY_SHAPE)
def test_deeper_nets_take_as_first_four_convs_and_fc_layers(name):
    parent, net = small("A"), small(name)
    initialise(parent, "he", seed=1)
    for bias in (layer.bias for layer in [*parent.conv_layers, *parent.fc_layers]):
        torch.nn.init.normal_(bias)
    initialise(net, "he", seed=2)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    copied = transfer_layers(net, parent, "by-shape")
    assert copied == BY_SHAPE[name] | FULLY_CONNECTED
    for key, value in net.state_dict().items():
        layer, kind = key.rsplit(".", 1)
        source = parent.state_dict()[f"{copied[layer]}.{kind}"] if layer in copied else before[key]
        assert torch.equal(value, source), key


def test_first_of_block_takes_the_first_conv_of_four_blocks():
    parent, net = small("A"), small("D")
    copied = transfer_layers(net, parent, "first-of-block")
    assert copied == FULLY_CONNECTED | {
        "features.0": "features.0",
        "features.5": "features.3",
        "features.10": "features.6",
        "features.17": "features.11",
    }


def test_a_parent_of_another_width_is_refused():
    with pytest.raises(InputError, match=r"classifier\.0"):
        transfer_layers(small("D", fc=64), small("A", fc=128), "by-shape")
