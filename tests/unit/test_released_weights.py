"""Weights of other sources: nets built and run as the source does give the logits of ours.

Every file is of the source's own kind and holds random values; the source's arithmetic is written
out in plain PyTorch, with its own order of axes, channels and preprocessing.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
import yaml
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torchvision import transforms
from torchvision.models.vgg import make_layers

from tests.checks import fuzz_weights
from workflow_scripts import evaluate, export_weights, import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import load_weights, save_weights

ROOT = Path(__file__).resolve().parents[2]
LAYERS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["convnets"]
BLOCKS = {"C": (2, 2, 3, 3, 3), "D": (2, 2, 3, 3, 3), "E": (2, 2, 4, 4, 4)}
WIDTHS = (4, 8, 16, 32, 32)  # the paper's, divided by 16
CROP, FC, CLASSES, DIVISOR = 64, 64, 7, 16
MAP = CROP // 32
ARCHITECTURE = Architecture(LAYERS["D"], CLASSES, CROP, FC, DIVISOR)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BGR_MEAN = (103.939, 116.779, 123.68)


@pytest.fixture(scope="module")
def images():
    """Three images of coloured squares, uint8 [3, height, width, 3]; noise would look all alike."""
    squares = torch.randint(0, 256, (3, 4, 4, 3), generator=seeded(5)).to(torch.uint8)
    return squares.repeat_interleave(CROP // 4, 1).repeat_interleave(CROP // 4, 2)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def names_of(net):
    return [(b + 1, k + 1) for b, count in enumerate(BLOCKS[net]) for k in range(count)]


def random_parameters(net, first_scale, classes=CLASSES):
    """(kernel OIHW, bias) by (block, place), and [(matrix out×in, bias)] of the FC layers.

    first_scale: the size of the source's inputs, so that activations stay near 1.
    """
    generator = seeded(len(net) + ord(net))

    def normal(*sides: int) -> torch.Tensor:
        return torch.randn(*sides, generator=generator)

    convs, channels = {}, 3
    for block, place in names_of(net):
        width = WIDTHS[block - 1]
        side = 1 if net == "C" and block > 2 and place == 3 else 3
        std = (2 / (channels * side**2)) ** 0.5 / (first_scale if channels == 3 else 1)
        convs[block, place] = std * normal(width, channels, side, side), 0.1 * normal(width)
        channels = width
    sides = (channels * MAP**2, FC, FC, classes)
    fcs = [((2 / n) ** 0.5 * normal(m, n), 0.1 * normal(m)) for n, m in pairwise(sides)]
    return convs, fcs


def run_channels_first(convs, fcs, inputs):
    """Logits of a net whose maps are [channels, height, width], as Caffe's and PyTorch's are."""
    maps, last = inputs, 1
    for (block, _), (kernel, bias) in convs.items():
        if block > last:
            maps, last = F.max_pool2d(maps, 2), block
        maps = F.conv2d(maps, kernel, bias, padding=kernel.shape[-1] // 2).relu()
    units = F.max_pool2d(maps, 2).flatten(1)
    for place, (matrix, bias) in enumerate(fcs):
        units = units @ matrix.T + bias
        units = units.relu() if place < 2 else units
    return units


def caffe_inputs(images):
    """BGR 0–255 minus the mean, [N, 3, height, width]."""
    return (images.flip(-1).float() - torch.tensor(BGR_MEAN)).permute(0, 3, 1, 2)


def torchvision_inputs(images):
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    return torch.stack([prepare(image.numpy()) for image in images])


class TorchvisionNet(nn.Module):
    """A narrow VGG of torchvision's own layers; only the FC layers' widths are not its own."""

    def __init__(self, net):
        super().__init__()
        plan = [w for block, n in enumerate(BLOCKS[net]) for w in [*[WIDTHS[block]] * n, "M"]]
        self.features = make_layers(plan)
        self.classifier = nn.Sequential(
            *(nn.Linear(WIDTHS[-1] * MAP**2, FC), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(FC, FC), nn.ReLU(), nn.Dropout(), nn.Linear(FC, CLASSES)),
        )

    def forward(self, inputs):
        return self.classifier(self.features(inputs).flatten(1))


class TimmNet(nn.Module):
    """timm's form: FC layers as convolutions, global pool, head."""

    def __init__(self, net):
        super().__init__()
        self.features = TorchvisionNet(net).features
        self.pre_logits = nn.Module()
        self.pre_logits.fc1 = nn.Conv2d(WIDTHS[-1], FC, MAP)
        self.pre_logits.fc2 = nn.Conv2d(FC, FC, 1)
        self.head = nn.Module()
        self.head.fc = nn.Linear(FC, CLASSES)

    def forward(self, inputs):
        maps = self.pre_logits.fc1(self.features(inputs)).relu()
        return self.head.fc(self.pre_logits.fc2(maps).relu().mean((2, 3)))


