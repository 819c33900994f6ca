"""The nets' arithmetic, against Table 1 by hand, published counts and PyTorch's own counter."""

import numpy as np
import pytest
import torch
import torchvision
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.clones import ROOT
from tests.helpers.flop_by_hand import FC, FIRST, TABLE_1, by_hand
from workflow_scripts.vgg.evaluation.methods import DenseConvNet
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.planning.arithmetic import (
    boxes_flop,
    built,
    built_of_library,
    evaluation_flop,
    forward_flop,
    score_map_places,
    training_flop,
)

NETS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]


def net(name, **more):
    return built(Architecture(NETS[name], **more))


def executed(function):
    """FLOP of the matrix products and convolutions that PyTorch carries out in a function."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", TABLE_1)
def test_a_forward_pass_is_the_sum_over_table_1s_layers(name):
    assert forward_flop(net(name), 224, 224) == by_hand(name)


def test_a_forward_pass_of_the_known_nets_takes_the_known_gflop():
    known = {"A": 15.2, "D": 30.9, "E": 39.3}
    published = {"A": "VGG11", "B": "VGG13", "D": "VGG16", "E": "VGG19"}
    for name, gflop in known.items():
        assert round(float(forward_flop(net(name), 224, 224)) / 1e9, 1) == gflop
    for name, theirs in published.items():
        weights = getattr(torchvision.models, f"{theirs}_Weights").IMAGENET1K_V1
        ours = float(forward_flop(net(name), 224, 224)) / 2e9  # theirs are multiply-adds
        assert ours == pytest.approx(weights.meta["_ops"], abs=0.001)


@pytest.mark.parametrize("name", NETS)
def test_counts_are_those_of_the_operations_that_pytorch_executes(name):
    architecture = Architecture(NETS[name])
    with FakeTensorMode():
        model = ConvNet(architecture).eval()
        images = torch.empty(2, 3, 224, 224)
        forward = executed(lambda: model(images)) / 2
        steps = {}
        for trainable in ("all", "fc"):
            model.features.requires_grad_(trainable == "all")
            steps[trainable] = executed(lambda: model(images).sum().backward()) / 2
    assert forward_flop(built(architecture), 224, 224) == forward
    for trainable, step in steps.items():
        assert training_flop(built(architecture), trainable) == step


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_dense_counts_are_those_of_two_passes_over_each_whole_image(rounding):
    architecture = Architecture(NETS["C"], pool_rounding=rounding)
    heights, widths = np.array([375, 500, 375, 233]), np.array([500, 333, 500, 1001])
    counted = evaluation_flop(built(architecture), "dense", 256, heights, widths)
    rescaled = [(256, 341), (384, 256), (256, 341), (256, 1100)]
    with FakeTensorMode():
        model = DenseConvNet(ConvNet(architecture).eval())
        for flop, size in zip(counted, rescaled, strict=True):
            images = torch.empty(1, 3, *size)
            assert flop == 2 * executed(lambda images=images: model(images))


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_dense_boxes_are_a_pass_of_either_net_at_as_many_places_as_the_map_has(rounding):
    architectures = [
        Architecture(NETS["D"], pool_rounding=rounding, head=head)
        for head in ("box-pcr", "classes")
    ]
    nets = [built(architecture) for architecture in architectures]
    sizes = {(375, 500): (352, 469), (500, 333): (529, 352), (400, 1000): (352, 880)}
    heights, widths = map(np.array, zip(*sizes, strict=True))
    counted = boxes_flop(*nets, "dense", 352, heights, widths)
    with FakeTensorMode():
        models = [DenseConvNet(ConvNet(architecture).eval()) for architecture in architectures]
        for flop, size in zip(counted, sizes.values(), strict=True):
            images = torch.empty(1, 3, *size)
            assert flop == sum(
                executed(lambda net=net, images=images: net(images)) for net in models
            )
            assert score_map_places(nets[0], *size) == np.prod(models[0](images).shape[2:])
    (crop,) = boxes_flop(*nets, "center", 352, 375, 500)
    assert crop == by_hand("D") + 2 * 4096 * 3000


def test_crops_count_once_for_a_central_one_and_fifty_times_for_multi_crop():
    for method, crops in (("center", 1), ("multicrop", 50)):
        flop = evaluation_flop(net("D"), method, 384, np.array([375, 375]), np.array([500, 900]))
        assert flop.tolist() == [crops * by_hand("D")] * 2


def test_a_training_step_is_three_passes_less_the_gradient_of_the_images():
    assert training_flop(net("D")) == 3 * by_hand("D") - FIRST


def test_fine_tuned_fc_layers_need_no_backward_pass_through_the_convs():
    gradients = FC + FC - 2 * 7 * 7 * 512 * 4096  # of weights, and of all inputs but FC-1's
    assert training_flop(net("D"), "fc") == by_hand("D") + gradients


@pytest.mark.parametrize(
    ("name", "weights"), [("resnet50", "ResNet50"), ("densenet121", "DenseNet121")]
)
def test_a_librarys_net_takes_what_the_library_says(name, weights):
    """torchvision counts a multiply-add as one operation, of a crop of 224."""
    net = built_of_library(f"torchvision/{name}")
    stated = getattr(torchvision.models, f"{weights}_Weights").DEFAULT.meta
    assert float(forward_flop(net, 224, 224)) / 2e9 == pytest.approx(stated["_ops"], rel=0.01)
    assert net.parameter_count() == stated["num_params"]
    twice_the_area = evaluation_flop(net, "dense", 224, [224], [448])
    assert twice_the_area == pytest.approx(2 * 2 * float(forward_flop(net, 224, 224)))
