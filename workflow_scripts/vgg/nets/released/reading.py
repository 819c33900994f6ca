"""Read weights that others trained, and check that they are the weights of the net that is meant.

`source_formats.py` says what the sources differ in.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeGuard

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ...core.files import InputError, md5
from ..convnets import LRN_CONSTANTS, Architecture, ConvNet, LocalResponseNorm, neighbours
from ..devices import is_out_of_memory
from ..library_nets import (
    LibraryArchitecture,
    LibraryNet,
    built,
    input_of,
    load_state,
    score_map_modules,
)
from .arrays import Stored, kind_of, read_keras, read_safetensors
from .caffemodel import read_caffemodel
from .comparing import compare
from .pytorch_files import plain_name, read_pytorch, unwrapped
from .source_formats import (
    COUNTED,
    FORMATS,
    INPUTS,
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
    "torchvision": "torchvision's documentation of its models links their files",
    "timm": "timm's documentation of its models says where their files are",
    "caffe": "the authors' files are at https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
    "jcjohnson": "the pages of the neural-style-pt project link these files",
    "keras": "Keras' documentation of its VGG16 and VGG19 says where their files are",
    "own": "a run of this pipeline writes it as results/<experiment>/weights/<model>.safetensors",
}
LIBRARIES = ("torchvision", "timm")  # whose forms exports of this pipeline have
ILSVRC_CLASSES = 1000  # that libraries' nets have mostly


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
    rounding of pools and constants of response normalisation; an export of it keeps its input and
    the latter.
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
    elif source in LIBRARIES and "preprocessing" in stated:
        architecture = _exported_architecture(path, stated, architecture)
    net, places = _places_in(path, source, arrays, architecture)
    if or_classes and _size(arrays.get(list(places.values())[-1].name)) == or_classes:
        net, places = _places_in(path, source, arrays, replace(architecture, classes=or_classes))
    last = [place.name for place in list(places.values())[-2:]]
    compare(path, source, arrays, places, last)
    first = places["features.0.weight"]
    places["features.0.weight"] = replace(
        first, convert=lambda kernel: for_our_pixels(first.convert(kernel), source_input)
    )
    parameters = {
        name: _parameter(path, place, arrays[place.name]) for name, place in places.items()
    }
    counts = {name: torch.tensor(0) for name in net.state_dict() if name.endswith(COUNTED)}
    net.load_state_dict(parameters | counts, assign=True)
    for layer in net.modules():
        if isinstance(layer, LocalResponseNorm):  # which no file holds: it was made on "meta"
            layer.near = neighbours(len(layer.near))
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
    path: str | Path, name: str, classes: int | None = None, or_classes: int | None = None
) -> tuple[LibraryNet, Input]:
    """The net of a library with the weights of a file of that library, and its input.

    name: the library and the net there, "timm/resnet50.a1_in1k". classes: None for as many as the
    file has, which `architecture.outputs` of the net tells. or_classes: as for `read_released`. An
    export of this pipeline keeps its input.
    Raises InputError as that does, and for an unknown net, or if the library is not installed.
    """
    path, library = Path(path), name.partition("/")[0]
    given_input, crop = input_of(name)
    arrays = stored_arrays(path, library, name)
    stated = stated_by(path)
    if "preprocessing" in stated:
        given_input = _exported_input(path, stated)
        _check_stated_crop(path, stated, crop)
    for outputs in dict.fromkeys(n for n in (or_classes, classes or ILSVRC_CLASSES) if n):
        net = built(name, outputs)
        learnt = _learnt(net)
        if all(p.name in arrays and arrays[p.name].shape == p.shape for p in learnt.values()):
            break
    if classes is None and (found := _outputs_in(path, arrays, learnt, outputs)):
        net = built(name, outputs := found)
        learnt = _learnt(net)
    own = net.state_dict()
    compare(
        path,
        library,
        arrays,
        learnt,
        last=[p.name for p in learnt.values() if p.shape[:1] == (outputs,)] if classes else (),
        allowed={plain_name(key) for key in own.keys() - learnt.keys()},
        of=name,
    )
    parameters = {key: _parameter(path, place, arrays[place.name]) for key, place in learnt.items()}
    load_state(net, own | parameters)
    found_map = score_map_modules(net, crop) or (None, None)
    architecture = LibraryArchitecture(name, outputs, crop, given_input.std_rgb, *found_map)
    return LibraryNet(architecture, net), given_input


def _learnt(net: nn.Module) -> dict[str, Place]:
    """Where a library's file has its net's numbers.

    Not the counts of batches, and the places that follow from the net: a file may be without them.
    """
    return {
        key: Place(plain_name(key), tuple(values.shape), _as_it_is)
        for key, values in net.state_dict().items()
        if values.is_floating_point()
    }


def _outputs_in(
    path: Path, arrays: dict[str, Stored], places: dict[str, Place], outputs: int
) -> int | None:
    """How many scores the file's net gives, if it is otherwise that net of `outputs` scores."""
    found = set()
    for place in places.values():
        shape = arrays[place.name].shape if place.name in arrays else ()
        if shape == place.shape:
            continue
        is_wider = place.shape[:1] == (outputs,) and shape and shape[1:] == place.shape[1:]
        if not is_wider or math.prod(shape) > path.stat().st_size:  # no number takes no byte
            return None
        found.add(shape[0])
    return found.pop() if len(found) == 1 else None


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


