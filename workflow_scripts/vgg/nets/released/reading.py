"""Read weights that others trained, and check that they are the weights of the net that is meant.

`source_formats.py` says what the sources differ in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeGuard

import torch
from safetensors import SafetensorError, safe_open

from ...core.files import InputError, md5
from ..convnets import Architecture, ConvNet
from ..devices import is_out_of_memory
from ..library_nets import (
    LibraryArchitecture,
    LibraryNet,
    built,
    input_of,
    score_map_modules,
)
from .arrays import Stored, kind_of, read_keras, read_pytorch, read_safetensors, unwrapped
from .caffemodel import read_caffemodel
from .source_formats import (
    COUNTED,
    FORMATS,
    INPUTS,
    SIGNS,
    Input,
    Place,
    for_our_pixels,
    listed,
    normalised_input,
    parameter_places,
)

KINDS = {
    "caffe": ("other",),
    "keras": ("hdf5",),
    "own": ("safetensors",),
}  # of files that a format comes in; the others come in both of PyTorch's
PYTORCH_KINDS = ("pytorch", "safetensors")
KIND_WORDS = {
    "pytorch": "a PyTorch file",
    "hdf5": "an HDF5 file, as Keras writes it",
    "safetensors": "a safetensors file",
    "other": "neither a PyTorch, nor an HDF5, nor a safetensors file",
}
READERS = {
    "pytorch": read_pytorch,
    "hdf5": read_keras,
    "safetensors": read_safetensors,
    "other": read_caffemodel,
}
WHERE_TO_GET = {
    "torchvision": "torchvision's documentation of its VGG models links their files",
    "timm": "timm's documentation of its vgg*.tv_in1k models says where their files are",
    "caffe": "the authors' files are at https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
    "jcjohnson": "the pages of the neural-style-pt project link these files",
    "keras": "Keras' documentation of its VGG16 and VGG19 says where their files are",
    "own": "a run of this pipeline writes it as results/<experiment>/weights/<model>.safetensors",
}


def check_md5(path: str, expected: str, source: str) -> None:
    """Raise InputError if the file has another MD5 sum, or is missing."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; {WHERE_TO_GET[source]}")
    found = md5(path)
    if found != expected.lower():
        raise InputError(
            f"{path}: its MD5 sum is {found}, not {expected}; get it again, or correct the sum if "
            "this is the file that you mean"
        )


def read_released(
    path: str | Path, source: str, architecture: Architecture, or_classes: int | None = None
) -> tuple[ConvNet, Input]:
    """The net of a weights file, float32 on the CPU, for our input; and the input of the source.

    source: one of FORMATS. or_classes: so many classes are as good as the architecture's. Shapes
    are compared with the net's before values are read. A file of this pipeline keeps its own
    rounding of pools and constants of response normalisation.
    Raises InputError if the file is missing or damaged, holds another net, other classes or values
    that are not finite, is of another format, or could run code.
    """
    path = Path(path)
    arrays = stored_arrays(path, source)
    stated = stated_by(path)
    source_input = _input_of(path, source, stated)
    if source == "own":
        if or_classes and stated["architecture"].get("classes") == or_classes:
            architecture = replace(architecture, classes=or_classes)
        architecture = _own_architecture(path, stated["architecture"], architecture)
    net, places = _places_in(path, source, arrays, architecture)
    if or_classes and _size(arrays.get(list(places.values())[-1].name)) == or_classes:
        net, places = _places_in(path, source, arrays, replace(architecture, classes=or_classes))
    _compare(path, source, arrays, places)
    first = places["features.0.weight"]
    places["features.0.weight"] = replace(
        first, convert=lambda kernel: for_our_pixels(first.convert(kernel), source_input)
    )
    parameters = {
        name: _parameter(path, place, arrays[place.name]) for name, place in places.items()
    }
    counts = {name: torch.tensor(0) for name in net.state_dict() if name.endswith(COUNTED)}
    net.load_state_dict(parameters | counts, assign=True)
    return net, source_input


def _places_in(
    path: Path, source: str, arrays: dict[str, Stored], architecture: Architecture
) -> tuple[ConvNet, dict[str, Place]]:
    """The net without values, and where the file has them."""
    with torch.device("meta"):
        net = ConvNet(architecture)
    try:
        return net, parameter_places(net, source, arrays)
    except ValueError as error:
        raise InputError(f"{path}: {error}; give the format that it has") from error


