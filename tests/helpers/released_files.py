"""Weights files of each source, written by code of their own, and imports of them."""

from __future__ import annotations

import re
import struct

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.helpers.released_nets import (
    CLASSES,
    CROP,
    DIVISOR,
    FC,
    LAYERS,
    TimmNet,
    TorchvisionNet,
    filled,
    keras_kernels,
    random_parameters,
)
from workflow_scripts import import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import load_weights, save_weights


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


def saved(path, tensors, form):
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in tensors.items()}, path, {"format": "pt"})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    return path


def own_file(path, net="D", **metadata):
    """A file of this pipeline, as training writes it."""
    ours = ConvNet(Architecture(LAYERS[net], CLASSES, CROP, FC, DIVISOR), dropout=0.0)
    initialise(ours, "he", 3)
    trained = {"model": f"{net}_S256-512", "net": net, "S": [256, 512], "iterations": 370000}
    trained |= {"mean_rgb": [120.5, 118.25, 101.0], "choices": {"biases": "as-weights"}}
    trained |= {"code_fingerprint": "0123456789ab", "parent": None}
    save_weights(path, ours, 50.0, trained | metadata)
    return path


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
