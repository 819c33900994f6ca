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
    LibraryArchitecture,
    LibraryNet,
    built,
    input_of,
    score_map_modules,
)
from workflow_scripts.vgg.nets.released.reading import read_library_net
from workflow_scripts.vgg.nets.restriction import restrict
from workflow_scripts.vgg.nets.weights import load_classifier, load_weights

RESNET = "torchvision/resnet18"
REGNET = "timm/regnety_002.pycls_in1k"
VIT = "timm/vit_tiny_patch16_224"
MNASNET = "torchvision/mnasnet0_5"  # its state dicts have a version
DLA = "timm/dla46_c.in1k"  # its head is a 1×1 convolution
INCEPTION = "timm/iformer_t"  # has parts called module
BUILDERS = {
    RESNET: lambda classes: torchvision.models.resnet18(num_classes=classes),
    REGNET: lambda classes: timm.create_model("regnety_002", num_classes=classes),
    VIT: lambda classes: timm.create_model("vit_tiny_patch16_224", num_classes=classes),
    MNASNET: lambda classes: torchvision.models.mnasnet0_5(num_classes=classes),
    DLA: lambda classes: timm.create_model("dla46_c", num_classes=classes),
    INCEPTION: lambda classes: timm.create_model("iformer_t", num_classes=classes),
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
@pytest.mark.parametrize("net", [RESNET, REGNET, MNASNET, INCEPTION])
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
     ("torchvision/squeezenet1_1", (15, 19)), (DLA, (8, 10))],
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
        (lambda w: w.pop("fc.weight"), f"lacks fc.weight, which files of {RESNET} have"),
        (lambda w: w.update(more=torch.zeros(3)), f"holds also more, which files of {RESNET} lack"),
        (lambda w: w.update({"conv1.weight": torch.zeros(32, 3, 7, 7)}),
         "conv1.weight has the shape 32 × 3 × 7 × 7, but 64 × 3 × 7 × 7 was expected; another net "
         f"is in it: give the file of {RESNET}"),
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
        ("timm/resnet18x.a1_in1k", "timm has no net resnet18x.a1_in1k; timm.list_models"),
        ("timm/resnet18.nope", "timm knows no weights of resnet18 by the tag nope; it knows .*"),
        ("timm/resnet18.a1_in1k.b", "timm knows no weights of resnet18 by the tag a1_in1k.b; it"),
        ("timm/iformer_t.nope", "timm knows no weights of iformer_t by the tag nope; "),
        ("timm/vit_base_patch16_sapiens2", "takes images of 1024 × 768; crops are square here"),
    ],
)
def test_an_unknown_net_is_refused(net, message, tmp_path):
    file = saved(tmp_path / "w", random_net(RESNET).state_dict(), "zip")
    with pytest.raises(InputError, match=f"{net}: {message}"):
        importing(file, net, tmp_path)


def test_the_tags_that_timm_knows_are_named():
    for call in (input_of, lambda net: built(net, 10)):
        with pytest.raises(InputError) as error:
            call("timm/resnet18.nope")
        told = str(error.value).partition("it knows ")[2].split(", ")
        assert set(told) >= {n.partition(".")[2] for n in timm.list_pretrained("resnet18.*")}


@pytest.mark.parametrize("content", ["text", "hdf5", "nothing", "damaged"])
def test_what_is_said_of_a_file_that_is_none_is_about_the_net_that_was_asked_for(content, tmp_path):
    file = saved(tmp_path / "w.pth", {"fc.bias": torch.zeros(9)}, "zip")
    damaged = file.read_bytes()[:300]
    contents = {"text": b"Not found\n" * 99, "hdf5": b"\x89HDF\r\n\x1a\n", "nothing": b""}
    file.write_bytes(contents.get(content, damaged))
    with pytest.raises(InputError) as error:
        importing(file, RESNET, tmp_path)
    assert "torchvision's documentation says where the files of resnet18 are" in str(error.value)
    assert not {"VGG", "caffe", "keras"} & set(re.findall(r"\w+", str(error.value)))


@pytest.mark.parametrize("net", [RESNET, VIT])
@pytest.mark.parametrize("classes", [3, 1000])
def test_without_a_number_of_classes_those_of_the_file_are_read(net, classes, tmp_path):
    theirs = random_net(net, classes)
    file = saved(tmp_path / "w", theirs.state_dict(), "zip")
    ours, _ = read_library_net(file, net)
    assert ours.architecture.outputs == ours.architecture.classes == classes
    pixels = torch.randn(1, 3, 224, 224, generator=seeded(4))
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(pixels * ours.std), theirs(pixels))


def test_classes_of_a_file_are_told_of_the_net_that_it_holds_alone(tmp_path):
    """Another net is another net, and a claim of 10⁹ classes takes no memory."""
    tensors = random_net(RESNET).state_dict()
    tensors["layer1.0.bn1.weight"] = torch.zeros(65)
    with pytest.raises(InputError, match=f"another net is in it: give the file of {RESNET}"):
        read_library_net(saved(tmp_path / "w", tensors, "zip"), RESNET)
    tensors = random_net(RESNET).state_dict()
    tensors["fc.weight"] = torch.zeros(1, 1).expand(10**9, 512)
    tensors["fc.bias"] = torch.zeros(1).expand(10**9)
    with pytest.raises(InputError, match=r"fc\.weight has the shape 1000000000 × 512, but 1000 ×"):
        read_library_net(saved(tmp_path / "v", tensors, "zip"), RESNET)


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


@pytest.mark.parametrize("groups", [1, 2])
def test_a_head_may_be_a_convolution_of_the_mean(groups):
    class Net(nn.Module):
        def __init__(self, side=1, power=1):
            super().__init__()
            self.one, self.power = nn.Conv2d(3, 8, 3), power
            self.two = nn.Conv2d(8, 4, side, padding=side // 2, groups=groups)

        def forward(self, x):
            return self.two(self.one(x).pow(self.power).mean((2, 3), keepdim=True)).flatten(1)

    torch.manual_seed(0)
    net = Net().eval()
    found = score_map_modules(net, 32)
    assert found == ("one", "two")
    assert score_map_modules(Net(power=2).eval(), 32) is None
    assert score_map_modules(Net(side=3).eval(), 32) is None  # sees a place's neighbours
    architecture = LibraryArchitecture("timm/of_a_test", 4, 32, (2.0, 1.0, 0.5), *found)
    images = torch.randn(2, 3, 50, 40, generator=seeded(6))
    with torch.inference_mode():
        maps = LibraryNet(architecture, net).score_map(images)
        means = net(images / torch.tensor([2.0, 1.0, 0.5])[:, None, None])
        last = net.one(images / torch.tensor([2.0, 1.0, 0.5])[:, None, None])
        places = [net.two(last[:, :, y : y + 1, x : x + 1])[..., 0, 0]
                  for y in range(48) for x in range(38)]  # fmt: skip
    assert maps.shape == (2, 4, 48, 38)
    torch.testing.assert_close(maps.flatten(2), torch.stack(places, 2))
    torch.testing.assert_close(torch.stack(places).mean(0), means)


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