def filled(net):
    """The net in test mode, with random values that keep activations near 1."""
    with torch.no_grad():
        for parameter in net.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 200
            parameter.normal_(std=(2 / fan_in) ** 0.5, generator=seeded(parameter.numel()))
    return net.eval()


# Caffe's files, written by an encoder of its own


def varint(value):
    groups = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def message(*fields):
    """(number, int) as a varint, (number, bytes) with its length, (number, raw bytes, wire)."""
    parts = []
    for number, value, *wire in fields:
        if wire:
            parts.append(varint(number << 3 | wire[0]) + value)
        elif isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        else:
            parts.append(varint(number << 3 | 2) + varint(len(value)) + value)
    return b"".join(parts)


def blob(values, form):
    """V1 blobs have four sides and V2 blobs a shape; `unpacked` and `double` store numbers so."""
    sides = tuple(values.shape)
    array = values.numpy()
    if form == "double":
        data = [(8, array.astype("<f8").tobytes())]
    elif form == "unpacked":
        data = [(5, struct.pack("<f", value), 5) for value in array.ravel().tolist()]
    else:
        data = [(5, array.astype("<f4").tobytes())]
    if form == "V1":
        sides = (1,) * (4 - len(sides)) + sides
        return message(*((place, side) for place, side in enumerate(sides, 1)), *data)
    return message((7, message((1, b"".join(map(varint, sides))))), *data)


def caffemodel(convs, fcs, form):
    layers = [(f"conv{b}_{k}", parameters) for (b, k), parameters in convs.items()]
    layers += [(f"fc{place}", parameters) for place, parameters in enumerate(fcs, 6)]
    fields = [(1, b"VGG_ILSVRC")]
    for name, parameters in [("data", ()), *layers]:  # a data layer has no blobs
        blobs = [blob(values, form) for values in parameters]
        if form == "V1":
            rates = [(7, struct.pack("<f", rate), 5) for rate in (1.0, 2.0)]
            body = [(2, b"bottom"), (3, b"top"), (4, name.encode()), (5, 4)]
            fields.append((2, message(*body, *((6, b) for b in blobs), *rates)))
        else:
            body = [(1, name.encode()), (2, b"Convolution"), (5, struct.pack("<f", 1.0), 5)]
            fields.append((100, message(*body, *((7, b) for b in blobs))))
    return message(*fields)


# Keras' files


def keras_kernels(convs, fcs):
    """Kernels HWIO and in×out, by Keras' names; random ones need no reordering."""
    named = {}
    for (b, k), (kernel, bias) in convs.items():
        named[f"block{b}_conv{k}"] = kernel.permute(2, 3, 1, 0).contiguous(), bias
    for name, (matrix, bias) in zip(("fc1", "fc2", "predictions"), fcs, strict=False):
        named[name] = matrix.T.contiguous(), bias
    return named


