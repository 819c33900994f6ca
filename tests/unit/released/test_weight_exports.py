"""Exported weights: torchvision, timm, plain PyTorch, ONNX Runtime give our posteriors with them.

The code that loads them is that of the model card, run as it stands there.
"""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tests.helpers.exported_nets import (
    SMALL,
    TALL,
    WIDE,
    central_posteriors,
    code_of_card,
    exported,
    photograph,
    run_card,
    saved_net,
)
from tests.helpers.released_files import imported, own_file
from tests.helpers.released_nets import LAYERS, assert_same_logits
from workflow_scripts import import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.evaluation.methods import DenseConvNet
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.library_nets import built
from workflow_scripts.vgg.nets.released.export_forms import (
    library_name,
    normalised_state,
    plain_net,
    timm_state,
)
from workflow_scripts.vgg.nets.released.onnx_files import write_onnx
from workflow_scripts.vgg.nets.released.reading import read_library_net
from workflow_scripts.vgg.nets.weights import load_weights
from workflow_scripts.vgg.results.model_card import crop_share

NORMALISED_A = LAYERS["A"].replace("conv", "BN conv").removeprefix("BN ").replace(" |", " BN |")
NORMALISED_A = NORMALISED_A.replace("| BN", "|") + " BN"
AVERAGED = f"{LAYERS['A']} | GAP"
ANY = {**LAYERS, "A with BN": NORMALISED_A, "A with GAP": AVERAGED}
FULL = {"crop": 224, "fc": 4096, "width_divisor": 1, "classes": 1000}
ODD = ("C", "A-LRN", "B-5x5")  # of layers that torchvision does not put together
FILES = {"model.safetensors", "config.json", "README.md"}
NAMED = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}


def test_batch_normalisation_is_behind_every_conv_here():
    words = NORMALISED_A.replace("|", "").split()
    assert words[1::2] == ["BN"] * 8
    assert [word for word in words if word != "BN"] == LAYERS["A"].replace("|", "").split()


@pytest.mark.parametrize("net", ["D", "C", "A-LRN", "B-5x5", "A with BN", "A with GAP"])
def test_every_card_s_code_gives_our_posteriors(net, tmp_path):
    """Of small nets: torchvision builds those of 3×3 convs, plain PyTorch all."""
    weights = tmp_path / "w.safetensors"
    saved_net(weights, ANY[net])
    folder = exported(weights, tmp_path / "D")
    for height, width in (WIDE, TALL):
        photo = photograph(folder, height, width)
        expected = central_posteriors(weights, photo, 110, tmp_path)  # 384 · 64 / 224
        assert np.ptp(expected) > 0.05
        left = run_card(folder)
        tools = {"PyTorch alone"} | ({"torchvision"} if net not in ODD else set())
        assert set(left) == {"Input", *tools}
        for tool in tools:
            (found,) = left[tool]
            np.testing.assert_allclose(found["posteriors"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["box-scr", "box-pcr"])
def test_a_net_of_boxes_comes_out_whole(head, tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["D"], head=head)
    folder = exported(weights, tmp_path / "D")
    photograph(folder, *WIDE)
    left = run_card(folder)
    (found,) = left["PyTorch alone"]
    net, metadata = load_weights(weights)
    with Image.open(folder / "photo.jpg") as image:
        image = image.resize((round(217 * 110 / 150), 110), Image.Resampling.BILINEAR)
    x = (image.size[0] - 64) // 2
    pixels = torch.tensor(np.array(image)[23:87, x : x + 64]) - torch.tensor(metadata["mean_rgb"])
    with torch.no_grad():
        expected = net.eval()(pixels.permute(2, 0, 1)[None])
    assert expected.shape == (1, 4 if head == "box-scr" else 28)
    apart = (found["boxes"] - expected).abs().max()
    assert apart < 1e-5 * expected.abs().max()


@pytest.mark.slow
def test_timm_and_torchvision_load_a_net_of_full_size(tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, ANY["D"], **FULL)
    folder = exported(weights, tmp_path / "D")
    photo = photograph(folder, 300, 300)  # at a smallest side of 384 everybody rounds alike
    expected = central_posteriors(weights, photo, 384, tmp_path)
    left = run_card(folder)
    assert np.ptp(expected) > 1e-2
    tools = ["timm", "timm", "torchvision", "PyTorch alone"]
    answers = [(tool, own["posteriors"]) for tool in left if tool != "Input" for own in left[tool]]
    assert [tool for tool, _ in answers] == tools
    for _, found in answers:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    whole, checkpoint = (names["net"] for names in left["timm"])
    assert type(whole) is type(timm.create_model("vgg16", device="meta"))
    assert type(left["torchvision"][0]["net"]) is torchvision.models.VGG
    # timm's own transform, from the folder's configuration.
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(whole))
    with Image.open(folder / "photo.jpg") as image:
        images = transform(image)[None]
    torch.testing.assert_close(images, left["Input"][0]["images"], rtol=0, atol=1e-6)
    # Larger images are tested densely.
    larger = torch.rand(1, 3, 256, 288, generator=torch.Generator().manual_seed(1))
    _, metadata = load_weights(weights)
    mean = torch.tensor(metadata["mean_rgb"]).view(3, 1, 1)
    std = torch.tensor(whole.pretrained_cfg["std"]).view(3, 1, 1)
    with torch.inference_mode():
        scores = checkpoint((larger - mean / 255) / std)
        dense = DenseConvNet(load_weights(weights)[0].eval())((255 * larger) - mean).mean((2, 3))
    assert (scores - dense).abs().max() < 1e-4 * dense.abs().max()

    # Without the second copy of the weights.
    without = exported(weights, tmp_path / "without", "--no-timm")
    names = {path.name for path in folder.iterdir()} - {"photo.jpg"}
    assert names - {path.name for path in without.iterdir()} == {"timm.safetensors"}
    assert len(code_of_card(without)["timm"]) == 1
    for large in tmp_path.rglob("*.safetensors"):
        large.unlink()


