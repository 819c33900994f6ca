"""The nets are the paper's: layers, parameters, and outputs equal to torchvision's."""

import pytest
import torch
import torchvision
import yaml
from torch.nn import functional

from tests.helpers.clones import ROOT
from workflow_scripts.vgg.nets.convnets import (
    Architecture,
    ConvNet,
    LocalResponseNorm,
    MaxPooling,
    describe,
    parameter_count,
)

CONVNETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
PAPER = yaml.safe_load((ROOT / "config/paper_tables.yaml").read_text())


@pytest.mark.parametrize("net", PAPER["table2"]["exact"])
def test_full_size_nets_have_the_papers_parameters(net):
    assert parameter_count(Architecture(CONVNETS[net])) == PAPER["table2"]["exact"][net]


def test_b_with_5x5_convs_has_its_parameters():
    assert parameter_count(Architecture(CONVNETS["B-5x5"])) == 134_503_528


@pytest.mark.parametrize("net", PAPER["table1"]["weight_layers"])
def test_nets_have_the_layers_of_table_1(net):
    layers = describe(Architecture(CONVNETS[net]))
    expected = [{"M": "maxpool", "LRN": "LRN"}.get(x, f"conv{x}") for x in PAPER["table1"][net]]
    assert layers == [*expected, "FC-4096", "FC-4096", "FC-1000", "soft-max"]
    with torch.device("meta"):
        weight_layers = ConvNet(Architecture(CONVNETS[net])).weight_layers
    assert weight_layers == PAPER["table1"]["weight_layers"][net]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "theirs"), [("A", "vgg11"), ("B", "vgg13"), ("D", "vgg16"), ("E", "vgg19")]
)
def test_forward_equals_torchvisions_with_the_same_weights(net, theirs):
    with torch.device("meta"):
        ours = ConvNet(Architecture(CONVNETS[net])).eval()
        other = getattr(torchvision.models, theirs)().eval()
    ours.to_empty(device="cpu")
    with torch.no_grad():
        for number, parameter in enumerate(ours.parameters()):
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 100.0
            generator = torch.Generator().manual_seed(number)
            parameter.uniform_(-1, 1, generator=generator).mul_((6 / fan_in) ** 0.5)
    # Also the claim that our weights load into torchvision's nets unchanged.
    other.load_state_dict(ours.state_dict(), assign=True)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = other(images)
        found = ours.to(memory_format=torch.channels_last)(images)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


def test_lrn_is_krizhevskys_formula_and_pytorchs_with_five_times_the_alpha():
    a = torch.randn(1, 16, 3, 3, generator=torch.Generator().manual_seed(0)).double() * 100
    expected = torch.empty_like(a)
    for i in range(16):
        around = a[:, max(0, i - 2) : min(15, i + 2) + 1]
        expected[:, i] = a[:, i] / (2 + 1e-4 * (around**2).sum(1)) ** 0.75
    found = LocalResponseNorm(16).double()(a)
    torch.testing.assert_close(found, expected)
    theirs = torch.nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
    torch.testing.assert_close(found, theirs(a))


def test_caffes_lrn_is_pytorchs_with_caffes_constants():
    a = torch.randn(1, 16, 3, 3, generator=torch.Generator().manual_seed(0)).double() * 100
    theirs = torch.nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
    found = LocalResponseNorm(16, "caffe").double()(a)
    torch.testing.assert_close(found, theirs(a))
    assert (found - LocalResponseNorm(16).double()(a)).abs().max() > 1, "the two must be told apart"
    for lrn, k in (("krizhevsky", 2.0), ("caffe", 1.0)):
        net = ConvNet(Architecture(CONVNETS["A-LRN"], crop=64, fc=8, width_divisor=32, lrn=lrn))
        assert [m.k for m in net.features if isinstance(m, LocalResponseNorm)] == [k]


def test_a_divided_net_has_divided_channels():
    net = ConvNet(Architecture(CONVNETS["D"], classes=10, crop=64, fc=512, width_divisor=8))
    assert [conv.out_channels for conv in net.conv_layers][::4] == [8, 32, 64, 64]
    assert net.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize(
    ("layers", "complaint"), [("conv3-64 pool", "unknown layer"), ("conv3-60", "not divisible")]
)
def test_a_layer_that_cannot_be_built_is_named(layers, complaint):
    with pytest.raises(ValueError, match=complaint):
        ConvNet(Architecture(layers, crop=64, width_divisor=8))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 8), (8, 7), (13, 5), (2, 2)])
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_pooling_without_gradients_has_the_bits_of_pytorchs_kernel(height, width, rounding):
    activations = torch.randn(3, 4, height, width).relu()  # ties among zeros
    activations[0, 0, 0, 0] = float("nan")
    pool = MaxPooling(2, stride=2, ceil_mode=rounding == "ceil")
    with torch.inference_mode():
        pooled = pool(activations)
    expected = functional.max_pool2d(activations, 2, 2, ceil_mode=rounding == "ceil")
    assert torch.equal(pooled.nan_to_num(-1), expected.nan_to_num(-1))
    assert torch.equal(pool(activations).nan_to_num(-1), pooled.nan_to_num(-1))
