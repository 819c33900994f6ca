"""Exported weights: torchvision's own nets give with them the logits of ours."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torchvision import transforms

from tests.helpers.released_files import caffemodel, imported, own_file, words
from tests.helpers.released_nets import LAYERS, assert_same_logits, random_parameters
from workflow_scripts import evaluate, export_weights, import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.parquet import read_metadata
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import load_weights, save_weights


@pytest.mark.slow
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