def _size(array: Stored | None) -> int:
    """Number of values."""
    return math.prod(array.shape) if array else 0


def read_library_net(
    path: str | Path, name: str, classes: int, or_classes: int | None = None
) -> tuple[LibraryNet, Input]:
    """The net of a library with the weights of a file of that library, and its input.

    name: the library and the net there, "timm/resnet50.a1_in1k". classes, or_classes: as for
    `read_released`.
    Raises InputError as that does, and for an unknown net, or if the library is not installed.
    """
    path, library = Path(path), name.partition("/")[0]
    arrays = stored_arrays(path, library)
    given_input, crop = input_of(name)
    for outputs in dict.fromkeys((or_classes or classes, classes)):
        net = built(name, outputs)
        own = net.state_dict()
        places = {key: Place(key, tuple(own[key].shape), _as_it_is) for key in own}
        if all(k in arrays and arrays[k].shape == place.shape for k, place in places.items()):
            break
    # Counts of batches, and places that follow from the net: a file may be without them.
    whole_numbers = {key for key in own if not own[key].is_floating_point()}
    learnt = {key: place for key, place in places.items() if key not in whole_numbers}
    _compare(path, library, arrays, learnt, whole_numbers)
    parameters = {key: _parameter(path, place, arrays[key]) for key, place in learnt.items()}
    net.load_state_dict({**own, **parameters})
    found = score_map_modules(net, crop) or (None, None)
    architecture = LibraryArchitecture(name, outputs, crop, given_input.std_rgb, *found)
    return LibraryNet(architecture, net), given_input


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


def _parameter(path: Path, place: Place, array: Stored) -> torch.Tensor:
    """A parameter in our layout, float32, in memory of its own."""
    try:
        values = array.read()
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(f"{path}: {place.name} is damaged ({error}); get it again") from error
    if values.is_meta:
        raise InputError(f"{path}: {place.name} has no values, only a shape (device meta)")
    if not values.is_floating_point():
        raise InputError(f"{path}: {place.name} holds {values.dtype}, not floating-point numbers")
    values = place.convert(values.reshape(place.shape))
    # What was read may be a view on the file, or on memory that other parameters share.
    parameter = torch.empty(values.shape, dtype=torch.float32).copy_(values)
    if not parameter.isfinite().all():
        raise InputError(
            f"{path}: {place.name} holds values that are not finite; the file is damaged or its "
            "training diverged, take another"
        )
    return parameter


def stored_arrays(path: Path, source: str) -> dict[str, Stored]:
    """The file's arrays by name, unread."""
    cure = WHERE_TO_GET[source]
    if not path.is_file():
        raise InputError(f"{path}: no such file; {cure}")
    if not path.stat().st_size:
        raise InputError(f"{path}: empty; get it again, {cure}")
    kind = kind_of(path)
    if kind == "keras archive":
        raise InputError(
            f"{path}: is a .keras archive, which is not read; load it in Keras and write it by "
            'model.save("name.h5"), whose format is keras'
        )
    if kind not in KINDS.get(source, PYTORCH_KINDS):
        fitting = [name for name in FORMATS if kind in KINDS.get(name, PYTORCH_KINDS)]
        raise InputError(
            f"{path}: is {KIND_WORDS[kind]}, but its format is said to be {source}; say the format "
            f"that it has ({', '.join(fitting)}), or get the file again, if it is cut short; {cure}"
        )
    try:
        return unwrapped(READERS[kind](path))
    except ValueError as error:
        raise InputError(f"{path}: not readable as {source}: {error}; {cure}") from error


STATED = {"architecture", "iterations", "code_fingerprint"}  # by each weights file of ours


def stated_by(path: Path) -> dict:
    """The metadata that this pipeline wrote into a file, or beside it on export; else empty."""
    try:
        if kind_of(path) != "safetensors":
            beside = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            return {"preprocessing": beside["preprocessing"]}
        with safe_open(path, "pt") as file:
            texts = file.metadata() or {}
        # "format": "pt" is the one text that is no JSON.
        return {key: json.loads(text) for key, text in texts.items() if key != "format"}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _are_numbers(values) -> TypeGuard[list[float]]:
    """Whether that is one finite number for each of red, green and blue."""
    numbers = isinstance(values, list) and all(isinstance(v, int | float) for v in values)
    return numbers and len(values) == 3 and all(map(math.isfinite, values))