def stored_arrays(path: Path, source: str, net: str | None = None) -> dict[str, Stored]:
    """The file's arrays by name, unread.

    net: of a library, "timm/resnet50.a1_in1k", if the file is to be of one.
    Raises InputError if it is missing, damaged, holds none or is of another format, or if it could
    run code.
    """
    cure = WHERE_TO_GET[source]
    if net:
        cure = f"{source}'s documentation says where the files of {net.partition('/')[2]} are"
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
        if net:
            raise InputError(
                f"{path}: is {KIND_WORDS[kind]}, but weights of {net} are in a PyTorch or a "
                f"safetensors file; {cure}"
            )
        fitting = [name for name in FORMATS if kind in KINDS.get(name, PYTORCH_KINDS)]
        raise InputError(
            f"{path}: is {KIND_WORDS[kind]}, but its format is said to be {source}; say the format "
            f"that it has ({', '.join(fitting)}), or get the file again, if it is cut short; {cure}"
        )
    try:
        return unwrapped(READERS[kind](path))
    except ValueError as error:
        if kind == "other":  # Caffe's files begin with no sign of their own
            raise InputError(
                f"{path}: is no weights file: {KIND_WORDS[kind]}, and not readable as Caffe's "
                f"({error}); if it is a .caffemodel, get it again"
            ) from error
        again = f"; {cure}" if str(error).startswith(("damaged", "cut short")) else ""
        raise InputError(f"{path}: not readable as {KIND_WORDS[kind]}: {error}{again}") from error


STATED = {"architecture", "iterations", "code_fingerprint"}  # by each weights file of ours
EXPORTED = ("preprocessing", "lrn")  # what matters here of the JSON files beside older exports


def stated_by(path: Path) -> dict:
    """The metadata that this pipeline wrote into a file, or beside it on export; else empty."""
    try:
        if kind_of(path) != "safetensors":
            beside = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            return {key: beside[key] for key in ("preprocessing", *beside) if key in EXPORTED}
        with safe_open(path, "pt") as file:
            texts = file.metadata() or {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return {}
    return {key: json.loads(text) for key, text in texts.items() if _is_json(text)}


def _is_json(text: str) -> bool:
    """Whether that is JSON, as all texts of ours are but "format": "pt"."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
    if source in LIBRARIES and "preprocessing" in stated:
        return _exported_input(path, stated)
    return INPUTS[source]


def _exported_input(path: Path, stated: dict) -> Input:
    """The input that an export states, which is not its library's."""
    named = _preprocessing(stated)
    if not all(_are_numbers(named.get(key)) for key in ("mean", "std")):
        raise InputError(f"{path}: states a preprocessing without mean and std")
    return normalised_input(*(tuple(named[key]) for key in ("mean", "std")))


def _preprocessing(stated: dict) -> dict:
    found = stated["preprocessing"]
    return found if isinstance(found, dict) else {}


def _check_stated_crop(path: Path, stated: dict, crop: int) -> None:
    """Raise InputError if an export is of a net of another crop.

    Nets that average their map take any, so their shapes do not tell.
    """
    found = _preprocessing(stated).get("crop", crop)
    if found != crop:
        raise InputError(
            f"{path}: its net has crop {found}, not {crop}: give the model's own weights, or the "
            "crop that they have"
        )


def _exported_architecture(path: Path, stated: dict, expected: Architecture) -> Architecture:
    """The architecture with the constants of response normalisation that an export states.

    Its layers and its other sizes show in names and shapes, and those are compared.
    """
    _check_stated_crop(path, stated, expected.crop)
    whole = stated.get("architecture")
    named = whole if isinstance(whole, dict) else stated  # older ones name the constants alone
    if named.get("head", expected.head) != expected.head:
        raise InputError(
            f"{path}: its net has head {named['head']}, not {expected.head}: boxes are read from "
            "weights of this pipeline alone, format own"
        )
    lrn = named.get("lrn") or expected.lrn
    if lrn not in tuple(LRN_CONSTANTS):
        raise InputError(f"{path}: states lrn {lrn}; there are {', '.join(LRN_CONSTANTS)}")
    return replace(expected, lrn=lrn)


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