def write_keras(path, named, form):
    if form == "3":
        return write_keras3(path, named)
    pattern = {
        "old": "{0}/{0}_{1}_1:0",
        "new": "{0}/{0}/{2}:0",
        "model": "model_weights/{0}/{0}/{2}",
    }
    with h5py.File(path, "w") as file:
        file.create_group("block1_pool")
        for name, (kernel, bias) in named.items():
            file[pattern[form].format(name, "W", "kernel")] = kernel.numpy()
            file[pattern[form].format(name, "b", "bias")] = bias.numpy()
        if form == "model":
            file["optimizer_weights/block1_conv1/kernel"] = np.zeros((3, 3, 3, 4))


def write_keras3(path, named, names=True):
    """A .weights.h5 of Keras 3: layers are numbered by kind, and named by an attribute."""
    with h5py.File(path, "w") as file:
        numbers = {"conv2d": 0, "dense": 0}
        for name, values in named.items():
            kind = "conv2d" if name.startswith("block") else "dense"
            number = f"_{numbers[kind]}" if numbers[kind] else ""
            numbers[kind] += 1
            group = file.create_group(f"layers/{kind}{number}/vars")
            if names:
                group.attrs["name"] = name
            for place, array in enumerate(values):
                group[str(place)] = array.numpy()
        file["optimizer/vars/0"] = np.zeros((3, 3, 3, 4))


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """2×2 max-pooling of maps [N, height, width, channels]."""
    return F.max_pool2d(maps.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def run_keras(named, images):
    """Logits with maps [height, width, channels], flattened in that order."""
    maps, last = images.flip(-1).float() - torch.tensor(BGR_MEAN), 1
    for name, (kernel, bias) in named.items():
        if not name.startswith("block"):
            continue
        if int(name[5]) > last:
            maps, last = pooled(maps), int(name[5])
        height, width = maps.shape[1:3]
        padded = F.pad(maps, (0, 0, 1, 1, 1, 1))
        maps = bias + sum(
            padded[:, y : y + height, x : x + width] @ kernel[y, x]
            for y in range(3)
            for x in range(3)
        )
        maps = maps.relu()
    units = pooled(maps).flatten(1)
    for name in ("fc1", "fc2", "predictions"):
        kernel, bias = named[name]
        units = units @ kernel + bias
        units = units.relu() if name != "predictions" else units
    return units


# Importing


def words(file, source, output, net="D", classes=CLASSES, **others):
    options = {
        "model": f"{net}_S256-512",
        "net": net,
        "layers": LAYERS[net],
        "crop": CROP,
        "classes": classes,
        "fc": FC,
        "width-divisor": DIVISOR,
        "file": file,
        "format": source,
        "output": output,
    } | others
    pairs = (word for key, value in options.items() for word in (f"--{key}", str(value)))
    return [*pairs, "--scale", "256", "512"]


def imported(file, source, folder, net="D", **others):
    output = folder / "out/w.safetensors"
    import_weights.main(words(file, source, output, net, **others))
    return load_weights(output)


def refused(file, source, folder, net="D", **others):
    """The message of the refusal, which must name the file and leave nothing behind."""
    output = folder / "out/w.safetensors"
    with pytest.raises(InputError) as error:
        import_weights.main(words(file, source, output, net, **others))
    assert not output.parent.exists() or not list(output.parent.iterdir())
    text = str(error.value)
    assert text.startswith(f"{file}: ")
    return text


def assert_same_logits(weights, images, expected):
    net, metadata = weights
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        logits = net.eval()(inputs.permute(0, 3, 1, 2))
        scale = expected.abs().max()
        assert expected.std(0).min() > 1e-2 * scale  # the images differ for every class
        assert (logits - expected).abs().max() < 1e-4 * scale


def saved(path, tensors, form):
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in tensors.items()}, path, {"format": "pt"})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    return path


