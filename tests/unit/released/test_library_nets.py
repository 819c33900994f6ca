"""Nets of torchvision and timm by name: their logits, score maps, restrictions and refusals."""

from __future__ import annotations

import re
import sys

import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from tests.helpers.released_files import saved
from tests.helpers.released_nets import LAYERS, seeded
from workflow_scripts import evaluate, import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_columns
from workflow_scripts.vgg.evaluation.methods import Method
from workflow_scripts.vgg.nets.library_nets import (
    LibraryNet,
    built,
    input_of,
    score_map_modules,
)
from workflow_scripts.vgg.nets.restriction import restrict
from workflow_scripts.vgg.nets.weights import load_classifier, load_weights

RESNET = "torchvision/resnet18"
REGNET = "timm/regnety_002.pycls_in1k"
VIT = "timm/vit_tiny_patch16_224"
BUILDERS = {
    RESNET: lambda classes: torchvision.models.resnet18(num_classes=classes),
    REGNET: lambda classes: timm.create_model("regnety_002", num_classes=classes),
    VIT: lambda classes: timm.create_model("vit_tiny_patch16_224", num_classes=classes),
    "torchvision/densenet121": lambda n: torchvision.models.densenet121(num_classes=n),
    "torchvision/squeezenet1_1": lambda n: torchvision.models.squeezenet1_1(num_classes=n),
    "torchvision/mobilenet_v3_small": lambda n: torchvision.models.mobilenet_v3_small(
        num_classes=n
    ),
}


def random_net(net: str, classes: int = 10) -> nn.Module:
    """The library's own, in test mode, with random weights, and statistics that are not 0 and 1."""
    torch.manual_seed(0)
    made = BUILDERS[net](classes).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=seeded(1))
            module.running_var.uniform_(0.5, 2, generator=seeded(2))
    return made


def importing(file, net, folder, classes=10, **others):
    output = folder / "out.safetensors"
    options = {"model": "theirs", "net": net, "classes": classes, "file": file, "output": output}
    options |= {"format": net.partition("/")[0]} | others
    import_weights.main([word for k, v in options.items() for word in (f"--{k}", str(v))])
    return output


def picture(height, width):
    squares = torch.randint(0, 256, (3, 8, 8), generator=seeded(3), dtype=torch.uint8)
    return nn.functional.interpolate(squares[None].float(), (height, width), mode="nearest")


def ours_on(net, metadata, pixels):
    mean = torch.tensor(metadata["mean_rgb"])[:, None, None]
    with torch.inference_mode():
        return net.eval()(pixels - mean)