@pytest.mark.parametrize("with_bn", [False, True], ids=["plain", "BN"])
@pytest.mark.parametrize("net", NAMED)
def test_the_libraries_nets_have_the_names_and_shapes_of_ours(net, with_bn):
    layers = LAYERS[net]
    if with_bn:
        layers = " ".join(f"{word} BN" if word != "|" else word for word in layers.split())
    with torch.device("meta"):
        ours = ConvNet(Architecture(layers, classes=11))
        name = library_name(ours)
        theirs = getattr(torchvision.models, name)(num_classes=11, init_weights=False)
    assert name == NAMED[net] + "_bn" * with_bn
    assert shapes(theirs.state_dict()) == shapes(ours.state_dict())


def shapes(state):
    return {name: tuple(values.shape) for name, values in state.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": LAYERS["C"]},
        {"layers": LAYERS["A-LRN"]},
        {"layers": LAYERS["B-5x5"]},
        {"layers": LAYERS["D"].replace("conv3-64 conv3-64", "conv3-64 conv3-32")},
        {"layers": LAYERS["A"].replace("conv3-64", "conv3-64 BN")},
        {"layers": AVERAGED},
        {"crop": 192},
        {"fc": 2048},
        {"width_divisor": 2},
    ],
)
def test_other_nets_have_no_name_in_the_libraries(changes):
    with torch.device("meta"):
        assert library_name(ConvNet(Architecture(**{"layers": LAYERS["D"]} | changes))) is None


@pytest.mark.parametrize("resize", [*range(96, 600, 7), 224, 256, 384])
@pytest.mark.parametrize("crop", [64, 96, 224])
def test_timm_rescales_to_the_side_that_is_meant(crop, resize):
    resize = max(crop, resize)
    made = timm.data.create_transform((3, crop, crop), crop_pct=crop_share(crop, resize))
    (size,) = {step.size for step in made.transforms if type(step).__name__ == "Resize"}
    assert size == resize


def test_an_export_comes_back_with_its_mean(images, tmp_path):
    file = own_file(tmp_path / "w")
    before, metadata = load_weights(file)
    folder = exported(file, tmp_path / "D")
    after = imported(folder / "model.safetensors", "torchvision", tmp_path)
    assert after[1]["mean_rgb"] == pytest.approx(metadata["mean_rgb"], abs=1e-12)
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        assert_same_logits(after, images, before.eval()(inputs.permute(0, 3, 1, 2)))


def import_of(file, layers, folder, source="torchvision", **sizes):
    """The net of an export that is imported as another source's weights are."""
    output, sizes = folder / "back.safetensors", SMALL | sizes
    options = {"model": "m", "net": "n", "layers": layers, "format": source, "file": file}
    options |= {"output": output} | {k.replace("_", "-"): v for k, v in sizes.items()}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    import_weights.main([*words, "--scale", "256", "512"])
    return load_weights(output)