@pytest.mark.parametrize("form", ["legacy", "zip", "safetensors"])
@pytest.mark.parametrize("kind", [TorchvisionNet, TimmNet])
@pytest.mark.parametrize("net", "DE")
def test_torchvision_and_timm(kind, net, form, images, tmp_path):
    theirs = filled(kind(net))
    file = saved(tmp_path / "w", theirs.state_dict(), form)
    ours = imported(file, {TorchvisionNet: "torchvision", TimmNet: "timm"}[kind], tmp_path, net)
    with torch.no_grad():
        assert_same_logits(ours, images, theirs(torchvision_inputs(images)))


@pytest.mark.parametrize("form", ["V1", "V2", "unpacked", "double"])
@pytest.mark.parametrize("net", "CDE")
def test_caffe(net, form, images, tmp_path):
    convs, fcs = random_parameters(net, first_scale=100)
    file = tmp_path / "w.caffemodel"
    file.write_bytes(caffemodel(convs, fcs, form))
    expected = run_channels_first(convs, fcs, caffe_inputs(images))
    assert_same_logits(imported(file, "caffe", tmp_path, net), images, expected)


@pytest.mark.parametrize("numbers", [(0, 3, 6), (1, 4, 6)])
@pytest.mark.parametrize("net", "DE")
def test_jcjohnson(net, numbers, images, tmp_path):
    convs, fcs = random_parameters(net, first_scale=100)
    layers = [n for n, m in TorchvisionNet(net).features.named_children() if hasattr(m, "weight")]
    named = dict(zip((f"features.{n}" for n in layers), convs.values(), strict=True))
    named |= {f"classifier.{n}": parameters for n, parameters in zip(numbers, fcs, strict=True)}
    tensors = {
        f"{name}.{part}": values
        for name, pair in named.items()
        for part, values in zip(("weight", "bias"), pair, strict=True)
    }
    file = saved(tmp_path / "w.pth", tensors, "legacy")
    expected = run_channels_first(convs, fcs, caffe_inputs(images))
    assert_same_logits(imported(file, "jcjohnson", tmp_path, net), images, expected)


@pytest.mark.parametrize("form", ["old", "new", "model", "3"])
@pytest.mark.parametrize("net", "DE")
def test_keras(net, form, images, tmp_path):
    named = keras_kernels(*random_parameters(net, first_scale=100))
    write_keras(tmp_path / "w.h5", named, form)
    ours = imported(tmp_path / "w.h5", "keras", tmp_path, net)
    assert_same_logits(ours, images, run_keras(named, images))


@pytest.mark.parametrize(
    "wrapped", ["module.{}", "_orig_mod.{}", "module._orig_mod.module.{}", "{0[0]}.module.{0[1]}"]
)
@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_wrappers_names_are_taken_off(wrapped, form, tmp_path):
    """DistributedDataParallel's and torch.compile's, of the whole net or of a part of it."""
    state = filled(TorchvisionNet("D")).state_dict()
    plain, _ = imported(saved(tmp_path / "plain", state, form), "torchvision", tmp_path / "in")
    split = "[" in wrapped
    named = {wrapped.format(k.split(".", 1) if split else k): v for k, v in state.items()}
    ours, _ = imported(saved(tmp_path / "w", named, form), "torchvision", tmp_path / "in")
    for name, values in ours.state_dict().items():
        assert torch.equal(values, plain.state_dict()[name])
    both = saved(tmp_path / "both", {**state, "module.classifier.6.bias": torch.zeros(7)}, form)
    text = refused(both, "torchvision", tmp_path)
    assert "it has classifier.6.bias with and without module" in text


def own_file(path, net="D", **metadata):
    """A file of this pipeline, as training writes it."""
    ours = ConvNet(Architecture(LAYERS[net], CLASSES, CROP, FC, DIVISOR), dropout=0.0)
    initialise(ours, "he", 3)
    trained = {"model": f"{net}_S256-512", "net": net, "S": [256, 512], "iterations": 370000}
    trained |= {"mean_rgb": [120.5, 118.25, 101.0], "choices": {"biases": "as-weights"}}
    trained |= {"code_fingerprint": "0123456789ab", "parent": None}
    save_weights(path, ours, 50.0, trained | metadata)
    return path


