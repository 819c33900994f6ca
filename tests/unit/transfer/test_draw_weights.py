"""The command that draws weights of a net that has learned nothing."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.helpers.box_windows import LAYERS, MEAN, net_of
from tests.helpers.refusals import refusal
from tests.helpers.released_files import caffemodel, words
from tests.helpers.released_nets import random_parameters
from workflow_scripts import draw_weights, import_weights
from workflow_scripts.vgg.core.files import InputError
from workflow_scripts.vgg.core.randomness import model_seed
from workflow_scripts.vgg.nets.convnets import Architecture, ConvNet
from workflow_scripts.vgg.nets.initialisation import initialise
from workflow_scripts.vgg.nets.weights import load_weights, read_metadata, save_weights

SCALE = 32.0


def trained(path, net=None, **changes):
    """A file of weights as a training leaves it."""
    metadata = {
        "model": "A_S256", "net": "A", "S": 256, "mean_rgb": MEAN, "iterations": 751,
        "seed": 4, "parent": None, "choices": {"initialisation": "normal-std-0.01"},
        "code_fingerprint": "c",
    } | changes  # fmt: skip
    save_weights(path, net or net_of("classes"), SCALE, metadata)
    return path


def drawn(folder, like, *more):
    draw_weights.main(["--like", str(like), "--output", str(folder / "r.safetensors"), *more])
    return load_file(folder / "r.safetensors"), read_metadata(folder / "r.safetensors")


@pytest.fixture
def like(tmp_path):
    return trained(tmp_path / "w.safetensors")


@pytest.mark.parametrize("way", ["normal-std-0.01", "he", "dirac"])
def test_weights_are_those_that_a_training_from_scratch_begins_with(way, like, tmp_path):
    found, _ = drawn(tmp_path, like, "--initialisation", way, "--seed", "3")
    net = ConvNet(Architecture(LAYERS, 10, 64, 16, 16))
    initialise(net, way, model_seed(3, "A_S256"))
    expected = {name: values.numpy() for name, values in net.state_dict().items()}
    expected["features.0.weight"] = expected["features.0.weight"] / np.float32(SCALE)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_the_papers_weights_have_a_standard_deviation_of_a_hundredth(tmp_path):
    wide = net_of("classes", fc=256)
    like = trained(tmp_path / "w.safetensors", wide)
    found, _ = drawn(tmp_path, like)
    for name, values in found.items():
        if name.endswith("bias"):
            assert not values.any()
        elif values.size > 10_000:
            assert values.std() == pytest.approx(0.01, rel=0.05)
            assert abs(values.mean()) < 5e-4
    first = found["features.0.weight"] * SCALE
    assert first.std() == pytest.approx(0.01, rel=0.3)


def test_what_was_learned_has_no_part(like, tmp_path):
    one, _ = drawn(tmp_path, like)
    (tmp_path / "other").mkdir()
    other, _ = drawn(tmp_path, trained(tmp_path / "other/w.safetensors", net_of("classes", seed=9)))
    learned = load_file(like)
    for name, values in one.items():
        assert np.array_equal(values, other[name])
        if name.endswith("weight"):
            assert not np.allclose(values, learned[name])


def test_seeds_and_models_have_weights_of_their_own(like, tmp_path):
    plain, _ = drawn(tmp_path, like)
    seeded, _ = drawn(tmp_path, like, "--seed", "1")
    named, _ = drawn(tmp_path, trained(tmp_path / "w.safetensors", model="A_S384"))
    for other in (seeded, named):
        assert not np.allclose(other["classifier.3.weight"], plain["classifier.3.weight"])


def test_a_file_says_that_it_is_random_and_sees_the_same_input(like, tmp_path):
    _, told = drawn(tmp_path, like, "--seed", "2", "--initialisation", "he")
    assert {key: told[key] for key in ("model", "net", "S", "mean_rgb", "input_scale")} == {
        "model": "A_S256", "net": "A", "S": 256, "mean_rgb": MEAN, "input_scale": SCALE,
    }  # fmt: skip
    assert (told["iterations"], told["random"], told["seed"]) == (0, True, 2)
    assert told["choices"] == {"initialisation": "he"}
    assert told["architecture"] == read_metadata(like)["architecture"]
    net, metadata = load_weights(tmp_path / "r.safetensors")
    assert metadata["mean_rgb"] == MEAN
    with torch.inference_mode():
        assert torch.isfinite(net(torch.zeros(1, 3, 64, 64))).all()


def test_the_same_command_writes_the_same_bytes(like, tmp_path):
    contents = []
    for _ in range(2):
        drawn(tmp_path, like)
        contents.append((tmp_path / "r.safetensors").read_bytes())
    assert contents[0] == contents[1]


def test_imported_weights_have_random_ones_too(tmp_path):
    convs, fcs = random_parameters("D", first_scale=100)
    (tmp_path / "w.caffemodel").write_bytes(caffemodel(convs, fcs, "V1"))
    import_weights.main(words(tmp_path / "w.caffemodel", "caffe", tmp_path / "w.safetensors"))
    found, told = drawn(tmp_path, tmp_path / "w.safetensors", "--initialisation", "he")
    before = read_metadata(tmp_path / "w.safetensors")
    assert found.keys() == load_file(tmp_path / "w.safetensors").keys()
    assert told["mean_rgb"] == before["mean_rgb"]
    assert told["S"] == before["S"] == [256, 512]
    assert (told["model"], told["random"], "imported" in told) == ("D_S256-512", True, False)


def test_nets_of_boxes_and_files_that_are_no_weights_are_refused(tmp_path):
    boxes = trained(tmp_path / "b.safetensors", net_of("box-pcr"))
    (tmp_path / "out").mkdir()
    for path, complaint in (
        (boxes, f"{boxes}: predicts boxes; give weights of a classifier"),
        (tmp_path / "none.safetensors", f"{tmp_path}/none.safetensors: "),
    ):
        with pytest.raises(InputError) as raised:
            drawn(tmp_path / "out", path)
        assert str(raised.value).startswith(complaint)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_refusal_ends_the_process_with_one_line_and_leaves_nothing(tmp_path):
    boxes = trained(tmp_path / "b.safetensors", net_of("box-scr"))
    message = refusal("draw_weights", "--like", boxes, output=tmp_path / "out/r.safetensors")
    assert message.startswith(f"error: {boxes}: predicts boxes")