def stating(file, **texts):
    """The same file with other texts in place of its own; None takes one out."""
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata() | {k: json.dumps(v) for k, v in texts.items()}
    sums = {"tensors_checksum", "header_checksum"}
    kept = {k: v for k, v in metadata.items() if v != "null" and k not in sums}
    save_file(load_file(file), file, kept)


@pytest.mark.parametrize("lrn", ["krizhevsky", "caffe"])
@pytest.mark.parametrize("older", [False, True])
def test_an_export_comes_back_with_its_response_normalisation(older, lrn, images, tmp_path):
    """Older exports name the constants, not the whole architecture."""
    saved_net(tmp_path / "w.safetensors", LAYERS["A-LRN"], lrn=lrn)
    file = exported(tmp_path / "w.safetensors", tmp_path / "out") / "model.safetensors"
    if older:
        stating(file, architecture=None, lrn=lrn)
    net, metadata = import_of(file, LAYERS["A-LRN"], tmp_path)
    assert net.architecture.lrn == lrn
    before = load_weights(tmp_path / "w.safetensors")[0].eval()
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        assert_same_logits((net, metadata), images, before(inputs.permute(0, 3, 1, 2)))
    stating(file, architecture=None, lrn="lenet")
    with pytest.raises(InputError, match="states lrn lenet; there are krizhevsky, caffe"):
        import_of(file, LAYERS["A-LRN"], tmp_path)


def test_an_export_with_a_mean_of_the_map_comes_back_with_its_crop_alone(tmp_path):
    """Its shapes are the same at any crop."""
    saved_net(tmp_path / "w.safetensors", AVERAGED)
    file = exported(tmp_path / "w.safetensors", tmp_path / "out") / "model.safetensors"
    assert import_of(file, AVERAGED, tmp_path)[0].architecture.crop == 64
    with pytest.raises(InputError, match=r"model\.safetensors: its net has crop 64, not 96: give"):
        import_of(file, AVERAGED, tmp_path, crop=96)


@pytest.mark.parametrize(("head", "numbers"), [("box-scr", 4), ("box-pcr", 28)])
def test_an_export_of_boxes_is_no_classifier(head, numbers, tmp_path):
    saved_net(tmp_path / "w.safetensors", LAYERS["A"], head=head)
    file = exported(tmp_path / "w.safetensors", tmp_path / "out") / "model.safetensors"
    message = f"its net has head {head}, not classes: boxes are read from weights of this"
    with pytest.raises(InputError, match=message):
        import_of(file, LAYERS["A"], tmp_path, classes=numbers)


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_an_export_keeps_its_mean_whatever_reads_it(source, tmp_path):
    """As the library's net of that name, too, whose own mean is another."""
    text = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "crop": 224}
    net = built(f"{source}/resnet18", 5)
    metadata = {"format": "pt", "preprocessing": json.dumps(text), "by_hand": "no JSON"}
    save_file(net.state_dict(), tmp_path / "w.safetensors", metadata)
    ours, given = read_library_net(tmp_path / "w.safetensors", f"{source}/resnet18")
    assert given.mean_rgb == pytest.approx((102, 127.5, 153))
    assert ours.architecture.std_rgb == pytest.approx((51, 63.75, 76.5))
    save_file(net.state_dict(), tmp_path / "v.safetensors", metadata
              | {"preprocessing": json.dumps(text | {"crop": 96})})  # fmt: skip
    with pytest.raises(InputError, match="its net has crop 96, not 224"):
        read_library_net(tmp_path / "v.safetensors", f"{source}/resnet18")


def test_an_export_in_timms_form_comes_back_with_its_mean(tmp_path):
    net = saved_net(tmp_path / "w.safetensors", LAYERS["D"])
    preprocessing = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "crop": 64}
    save_file(
        timm_state(net, normalised_state(net)),
        tmp_path / "timm.safetensors",
        {"format": "pt", "preprocessing": json.dumps(preprocessing)},
    )
    _, metadata = import_of(tmp_path / "timm.safetensors", LAYERS["D"], tmp_path, "timm")
    assert metadata["mean_rgb"] == pytest.approx([102, 127.5, 153])