def test_weights_of_another_run_keep_their_mean_and_history(images, tmp_path):
    file = own_file(tmp_path / "w.safetensors")
    before, trained = load_weights(file)
    ours = imported(file, "own", tmp_path)
    with torch.no_grad():
        inputs = images.float() - torch.tensor([120.5, 118.25, 101.0])
        assert_same_logits(ours, images, before.eval()(inputs.permute(0, 3, 1, 2)))
    for key in ("mean_rgb", "iterations", "choices", "code_fingerprint"):
        assert ours[1][key] == trained[key]


def test_the_file_says_what_was_imported(tmp_path):
    file = tmp_path / "VGG_16.caffemodel"
    file.write_bytes(caffemodel(*random_parameters("D", 100), "V1"))
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    _, metadata = imported(file, "caffe", tmp_path, md5=md5.upper())
    assert metadata["imported"] == {
        "file": "VGG_16.caffemodel",
        "format": "caffe",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
        "input": "BGR 0–255 minus 103.939, 116.779, 123.68",
        "earlier": None,
    }
    assert metadata["mean_rgb"] == [123.68, 116.779, 103.939]
    assert (metadata["model"], metadata["net"], metadata["S"]) == ("D_S256-512", "D", [256, 512])
    assert metadata["choices"] == {}
    assert [metadata[key] for key in ("iterations", "parent", "parent_sha256")] == [None] * 3


def test_values_are_exact(tmp_path):
    """What needs no arithmetic is bit for bit; the folded kernel is rounded once from float64."""
    theirs = filled(TorchvisionNet("D")).state_dict()
    ours, metadata = imported(saved(tmp_path / "w", theirs, "legacy"), "torchvision", tmp_path)
    for name, values in ours.state_dict().items():
        if name != "features.0.weight":
            assert torch.equal(values, theirs[name])
    std = 255 * np.array(IMAGENET_STD)[:, None, None]
    folded = (theirs["features.0.weight"].numpy().astype(float) / std).astype(np.float32)
    assert np.array_equal(ours.features[0].weight.detach(), folded)
    assert metadata["mean_rgb"] == pytest.approx([123.675, 116.28, 103.53], abs=1e-12)


# Refusals


@pytest.mark.parametrize(
    ("source", "cure"),
    [("caffe", "robots.ox.ac.uk/~vgg/research/very_deep"), ("timm", "documentation")],
)
def test_a_missing_file_is_said_to_be_found_elsewhere(source, cure, tmp_path):
    assert cure in refused(tmp_path / "w", source, tmp_path)
    assert cure in refused(tmp_path / "w", source, tmp_path, md5="0" * 32)


def test_another_md5_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(b"abc")
    text = refused(tmp_path / "w", "caffe", tmp_path, md5="0" * 32)
    assert hashlib.md5(b"abc").hexdigest() in text


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return one_of_each(tmp_path_factory.mktemp("files"))


def one_of_each(folder):
    """One file of each format, holding a D."""
    convs, fcs = random_parameters("D", first_scale=100)
    (folder / "caffe").write_bytes(caffemodel(convs, fcs, "V1"))
    write_keras(folder / "keras", keras_kernels(convs, fcs), "new")
    write_keras(folder / "keras-3", keras_kernels(convs, fcs), "3")
    state = filled(TorchvisionNet("D")).state_dict()
    saved(folder / "torchvision", state, "zip")
    saved(folder / "torchvision-legacy", state, "legacy")
    saved(folder / "torchvision-safetensors", state, "safetensors")
    old = {
        re.sub(r"^classifier\.(0|3)", lambda m: f"classifier.{int(m[1]) + 1}", k): state[k]
        for k in state
    }
    saved(folder / "jcjohnson", old, "legacy")
    saved(folder / "timm", filled(TimmNet("D")).state_dict(), "zip")
    own_file(folder / "own")
    return folder