def _input_of(path: Path, source: str, stated: dict) -> Input:
    """The input of the file's net: as this pipeline stated it, otherwise the format's."""
    if source == "own":
        mean = stated.get("mean_rgb")
        if not stated.keys() >= STATED or not _are_numbers(mean):
            raise InputError(
                f"{path}: does not say its net and its mean, so no run of this pipeline wrote it; "
                f"say the format that it has ({', '.join(INPUTS)})"
            )
        return Input(f"RGB 0–255 minus {listed(mean)}", (mean[0], mean[1], mean[2]))
    if "architecture" in stated and "mean_rgb" in stated:
        raise InputError(f"{path}: written by this pipeline, so its format is own, not {source}")
    if source == "torchvision" and "preprocessing" in stated:
        preprocessing = stated["preprocessing"]
        named = preprocessing if isinstance(preprocessing, dict) else {}
        if not all(_are_numbers(named.get(key)) for key in ("mean", "std")):
            raise InputError(f"{path}: states a preprocessing without mean and std")
        return normalised_input(*(tuple(named[key]) for key in ("mean", "std")))
    return INPUTS[source]


def _compare(
    path: Path,
    source: str,
    arrays: dict[str, Stored],
    places: dict[str, Place],
    allowed: Collection[str] = (),
) -> None:
    """Raise InputError where the file's arrays are not those of the net, or else `allowed`."""
    net = "another net is in it: give the file of the configuration that the model has"
    missing = [place.name for place in places.values() if place.name not in arrays]
    last = list(places.values())[-2:]
    convs = {place.name for name, place in places.items() if name.startswith("features")}
    fcs = {place.name for place in places.values()} - convs
    if set(arrays) in (convs, {name.removeprefix("features.") for name in convs}):
        raise InputError(
            f"{path}: holds the features without the classifier, which has {_some(sorted(fcs))}; "
            "get the file of the whole net (of Keras, the one without notop in its name)"
        )
    if missing:
        sign = next((name for name, sign in SIGNS.items() if sign in arrays), source)
        cure = net if sign == source else f"its names are those of the format {sign}: give that"
        raise InputError(
            f"{path}: lacks {_some(missing)}, which {source} files of this net have; it has "
            f"{_some(arrays)}; {cure}"
        )
    for place in places.values():
        found = arrays[place.name].shape
        padding = 4 - len(place.shape)  # Caffe's first blobs always have four sides
        if found == place.shape or (source == "caffe" and found == (1,) * padding + place.shape):
            continue
        cure = "its classes must be the data set's, in the same order" if place in last else net
        raise InputError(
            f"{path}: {place.name} has the shape {_shape(found)}, but {_shape(place.shape)} was "
            f"expected; {cure}"
        )
    known = {place.name for place in places.values()}
    counts = {f"{name.rpartition('.')[0]}.{COUNTED}" for name in known if "running_var" in name}
    extra = sorted(set(arrays) - known - counts - set(allowed))
    if extra:
        raise InputError(
            f"{path}: holds also {_some(extra)}, which {source} files of this net lack; {net}"
        )


def _some(names: Collection[str]) -> str:
    """The first few of the names."""
    return ", ".join(list(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shape(sides: tuple[int, ...]) -> str:
    return " × ".join(map(str, sides)) or "a single number"


def _own_architecture(path: Path, stated: dict, expected: Architecture) -> Architecture:
    """The architecture that a file of this pipeline states, if it has the expected shapes."""
    try:
        found = Architecture(**stated)
    except TypeError as error:
        raise InputError(f"{path}: does not say its net ({error}); is its format own?") from error
    expected = replace(expected, pool_rounding=found.pool_rounding, lrn=found.lrn)
    ours = asdict(expected)
    differ = {
        name: f"{name} {value}, not {ours[name]}"
        for name, value in asdict(found).items()
        if value != ours[name]
    }
    if differ:
        cure = "give the model's own weights"
        if differ.keys() == {"classes"} and found.classes > expected.classes:
            cure += ", or name the data set's classes in data.classes if these are among the net's"
        raise InputError(f"{path}: its net has {'; '.join(differ.values())}: {cure}")
    return found