@pytest.mark.parametrize("form", ["zip", "safetensors"])
@pytest.mark.parametrize("net", [RESNET, REGNET])
def test_logits_are_the_librarys_on_its_own_input(net, form, tmp_path):
    theirs = random_net(net)
    output = importing(saved(tmp_path / "w", theirs.state_dict(), form), net, tmp_path)
    ours, metadata = load_classifier(output)
    pixels = picture(224, 224)
    # The libraries' own preprocessing, of a picture that needs no resizing.
    image = Image.fromarray(pixels[0].to(torch.uint8).permute(1, 2, 0).numpy())
    if net.startswith("timm"):
        data = timm.data.resolve_model_data_config(theirs)
        prepare = timm.data.create_transform(**{**data, "crop_pct": 1.0}, is_training=False)
    else:
        weights = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
        prepare = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
                              v2.Normalize(weights.mean, weights.std)])  # fmt: skip
    with torch.inference_mode():
        expected = theirs(prepare(image)[None])
    assert expected.std() > 1e-3
    assert (ours_on(ours, metadata, pixels) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert metadata["imported"]["input"].startswith("RGB in [0, 1] minus")


@pytest.mark.slow
def test_full_size_vgg16_with_batch_normalisation_of_torchvision(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.vgg16_bn().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    file = saved(tmp_path / "w.pth", theirs.state_dict(), "zip")
    layers = re.sub(r"(conv\d+-\d+)", r"\1 BN", LAYERS["D"])
    options = {"model": "D-BN", "net": "D-BN", "layers": layers, "format": "torchvision"}
    options |= {"file": file, "scale": 256, "output": tmp_path / "out.safetensors"}
    import_weights.main([word for k, v in options.items() for word in (f"--{k}", str(v))])
    ours, metadata = load_weights(tmp_path / "out.safetensors")
    pixels = picture(224, 224)
    normalise = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        expected = theirs(normalise(pixels / 255))
    assert expected.std() > 1e-3
    assert (ours_on(ours, metadata, pixels) - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("net", "places"),
    [(RESNET, (8, 10)), (REGNET, (8, 10)), ("torchvision/densenet121", (8, 10)),
     ("torchvision/squeezenet1_1", (15, 19))],
)  # fmt: skip
def test_the_score_maps_mean_is_what_the_library_says_of_the_whole_image(net, places, tmp_path):
    theirs = random_net(net)
    output = importing(saved(tmp_path / "w", theirs.state_dict(), "zip"), net, tmp_path)
    ours, metadata = load_classifier(output)
    pixels = picture(256, 320) - torch.tensor(metadata["mean_rgb"])[:, None, None]
    with torch.inference_mode():
        scores = ours.eval().score_map(pixels)
        expected = theirs(pixels / ours.std)
        assert scores.shape == (1, 10, *places)
        torch.testing.assert_close(scores.mean((2, 3)), expected, rtol=1e-4, atol=1e-4)
        # One place alone differs from the mean, so it is a map.
        assert (scores[..., 0, 0] - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize("net", [VIT, "torchvision/mobilenet_v3_small"])
def test_heads_without_a_score_map_are_told(net, tmp_path):
    """One takes images of its crop's size only, the other has a hidden layer behind the mean."""
    theirs = random_net(net)
    output = importing(saved(tmp_path / "w", theirs.state_dict(), "zip"), net, tmp_path)
    ours, metadata = load_classifier(output)
    crop = metadata["architecture"]["crop"]
    assert ours_on(ours, metadata, picture(crop, crop)).shape == (1, 10)
    with pytest.raises(InputError, match=f"{net} has no score map: .*by center or multicrop"):
        ours.score_map(picture(crop, crop))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dense", "center"])
def test_a_split_is_evaluated_by_each_method(method, shard_paths, tmp_path):
    theirs = random_net(RESNET)
    weights = importing(saved(tmp_path / "w", theirs.state_dict(), "zip"), RESNET, tmp_path)
    words = ["--weights", str(weights), "--method", method, "--scale", "256"]
    shards = shard_paths("val")[:1]
    evaluate.main([*words, "--shards", *shards, "--output", str(tmp_path / "p.parquet")])
    found = read_columns(tmp_path / "p.parquet")
    posteriors = torch.tensor(found["posterior"].to_pylist())
    assert posteriors.shape == (found.num_rows, 10)
    torch.testing.assert_close(posteriors.sum(1), torch.ones(len(posteriors)))


def test_multi_crop_evaluation_is_the_mean_of_the_librarys_answers_for_50_crops(tmp_path):
    theirs = random_net(RESNET)
    output = importing(saved(tmp_path / "w", theirs.state_dict(), "zip"), RESNET, tmp_path)
    ours, metadata = load_classifier(output)
    pixels = picture(256, 288) - torch.tensor(metadata["mean_rgb"])[:, None, None]
    with torch.inference_mode():
        found = Method("multicrop").of(ours.eval())(pixels)
        crops = [
            view[..., top : top + 224, left : left + 224]
            for view in (pixels, pixels.flip(3))
            for top in (0, 8, 16, 24, 32)
            for left in (0, 16, 32, 48, 64)
        ]
        expected = theirs(torch.cat(crops) / ours.std).softmax(1).mean(0)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-6)


def test_the_crop_is_the_nets_own(tmp_path):
    given, crop = input_of("timm/inception_v3.tf_in1k")
    assert (given.mean_rgb, given.std_rgb, crop) == ((127.5,) * 3, (127.5,) * 3, 299)
    assert input_of("torchvision/inception_v3")[1] == 299


def test_torchvisions_inception_normalises_once_more_as_its_files_expect(tmp_path):
    """Its weights are loaded by torchvision with transform_input."""
    assert built("torchvision/googlenet", 10).transform_input is True
    assert built("torchvision/inception_v3", 10).transform_input is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("fc.weight"), "lacks fc.weight, which torchvision files of this net have"),
        (lambda w: w.update(more=torch.zeros(3)), "holds also more, which torchvision files"),
        (lambda w: w.update({"fc.weight": torch.zeros(9, 512), "fc.bias": torch.zeros(9)}),
         "fc.weight has the shape 9 × 512, but 10 × 512 was expected; its classes must be"),
        (lambda w: w["layer1.0.conv1.weight"].fill_(torch.nan), "layer1.0.conv1.weight holds val"),
    ],
)  # fmt: skip
def test_a_file_of_another_net_is_refused(change, message, tmp_path):
    tensors = random_net(RESNET).state_dict()
    change(tensors)
    file = saved(tmp_path / "w", tensors, "zip")
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}: {re.escape(message)}"):
        importing(file, RESNET, tmp_path)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("torchvision/resnet19", "torchvision has no net resnet19; torchvision.models.list_models"),
        ("timm/resnet18x", r"timm has no net resnet18x; timm.list_models\(\) names all"),
        ("torchvision/fcn_resnet50", "torchvision has no net fcn_resnet50"),
    ],
)
def test_an_unknown_net_is_refused(net, message, tmp_path):
    file = saved(tmp_path / "w", random_net(RESNET).state_dict(), "zip")
    with pytest.raises(InputError, match=f"{net}: {message}"):
        importing(file, net, tmp_path)