@pytest.mark.parametrize(
    ("file", "said", "hint"),
    [
        ("caffe", "torchvision", "caffe"),
        ("keras", "caffe", "keras"),
        ("torchvision", "keras", "PyTorch"),
        ("torchvision", "caffe", "torchvision"),
        ("torchvision", "timm", "format torchvision"),
        ("timm", "torchvision", "format timm"),
        ("timm", "jcjohnson", "format timm"),
        ("jcjohnson", "torchvision", "format jcjohnson"),
        ("own", "torchvision", "own"),
        ("torchvision-safetensors", "own", "torchvision"),
    ],
)
def test_the_wrong_format_is_refused_with_the_right_one(file, said, hint, files, tmp_path):
    assert hint in refused(files / file, said, tmp_path)


SOURCES = ("caffe", "keras", "torchvision", "torchvision-legacy", "torchvision-safetensors", "timm")


@pytest.mark.parametrize("file", [*SOURCES, "jcjohnson", "own"])
def test_another_net_is_refused(file, files, tmp_path):
    """D's file for E lacks layers, or has others; for A it has too many."""
    assert "net" in refused(files / file, file.split("-")[0], tmp_path, net="E")
    assert "net" in refused(files / file, file.split("-")[0], tmp_path, net="A")


@pytest.mark.parametrize("file", [*SOURCES, "jcjohnson", "own"])
def test_other_classes_are_refused(file, files, tmp_path):
    text = refused(files / file, file.split("-")[0], tmp_path, classes=1000)
    assert "7" in text
    assert "1000" in text
    assert "classes" in text


@pytest.mark.parametrize("source", ["torchvision", "bare", "keras", "caffe"])
def test_features_without_the_classifier_are_called_so(source, tmp_path):
    convs, _ = random_parameters("D", 100)
    state = filled(TorchvisionNet("D"))
    if source == "keras":
        named = keras_kernels(convs, [])
        write_keras(tmp_path / "w", named, "3")
    elif source == "caffe":
        (tmp_path / "w").write_bytes(caffemodel(convs, [], "V1"))
    else:
        parts = state.features if source == "bare" else state
        kept = {k: v for k, v in parts.state_dict().items() if not k.startswith("classifier")}
        saved(tmp_path / "w", kept, "zip")
    text = refused(tmp_path / "w", source.replace("bare", "torchvision"), tmp_path)
    assert "holds the features without the classifier, which has " in text


def test_files_of_keras_3_that_are_not_read_are_named_with_a_cure(tmp_path):
    write_keras3(tmp_path / "w.h5", keras_kernels(*random_parameters("D", 100)), names=False)
    for name in ("metadata.json", "config.json", "model.weights.h5"):
        with zipfile.ZipFile(tmp_path / "w.keras", "a") as archive:
            archive.writestr(name, "{}")
    for source in ("keras", "torchvision"):
        text = refused(tmp_path / "w.keras", source, tmp_path)
        assert "is a .keras archive" in text
        assert 'model.save("name.h5")' in text
    assert 'model.save("name.h5")' in refused(tmp_path / "w.h5", "keras", tmp_path)


def test_a_zip_with_a_wrong_checksum_is_refused(files, tmp_path):
    content = bytearray((files / "torchvision").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "w").write_bytes(content)
    assert "checksum" in refused(tmp_path / "w", "torchvision", tmp_path)


def test_an_extra_layer_is_refused(tmp_path):
    """All of D's layers are in E's Caffe file, with the right shapes."""
    (tmp_path / "w").write_bytes(caffemodel(*random_parameters("E", 100), "V2"))
    assert "conv3_4" in refused(tmp_path / "w", "caffe", tmp_path, net="D")


