"""Weights of any kind, as nets: which net is in a file, and in which form, where nobody says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ...core.files import InputError
from ...settings.net_uses import is_library_net
from ..convnets import Architecture, ConvNet
from ..library_nets import Classifier
from ..weights import load_classifier
from .arrays import Stored, kind_of
from .reading import (
    KINDS,
    PYTORCH_KINDS,
    STATED,
    read_library_net,
    read_released,
    stated_by,
    stored_arrays,
)
from .source_formats import INPUTS, SIGNS, parameter_places

# What an exported file says of itself, which its arrays' shapes do not tell.
STATED_ON_EXPORT = {"preprocessing", "architecture", "model", "net", "S"}


@dataclass(frozen=True)
class AnyNet:
    """A classifier from a file.

    name: of its model, or its net. mean_rgb: RGB 0–255, that is subtracted from its input.
    scales: S, the smallest and the largest; None if they are not known.
    kept: the places of its classes among those that it was trained on, None for all in their order.
    input: the convention of its source, in words.
    wnids: its classes in order, where the file names them.
    """

    name: str
    net: Classifier
    mean_rgb: tuple[float, ...]
    scales: tuple[int, int] | None
    kept: list[int] | None
    input: str
    wnids: list[str] | None = None


def read_any(
    path: str | Path,
    convnets: Mapping[str, str],
    source: str | None = None,
    net: str | None = None,
    pool_rounding: str = "floor",
) -> AnyNet:
    """The net of a weights file: of this pipeline, or of another source, at the paper's size.

    convnets: layers by name, among which the net is looked for. source: the file's format; told by
    the file itself if None. net: a name in `convnets`, or of a library, timm/…; likewise.
    Raises InputError if the file is none of these, or may be of several.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the file of weights in it, model.safetensors")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    stated = stated_by(path) if kind_of(path) == "safetensors" else {}
    if stated.keys() >= STATED:
        return _own(path, source, net, pool_rounding)
    if stated.keys() >= STATED_ON_EXPORT:
        return _exported(path, stated, source, net, pool_rounding)
    convnets = {**_normalised(convnets), **convnets}
    if net and is_library_net(net):
        if source not in (None, net.partition("/")[0]):
            raise InputError(f"{path}: --net {net} and --format {source} contradict each other")
        library_net, given = read_library_net(path, net)
        return AnyNet(net, library_net, given.mean_rgb, None, None, given.words)
    if net and net not in convnets:
        raise InputError(
            f"{path}: there is no net {net}; there are {', '.join(convnets)}, and those of "
            "libraries, timm/… and torchvision/…"
        )
    known = {net: convnets[net]} if net else convnets
    fitting = _fitting(path, known, [source] if source else [*INPUTS])
    if not fitting:
        raise InputError(
            f"{path}: holds none of the nets {', '.join(known)} in a form that can be read "
            f"({', '.join(INPUTS)}); a net of a library is named by --net, timm/… or torchvision/…"
        )
    if len(sources := dict.fromkeys(form for form, _, _ in fitting)) > 1:
        raise InputError(
            f"{path}: may be of {' or of '.join(sources)}, whose names are the same and whose "
            "inputs are not; say which by --format"
        )
    form, name, classes = fitting[0]
    architecture = Architecture(known[name], classes, pool_rounding=pool_rounding)
    read, given = read_released(path, form, architecture)
    return AnyNet(name, read, given.mean_rgb, None, None, f"{given.words} ({form})")


def _own(path: Path, source: str | None, name: str | None, pool_rounding: str) -> AnyNet:
    """The net of a file that this pipeline wrote as weights."""
    if source not in (None, "own"):
        raise InputError(f"{path}: written by this pipeline, so its format is own, not {source}")
    net, metadata = load_classifier(path, pool_rounding)
    _check_name(path, name, metadata.get("net"))
    if net.architecture.is_of_boxes:
        raise InputError(f"{path}: predicts boxes, not classes; give a classifier's weights")
    return AnyNet(
        metadata["model"],
        net,
        tuple(metadata["mean_rgb"]),
        _ends(metadata.get("S")),
        metadata.get("kept"),
        "RGB 0–255 minus its training set's mean",
        metadata.get("wnids"),
    )


def _exported(
    path: Path, stated: dict, source: str | None, name: str | None, pool_rounding: str
) -> AnyNet:
    """The net of a file that this pipeline exported, with the crop, S and constants it states."""
    _check_name(path, name, stated["net"])
    arrays = stored_arrays(path, "torchvision")
    form = "timm" if SIGNS["timm"] in arrays else "torchvision"
    if source not in (None, form):
        raise InputError(f"{path}: exported by this pipeline for {form}, not {source}")
    try:
        architecture = Architecture(**{**stated["architecture"], "pool_rounding": pool_rounding})
    except TypeError as error:
        raise InputError(f"{path}: does not say its net ({error}); export it again") from error
    if architecture.is_of_boxes:
        raise InputError(f"{path}: predicts boxes, not classes; give a classifier's weights")
    net, given = read_released(path, form, architecture)
    words = f"{given.words} (exported for {form})"
    return AnyNet(
        stated["model"], net, given.mean_rgb, _ends(stated["S"]), stated.get("kept"), words
    )


def _check_name(path: Path, asked: str | None, found: str | None) -> None:
    if asked not in (None, found):
        raise InputError(f"{path}: holds {found}, not {asked}, as it states; leave out --net")


def _ends(S: Sequence[int] | None) -> tuple[int, int] | None:
    return (S[0], S[-1]) if S else None


def _normalised(convnets: Mapping[str, str]) -> dict[str, str]:
    """The nets of 3×3 convs alone with batch normalisation, as torchvision's vgg*_bn, by name."""
    plain = {name: re.sub(r"(?<=conv3)-(\d+)", r"-\1 BN", row) for name, row in convnets.items()}
    return {
        f"{name}-BN": layers
        for name, layers in plain.items()
        if len(re.findall("conv", layers)) == len(re.findall("conv3-", layers))
        and not re.search("LRN|GAP|BN BN", layers)
    }


def _fitting(
    path: str | Path, convnets: Mapping[str, str], sources: list[str]
) -> list[tuple[str, str, int]]:
    """(format, net, classes) of all readings of a file: names and shapes fit, of all arrays."""
    kind = kind_of(path)
    found = []
    for source in sources:
        if kind not in KINDS.get(source, PYTORCH_KINDS):
            continue
        arrays = stored_arrays(Path(path), source)
        for name, layers in convnets.items():
            if classes := _classes_if(arrays, source, layers):
                found.append((source, name, classes))
    return found


def _classes_if(arrays: Mapping[str, Stored], source: str, layers: str) -> int | None:
    """The number of classes of arrays if they are a net's in a source's form, else None."""
    classes = 1000
    for _ in range(2):  # with the classes of ILSVRC, and then with those that the file has
        with torch.device("meta"):
            net = ConvNet(Architecture(layers, classes))
        try:
            places = parameter_places(net, source, arrays)
        except ValueError:
            return None
        if not {place.name for place in places.values()} <= arrays.keys():
            return None
        classes = torch.Size(arrays[list(places.values())[-1].name].shape).numel()
    fits = all(
        torch.Size(arrays[place.name].shape).numel() == torch.Size(place.shape).numel()
        for place in places.values()
    )
    tracked = {name for name in arrays if name.endswith("num_batches_tracked")}
    return classes if fits and len(arrays) - len(tracked) == len(places) else None
