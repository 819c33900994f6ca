"""Weights files that are wrong, damaged or dangerous are refused by name."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.checks import fuzz_weights
from tests.helpers.released_files import (
    caffemodel,
    message,
    own_file,
    refused,
    saved,
    varint,
    words,
    write_keras,
    write_keras3,
)
from tests.helpers.released_nets import (
    ARCHITECTURE,
    FC,
    ROOT,
    TorchvisionNet,
    filled,
    keras_kernels,
    random_parameters,
)


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


@pytest.mark.slow
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


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("numbers", [torch.zeros(3), np.zeros(3)])
def test_a_plain_pickle_is_called_so_with_a_safe_way(numbers, protocol, tmp_path):
    with open(tmp_path / "w.pkl", "wb") as file:
        pickle.dump({"features.0.weight": numbers}, file, protocol)
    text = refused(tmp_path / "w.pkl", "torchvision", tmp_path)
    assert "it is a pickle that torch.save did not write" in text
    assert "could run code, so it was not opened" in text
    assert "torch.save(net.state_dict(), 'name.pth')" in text
    assert not [word for word in ("damaged", "weights_only", "cut short") if word in text]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_newer_pickle_protocol_is_called_so(zipped, tmp_path):
    """What torch.load says of it is an advice to load it unsafely."""
    state = TorchvisionNet("D").state_dict()
    others = {"_use_new_zipfile_serialization": zipped}
    torch.save(state, tmp_path / "w", pickle_protocol=4, **others)
    text = refused(tmp_path / "w", "torchvision", tmp_path)
    assert "is written by a newer pickle protocol, which is not read; write it by torch" in text


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_no_message_advises_to_load_a_file_unsafely(share, files, tmp_path):
    content = (files / "torchvision-legacy").read_bytes()
    end = int(share * content.index(b"classifier.6.bias"))  # inside of the pickle
    (tmp_path / "w").write_bytes(content[:end] + b"\xff" * 99)
    text = refused(tmp_path / "w", "torchvision", tmp_path)
    assert "damaged" in text
    assert "weights_only" not in text


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>\n" * 9, b"\x13\xf7\x05\xaa" * 99])
def test_what_is_no_weights_file_is_called_so(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    text = refused(tmp_path / "w.pth", "caffe", tmp_path)
    for word in ("is no weights file", "PyTorch", "HDF5", "safetensors", "Caffe's"):
        assert word in text
    assert "robots.ox.ac.uk" not in text


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"model": {"epoch": 3}}, [torch.zeros(3)]])
def test_a_file_without_a_state_dict_is_told_what_was_looked_for(content, tmp_path):
    torch.save(content, tmp_path / "w")
    text = refused(tmp_path / "w", "torchvision", tmp_path)
    assert "no state dict: a dictionary of dense tensors was expected" in text
    assert "state_dict, model, model_state_dict" in text


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path):
    content: dict = {}
    content["model"] = content
    torch.save(content, tmp_path / "w")
    assert "no state dict" in refused(tmp_path / "w", "torchvision", tmp_path)


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


@pytest.mark.slow
def test_the_command_fails_in_one_line_and_leaves_nothing(files, tmp_path):
    output = tmp_path / "out/w.safetensors"
    command = [sys.executable, "-m", "workflow_scripts.import_weights"]
    command += words(files / "torchvision", "torchvision", output, net="E")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {files / 'torchvision'}: ")
    assert result.stderr.count("\n") == 1
    assert not output.parent.exists()