@pytest.mark.parametrize("file", [*SOURCES, "own"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(file, share, files, tmp_path):
    whole = (files / file).read_bytes()
    (tmp_path / "w").write_bytes(whole[: int(share * len(whole))])
    refused(tmp_path / "w", file.split("-")[0], tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_are_not_finite_are_refused(value, tmp_path):
    state = filled(TorchvisionNet("D")).state_dict()
    state["features.5.bias"] = state["features.5.bias"].double()
    state["features.5.bias"][2] = value
    file = saved(tmp_path / "w", state, "zip")
    assert "features.5.bias" in refused(file, "torchvision", tmp_path)


def test_mutated_files_are_read_or_refused_by_name(files, tmp_path):
    """A short form of `python -m tests.checks.fuzz_weights`."""
    contents = {path.name: path.read_bytes() for path in sorted(files.iterdir())}
    outcomes = fuzz_weights.run(contents, ARCHITECTURE, tmp_path, range(150))
    assert sum(count for outcome, count in outcomes.items() if "refused" in outcome) > 50


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("form", ["legacy", "zip"])
def test_code_in_a_pickle_does_not_run(form, tmp_path):
    marker = tmp_path / "marker"
    state = TorchvisionNet("D").state_dict() | {"evil": Malicious(marker)}
    file = saved(tmp_path / "w.pth", state, form)
    text = refused(file, "torchvision", tmp_path)
    assert "run code" in text
    assert "weights_only" not in text
    assert not marker.exists()
    torch.load(file, weights_only=False)
    assert marker.exists()  # so the file was dangerous


def test_claimed_sizes_take_no_memory(files, tmp_path):
    """Shapes of terabytes, which could not be read, and a zip that unfolds are refused unread."""
    named = keras_kernels(*random_parameters("D", 100))
    write_keras(tmp_path / "w.h5", named, "new")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["fc1/fc1/kernel:0"]
        file.create_dataset("fc1/fc1/kernel:0", (10**6, 10**6), "f4", chunks=(64, 64))
    state = TorchvisionNet("D").state_dict()
    state["classifier.0.weight"] = torch.zeros(1, 1).expand(10**6, 10**6)
    files_and_hints = [
        (tmp_path / "w.h5", "keras", "1000000 × 1000000"),
        (saved(tmp_path / "l.pth", state, "legacy"), "torchvision", "1000000 × 1000000"),
        (saved(tmp_path / "z.pth", state, "zip"), "torchvision", "1000000 × 1000000"),
    ]
    with (
        zipfile.ZipFile(files / "torchvision") as archive,
        zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as compressed,
    ):
        for name in archive.namelist():
            compressed.writestr(name, archive.read(name))
    files_and_hints.append((tmp_path / "c.pth", "torchvision", "compressed"))
    sides = message((7, message((1, varint(2**40)))), (5, bytes(8)))
    (tmp_path / "c").write_bytes(message((100, message((1, b"conv1_1"), (7, sides)))))
    files_and_hints.append((tmp_path / "c", "caffe", "2 values for the shape"))
    for file, source, hint in files_and_hints:
        assert hint in refused(file, source, tmp_path)


def test_links_in_a_keras_file_are_not_followed(tmp_path):
    convs, fcs = random_parameters("D", 100)
    write_keras(tmp_path / "other.h5", keras_kernels(convs, fcs), "new")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["fc1"] = h5py.ExternalLink("other.h5", "/fc1")
    assert "block1_conv1" in refused(tmp_path / "w.h5", "keras", tmp_path)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        layout = h5py.VirtualLayout((FC,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "fc1/fc1/bias:0", (FC,))
        file.create_virtual_dataset("fc1/fc1/bias:0", layout)
    assert "refers to other files" in refused(tmp_path / "v.h5", "keras", tmp_path)


def test_another_S_is_refused(tmp_path):
    file = own_file(tmp_path / "w", S=[256, 256])
    assert "S = [256, 256]" in refused(file, "own", tmp_path)


def test_the_command_fails_in_one_line_and_leaves_nothing(files, tmp_path):
    output = tmp_path / "out/w.safetensors"
    command = [sys.executable, "-m", "workflow_scripts.import_weights"]
    command += words(files / "torchvision", "torchvision", output, net="E")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {files / 'torchvision'}: ")
    assert result.stderr.count("\n") == 1
    assert not output.parent.exists()


# Exporting


def test_a_full_size_D_is_torchvisions_vgg16(tmp_path):
    ours = ConvNet(Architecture(LAYERS["D"]), dropout=0.0)
    initialise(ours, "he", 1)
    trained = {"model": "D_S256-512", "net": "D", "S": [256, 512], "iterations": 370000}
    trained |= {"mean_rgb": [122.5, 114.0, 101.25], "choices": {"resize_filter": "bilinear"}}
    save_weights(tmp_path / "w.safetensors", ours, 1.0, trained)
    file = tmp_path / "vgg16.safetensors"
    export_weights.main(["--weights", str(tmp_path / "w.safetensors"), "--output", str(file)])
    described = stated(file)
    with torch.device("meta"):
        theirs = torchvision.models.vgg16().eval()
    theirs.load_state_dict(load_file(file), assign=True)
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
    preprocessing = described["preprocessing"]
    normalise = transforms.Normalize(preprocessing["mean"], preprocessing["std"])
    with torch.no_grad():
        logits = theirs(normalise(transforms.ToTensor()(image))[None])
        inputs = torch.from_numpy(image).float() - torch.tensor(trained["mean_rgb"])
        expected = ours.eval()(inputs.permute(2, 0, 1)[None])
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    assert preprocessing["resize"] == 384
    assert preprocessing["crop"] == 224
    assert preprocessing["interpolation"] == "bilinear"
    assert "1000" in described["classes"]


def stated(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        texts = file.metadata()
    assert texts.pop("format") == "pt"
    return {key: json.loads(text) for key, text in texts.items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_an_export_comes_back_with_its_mean(suffix, images, tmp_path):
    file = own_file(tmp_path / "w")
    before, metadata = load_weights(file)
    exported = tmp_path / f"D.{suffix}"
    export_weights.main(["--weights", str(file), "--output", str(exported)])
    after = imported(exported, "torchvision", tmp_path)
    assert after[1]["mean_rgb"] == pytest.approx(metadata["mean_rgb"], abs=1e-12)
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        assert_same_logits(after, images, before.eval()(inputs.permute(0, 3, 1, 2)))


def test_an_export_needs_a_name_that_says_its_form(tmp_path):
    with pytest.raises(InputError, match=r"\.safetensors or \.pth"):
        export_weights.main(["--weights", "w", "--output", str(tmp_path / "w.onnx")])


def test_imported_weights_are_evaluated_and_exported_with_their_errors(shard_paths, tmp_path):
    convs, fcs = random_parameters("D", first_scale=100, classes=10)
    (tmp_path / "w.caffemodel").write_bytes(caffemodel(convs, fcs, "V1"))
    weights, posteriors = tmp_path / "w.safetensors", tmp_path / "p.parquet"
    import_weights.main(words(tmp_path / "w.caffemodel", "caffe", weights, classes=10))
    options = ["--weights", str(weights), "--shards", *shard_paths("val"), "--device", "cpu"]
    options += ["--method", "center", "--scale", "256", "--output", str(posteriors)]
    evaluate.main(options)
    assert read_metadata(posteriors)["iterations"] is None
    options = ["--weights", str(weights), "--posteriors", str(posteriors)]
    export_weights.main([*options, "--output", str(tmp_path / "x.pth")])
    described = json.loads((tmp_path / "x.json").read_text())
    assert described["imported"]["file"] == "w.caffemodel"
    (errors,) = described["errors"]
    assert (errors["method"], errors["Q"], errors["images"]) == ("center", 256, 24)
    assert errors["top1_error"] >= errors["top5_error"] > 0
    other = own_file(tmp_path / "other")
    with pytest.raises(InputError, match="other weights"):
        export_weights.main(
            ["--weights", str(other), "--posteriors", str(posteriors), "--output", "x.pth"]
        )
