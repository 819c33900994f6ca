"""Trained weights as safetensors files that say what they are.

Parameter names and layout are torchvision's, so a full-size D loads into
`torchvision.models.vgg16` unchanged; the input is RGB 0–255 minus the mean in the metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..core.files import InputError, whole_file
from .convnets import Architecture, ConvNet
from .devices import is_out_of_memory
from .library_nets import Classifier, LibraryArchitecture, LibraryNet, built, load_state
from .safetensors_checks import METADATA, OF_TENSORS, check_header, check_tensors, with_checksums


def save_weights(path: str | Path, net: Classifier, input_scale: float, metadata: dict) -> None:
    """Write a net's weights with `metadata` (JSON-like values) and its architecture.

    input_scale: what the net's inputs were divided by in training; folded into the first layer.
    """
    tensors = {
        name: tensor.detach()
        .to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype)
        .contiguous(memory_format=torch.contiguous_format)
        for name, tensor in net.state_dict().items()
    }
    if isinstance(net, ConvNet):
        tensors["features.0.weight"] = tensors["features.0.weight"] / input_scale
    metadata = {**metadata, "architecture": asdict(net.architecture), "input_scale": input_scale}
    write_safetensors(path, tensors, {key: json.dumps(value) for key, value in metadata.items()})


def write_safetensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file whose bytes depend on its content alone.

    The library leaves the order of metadata to chance, and so the sum of the file.
    """
    content = memoryview(save(dict(tensors), dict(metadata)))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:end]))
    header = {METADATA: header.pop(METADATA), **header}
    text = with_checksums(header, content[end:])
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        for part in (len(text).to_bytes(8, "little"), text, content[end:]):
            file.write(part)


def read_metadata(path: str | Path) -> dict:
    """The metadata of a weights file. Raises InputError if it is missing or damaged."""
    try:
        texts = check_header(path)
        return {key: json.loads(text) for key, text in texts.items() if key != OF_TENSORS}
    except ValueError as error:
        raise InputError(f"{path}: not a readable weights file ({error})") from error


def tensors_sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a weights file's tensors.

    It is the same if the same weights are written again, by another node for instance, where the
    sum of the file is not.
    """
    digest = hashlib.sha256()
    with safe_open(path, "numpy") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + b"\0" + file.get_tensor(name).tobytes())
    return digest.hexdigest()


def load_weights(
    path: str | Path, input_scale: float = 1.0, pool_rounding: str = "floor"
) -> tuple[ConvNet, dict]:
    """The ConvNet of a weights file, on the CPU and without dropout, and the file's metadata.

    input_scale: what its inputs will be divided by; unfolded from the first layer.
    Raises InputError if the file is missing, damaged, not one of this pipeline's, or a library's.
    """
    net, metadata = load_classifier(path, pool_rounding)
    if not isinstance(net, ConvNet):
        raise InputError(
            f"{path}: holds {net.architecture.net}, which can be evaluated, and nothing else"
        )
    with torch.no_grad():
        net.conv_layers[0].weight.mul_(input_scale)
    return net, metadata


def load_classifier(path: str | Path, pool_rounding: str = "floor") -> tuple[Classifier, dict]:
    """The net of a weights file, a library's or a ConvNet as `load_weights` gives it."""
    metadata = read_metadata(path)
    check_tensors(path)
    try:
        net = _net_of(metadata["architecture"], pool_rounding)
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        load_state(net, tensors)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{path}: not weights of this pipeline ({error})") from error
    return net, metadata


def _net_of(stated: Mapping[str, Any], pool_rounding: str) -> Classifier:
    """The net that a weights file states, with random weights."""
    if "layers" in stated:
        return ConvNet(Architecture(**{**stated, "pool_rounding": pool_rounding}), dropout=0.0)
    architecture = LibraryArchitecture(**stated)
    return LibraryNet(architecture, built(architecture.net, architecture.outputs))