def test_a_library_that_is_not_installed_is_named(monkeypatch, tmp_path):
    file = saved(tmp_path / "w", random_net(RESNET).state_dict(), "zip")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"timm is not installed .*requirements-extra\.txt"):
        importing(file, REGNET, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"net": "D"}, "--layers goes with nets of --net that are not a library's"),
        ({"net": RESNET, "layers": "conv3-64"}, "--layers goes with nets of --net that are not"),
        ({"net": "D", "layers": "conv3-64"}, "--scale goes with --layers"),
    ],
)
def test_a_net_by_hand_is_named_in_one_way(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        importing("w.pth", folder=tmp_path, **words | {"format": "torchvision"})
    assert message in capsys.readouterr().err


def test_memory_that_is_short_is_no_property_of_a_net(monkeypatch):
    net = random_net(RESNET)

    def short(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(net, "forward", short)
    with pytest.raises(torch.OutOfMemoryError):
        score_map_modules(net, 224)


def test_what_is_not_evaluation_takes_no_library_net(tmp_path):
    output = importing(
        saved(tmp_path / "w", random_net(RESNET).state_dict(), "zip"), RESNET, tmp_path
    )
    with pytest.raises(InputError, match=f"holds {RESNET}, which can be evaluated, and nothing"):
        load_weights(output)


def test_a_score_map_is_found_by_what_a_net_gives_and_not_by_names():
    class Net(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.one, self.two, self.mean = nn.Conv2d(3, 8, 3), nn.Linear(8, 4), mean

        def forward(self, x):
            return self.two(self.mean(self.one(x)))

    assert score_map_modules(Net(lambda m: m.mean((2, 3))), 32) == ("one", "two")
    assert score_map_modules(Net(lambda m: m.amax((2, 3))), 32) is None
    assert score_map_modules(Net(lambda m: m.relu().mean((2, 3))), 32) is None


def test_kept_classes_are_in_the_order_given(tmp_path):
    theirs = random_net(RESNET)
    ours, metadata = load_classifier(
        importing(saved(tmp_path / "w", theirs.state_dict(), "zip"), RESNET, tmp_path)
    )
    assert isinstance(ours, LibraryNet)
    whole = ours_on(ours, metadata, picture(224, 224))
    restrict(ours, [7, 2, 4])
    assert torch.equal(ours_on(ours, metadata, picture(224, 224)), whole[:, [7, 2, 4]])
    assert ours.architecture.classes == 3
