"""Imported weights: nets built and run as the source does give the logits of ours."""

from __future__ import annotations

import argparse
import hashlib
import logging

import numpy as np
import pytest
import torch

from tests.helpers.released_files import caffemodel, imported, own_file, refused, saved, write_keras
from tests.helpers.released_nets import (
    IMAGENET_STD,
    TimmNet,
    TorchvisionNet,
    assert_same_logits,
    caffe_inputs,
    filled,
    keras_kernels,
    random_parameters,
    run_channels_first,
    run_keras,
    torchvision_inputs,
)
from workflow_scripts.vgg.nets.weights import load_weights


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
    "wrapped",
    ["module.{}", "_orig_mod.{}", "module._orig_mod.module.{}", "{0[0]}.module.{0[1]}", "model.{}",
     "model._orig_mod.{}", "module.model.{}", "model.model.{}"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_wrappers_names_are_taken_off(wrapped, form, tmp_path):
    """DistributedDataParallel's and torch.compile's, of the whole net or of a part of it, and a
    LightningModule's, of the whole net.
    """
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


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("pack", [
    lambda state, other: {"model": state, "optimizer": {"state": {}}, "epoch": 3},
    lambda state, other: {"model": state, "args": argparse.Namespace(lr=0.1, opt=None)},
    lambda state, other: {"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3},
    lambda state, other: {"state_dict": state, "state_dict_ema": other, "arch": "vgg16"},
    lambda state, other: {"model": {"name": "vgg16"}, "model_state_dict": state},
    lambda state, other: {"model_ema": other, "model": state},
    lambda state, other: {"model_ema": {f"module.{k}": v for k, v in state.items()}
                          | {"n_averaged": torch.tensor(7)}},
])  # fmt: skip
def test_the_weights_of_a_checkpoint_are_found(pack, form, tmp_path):
    """Of torchvision's references, DeiT, Lightning, timm, and PyTorch's tutorials."""
    state, other = (filled(TorchvisionNet("D")).state_dict() for _ in range(2))
    other = {name: values + 1 for name, values in other.items()}
    plain, _ = imported(saved(tmp_path / "plain", state, form), "torchvision", tmp_path / "in")
    file = saved(tmp_path / "w.pth", pack(state, other), form)
    ours, _ = imported(file, "torchvision", tmp_path / "in")
    for name, values in ours.state_dict().items():
        assert torch.equal(values, plain.state_dict()[name])


def test_which_of_two_weights_is_read_is_told_once(tmp_path, caplog):
    state = filled(TorchvisionNet("D")).state_dict()
    file = saved(tmp_path / "w.pth", {"model_ema": state, "model": state}, "zip")
    with caplog.at_level(logging.INFO):
        imported(file, "torchvision", tmp_path)
    told = [text for text in caplog.messages if "checkpoint" in text]
    assert told == [f"{file}: of the checkpoint model is read, not model_ema"]


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