def test_a_file_that_was_exported_before_comes_back_too(images, tmp_path):
    """Of torch.save, with a JSON file beside it."""
    file = own_file(tmp_path / "w")
    net, metadata = load_weights(file)
    torch.save(normalised_state(net), tmp_path / "D.pth")
    mean, std = [value / 255 for value in metadata["mean_rgb"]], [0.229, 0.224, 0.225]
    (tmp_path / "D.json").write_text(json.dumps({"preprocessing": {"mean": mean, "std": std}}))
    after = imported(tmp_path / "D.pth", "torchvision", tmp_path)
    with torch.no_grad():
        inputs = images.float() - torch.tensor(metadata["mean_rgb"])
        assert_same_logits(after, images, net.eval()(inputs.permute(0, 3, 1, 2)))


# ONNX


@pytest.mark.slow
@pytest.mark.parametrize("net", ["A-LRN", "C", "D", "A with BN", "A with GAP"])
def test_onnx_runtime_gives_our_posteriors(net, tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, ANY[net])
    folder = exported(weights, tmp_path / "D", "--onnx")
    photo = photograph(folder, *WIDE)
    expected = central_posteriors(weights, photo, 110, tmp_path)
    (left,) = run_card(folder)["ONNX Runtime"]
    np.testing.assert_allclose(left["posteriors"], expected, rtol=0, atol=1e-5)
    session, images = left["session"], left["images"].numpy()
    several = np.concatenate([images, images[:, :, ::-1], images[:, :, :, ::-1], images])
    logits, posteriors = session.run(["logits", "posteriors"], {"images": several})
    assert logits.shape == posteriors.shape == (4, 7)
    np.testing.assert_allclose(posteriors[[0, 3]], np.repeat(expected, 2, 0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(torch.tensor(logits).softmax(1), posteriors, rtol=0, atol=1e-6)
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["preprocessing"])["crop"] == 64
    content = (folder / "model.onnx").read_bytes()
    assert not [word for word in (b"site-packages", b"workflow_scripts") if word in content]


@pytest.mark.slow
def test_the_same_weights_give_the_same_files_in_any_folder(tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"], head="box-pcr")
    folders = [exported(weights, tmp_path / name, "--onnx") for name in ("one", "two", "one")]
    first, second, again = ({p.name: p.read_bytes() for p in f.iterdir()} for f in folders)
    assert first == second == again
    assert set(first) == {*FILES, "model.onnx"}


@pytest.mark.slow
def test_an_onnx_file_of_other_answers_is_not_kept(tmp_path):
    saved_net(tmp_path / "w.safetensors", LAYERS["A"])
    net, metadata = load_weights(tmp_path / "w.safetensors")
    state = normalised_state(net)
    state["classifier.6.bias"] = state["classifier.6.bias"] + torch.linspace(0, 1e-3, 7)
    plain = plain_net(net, state)
    with pytest.raises(InputError, match=r"^m\.onnx: ONNX Runtime's answers are .* than 1e-05"):
        write_onnx(tmp_path / "m.onnx", net, plain, metadata["mean_rgb"], {})
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_library_that_is_not_there_is_named(library, monkeypatch, tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"])
    monkeypatch.setitem(sys.modules, library, None)
    told = rf"{library} is not installed .*pip install -r envs/requirements-extra.txt"
    with pytest.raises(InputError, match=told):
        exported(weights, tmp_path / "A", "--onnx")
    assert not (tmp_path / "A").exists()
    exported(weights, tmp_path / "A")


# The folder


def test_a_new_export_takes_the_place_of_an_old_one(tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"])
    folder = exported(weights, tmp_path / "A")
    (folder / "timm.safetensors").write_text("of an export with more files")
    first = (folder / "model.safetensors").read_bytes()
    saved_net(weights, LAYERS["C"])
    exported(weights, folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "model.safetensors").read_bytes() != first


def test_other_peoples_files_are_not_deleted(tmp_path):
    weights = tmp_path / "w.safetensors"
    saved_net(weights, LAYERS["A"])
    folder = exported(weights, tmp_path / "A")
    before = shutil.copytree(folder, tmp_path / "copy")
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"A: holds thesis\.tex, which would be lost"):
        exported(weights, folder)
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert {p.name for p in folder.iterdir()} == {p.name for p in before.iterdir()} | {"thesis.tex"}
    with pytest.raises(InputError, match=r"w\.safetensors: is a file; give the name of a folder"):
        exported(weights, weights)


def test_a_layer_that_pytorch_lacks_is_an_error():
    with torch.device("meta"):
        net = ConvNet(Architecture(LAYERS["A"]))
    net.features[1] = nn.Hardtanh()
    with pytest.raises(TypeError, match="Hardtanh"):
        plain_net(net, net.state_dict())
