"""Descriptors against the plain net, a loop over windows, and torchvision's VGG-16."""

import io

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.models.feature_extraction import create_feature_extractor

from tests.helpers.descriptors_by_hand import assert_close, descriptor, rescaled
from tests.helpers.paper_nets import CONVNETS, INPUT, as_input, picture, small, store
from workflow_scripts.vgg.data.rescaled_images import RescaledImages
from workflow_scripts.vgg.data.shards import Shards
from workflow_scripts.vgg.evaluation.methods import Method, NotFinite, evaluate, pass_over
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.transfer.descriptors import Describing, describe

# Landscape, portrait, one that is a window, a square that is rescaled, and elongated ones
SIZES = [(96, 140), (140, 96), (64, 64), (100, 100), (75, 260), (300, 80), (96, 140)]
RELU = ("after", "before")


@pytest.fixture(scope="module")
def pictures():
    return [picture(*size, seed=place) for place, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def shards(pictures, tmp_path_factory):
    return store(tmp_path_factory.mktemp("pictures"), pictures)


def described(net, paths, side, relu="after", workers=0, batch_size=64, **of_images):
    crop = net.architecture.crop
    images = RescaledImages(paths, side, crop, batch_size=batch_size, **of_images)
    how = Describing(relu, batch_size)
    return describe(net, images, how, INPUT["mean"], input_scale=INPUT["input_scale"],
                    workers=workers, progress=False)  # fmt: skip


def activations(net, x, relu):
    """What a hook in the plain net sees, which the ReLU behind it overwrites."""
    seen = []
    layer = net.classifier[{"after": 4, "before": 3}[relu]]
    hook = layer.register_forward_hook(lambda module, given, made: seen.append(made.clone()))
    net(x)
    hook.remove()
    return seen[0]


@torch.inference_mode()
@pytest.mark.parametrize("relu", RELU)
def test_an_image_of_one_window_has_the_plain_nets_activations(relu, tmp_path):
    net, _ = small(CONVNETS["B"])
    pixels = [picture(64, 64, seed) for seed in range(3)]
    found = described(net, store(tmp_path, pixels), 64, relu)
    assert found.shape == (3, 64)
    assert found.dtype == np.float32
    for own, image in zip(found, pixels, strict=True):
        x = as_input(image)
        both = activations(net, torch.cat([x, x.flip(3)]), relu)
        assert_close(own, both.mean(0).numpy(), 1e-5)
    assert (found.min() < 0) == (relu == "before")


@torch.inference_mode()
@pytest.mark.parametrize("relu", RELU)
@pytest.mark.parametrize("side", [64, 73, 110])
@pytest.mark.parametrize("name", ["A", "C", "E", "B-5x5"])
def test_a_larger_image_has_the_mean_over_places_and_both_views(name, side, relu, pictures, shards):
    net, tensors = small(CONVNETS[name], width_divisor=16)
    found = described(net, shards, side, relu)
    for own, pixels in zip(found, pictures, strict=True):
        x = as_input(rescaled(Image.fromarray(pixels), side))
        assert_close(own, descriptor(tensors, CONVNETS[name], x, 2, relu))


@torch.inference_mode()
def test_pools_that_round_up_have_places_of_their_own(pictures, shards):
    layers = CONVNETS["A"]
    both = {}
    for rounding in ("floor", "ceil"):
        net, tensors = small(layers, pool_rounding=rounding)
        both[rounding] = described(net, shards, 73)
        for own, pixels in zip(both[rounding], pictures, strict=True):
            x = as_input(rescaled(Image.fromarray(pixels), 73))
            assert_close(own, descriptor(tensors, layers, x, 2, "after", rounding))
    assert np.abs(both["floor"] - both["ceil"]).max() > 0.01


@torch.inference_mode()
def test_an_image_and_its_mirror_image_are_described_alike(pictures, tmp_path):
    net, _ = small(CONVNETS["A"])
    (tmp_path / "mirrored").mkdir()
    mirrored = store(tmp_path / "mirrored", [own[:, ::-1] for own in pictures])
    # Unless they are rescaled: Pillow's rounding is not symmetric.
    pairs = zip(
        described(net, store(tmp_path, pictures), 96, places=np.array([0, 1, 6])),
        described(net, mirrored, 96, places=np.array([0, 1, 6])),
        strict=True,
    )
    for own, other in pairs:
        assert_close(own, other, 1e-5)


def test_batches_order_and_workers_change_nothing(shards):
    net, _ = small(CONVNETS["A"])
    plain = described(net, shards, 73)
    order = np.random.default_rng(0).permutation(len(SIZES))
    for changes in ({"batch_size": 1}, {"batch_size": 3}, {"places": np.arange(len(SIZES))}):
        assert_close(described(net, shards, 73, **changes), plain, 1e-5)
    assert_close(described(net, shards, 73, places=order), plain[order], 1e-5)
    twice = np.array([3, 0, 3])
    assert_close(described(net, shards, 73, places=twice), plain[twice], 1e-5)
    assert described(net, shards, 73).tobytes() == plain.tobytes()


@pytest.mark.slow
def test_workers_of_the_loader_change_nothing(shards):
    net, _ = small(CONVNETS["A"])
    assert_close(described(net, shards, 73, workers=2), described(net, shards, 73), 1e-5)


BOXES = np.array(
    [[10, 5, 90, 77], [0, 0, 140, 96], [3, 8, 60, 140], [0, 20, 64, 64], [7, 7, 9, 40]]
)
OF_IMAGES = np.array([0, 0, 1, 2, 3])


@pytest.mark.parametrize("side", [64, 97])
def test_a_box_is_described_as_the_image_cut_out(side, pictures, shards, tmp_path):
    net, _ = small(CONVNETS["B"])
    found = described(net, shards, side, places=OF_IMAGES, regions=BOXES)
    cut = []
    for place, box in zip(OF_IMAGES, BOXES, strict=True):
        file = io.BytesIO()
        Image.fromarray(pictures[place]).crop(tuple(map(int, box))).save(file, "PNG")
        cut.append(np.array(Image.open(file)))
    expected = described(net, store(tmp_path, cut), side)
    assert_close(found, expected, 1e-5)
    assert_close(found[1], described(net, shards, side)[0], 1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_the_net_is_left_as_it_was(shards):
    net, _ = small(CONVNETS["A"])
    x = as_input(picture(64, 64))
    before = net(x)
    names = list(net.state_dict())
    for training in (True, False):
        net.train(training)
        described(net, shards, 64)
        assert net.training == training
    assert torch.equal(net(x), before)
    assert list(net.state_dict()) == names


def test_the_last_layer_has_no_part(shards):
    net, _ = small(CONVNETS["A"])
    found = described(net, shards, 73)
    with torch.no_grad():
        net.fc_layers[-1].weight.fill_(float("nan"))
    assert described(net, shards, 73).tobytes() == found.tobytes()
    other, _ = small(CONVNETS["A"], classes=7)
    assert len(described(other, shards, 73)[0]) == 64


def test_numbers_that_are_not_finite_are_refused(shards):
    net, _ = small(CONVNETS["A"])
    with torch.no_grad():
        net.fc_layers[1].bias.fill_(float("inf"))
    with pytest.raises(NotFinite, match="the net's descriptors are not finite"):
        described(net, shards, 73)


@pytest.mark.slow
@torch.inference_mode()
def test_an_image_of_224_pixels_has_the_activations_of_torchvisions_vgg16(tmp_path):
    with torch.device("meta"):
        theirs = torchvision.models.vgg16()
        ours = ConvNet(Architecture(CONVNETS["D"]), dropout=0.0)
    theirs.to_empty(device="cpu")
    for number, parameter in enumerate(theirs.parameters()):
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1.0
        draw = torch.Generator().manual_seed(number)
        parameter.uniform_(-1, 1, generator=draw).mul_((6 / fan_in) ** 0.5)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    pixels = picture(224, 224, seed=8)
    paths = store(tmp_path, [pixels])
    x = as_input(pixels)
    for relu in RELU:
        node = {"after": "classifier.4", "before": "classifier.3"}[relu]
        extractor = create_feature_extractor(theirs.eval(), {node: "features"})
        both = extractor(torch.cat([x, x.flip(3)]))["features"]
        assert both.shape == (2, 4096)
        found = described(ours.eval(), paths, 224, relu)
        assert_close(found[0], both.mean(0).numpy())


# What evaluation shares with it


@torch.inference_mode()
@pytest.mark.parametrize("method", ["dense", "multicrop", "center"])
def test_posteriors_are_bit_for_bit_what_a_loop_over_batches_gives(method, shards):
    net, _ = small(CONVNETS["A"])
    how = Method(method)
    images = RescaledImages(shards, 73, 64, central=method == "center")
    function = how.of(net)
    expected = np.full((len(SIZES), 10), np.nan, np.float32)

    def keep(rows, batch):
        expected[rows] = function(batch).numpy()

    pass_over(images, net, INPUT["mean"], keep, input_scale=INPUT["input_scale"], progress=False)
    found = evaluate(
        net, images, how, INPUT["mean"], input_scale=INPUT["input_scale"], progress=False
    )
    assert found.tobytes() == expected.tobytes()
    assert len(Shards(shards)) == len(found)
