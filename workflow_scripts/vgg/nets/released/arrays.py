"""Arrays in downloaded files: names and shapes first, values on demand, no code is executed.

The readers raise ValueError, in words for a user, if a file is damaged or holds anything that could
run code; a file must be there and not be empty.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import h5py
import torch
from safetensors import SafetensorError, safe_open

from ...core.files import reading
from ..safetensors_checks import check_tensors

ZIP = b"PK\x03\x04"
KERAS_ENTRY = b"metadata.json"  # a .keras file's first; its name ends at byte 43 of the zip
LAYER = r"block\d_conv\d|fc\d|predictions"  # as Keras calls them
OPTIMIZERS = ("optimizer", "optimizer_weights")
WRAPPERS = ("module", "_orig_mod")  # of DistributedDataParallel and torch.compile


@dataclass(frozen=True)
class Stored:
    """An array that is still in its file; `read` takes the memory."""

    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]


def kind_of(path: str | Path) -> str:
    """The format of a file, by its first bytes.

    Returns "pytorch", "hdf5", "safetensors", "keras archive" or "other".
    """
    with reading(path) as file:
        start = file.read(9)
        rest = file.read(30 + len(KERAS_ENTRY) - len(start))
    if start.startswith(ZIP) and rest.endswith(KERAS_ENTRY):
        return "keras archive"
    # Before pickles: the length that it begins with may have any first byte.
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") < Path(path).stat().st_size:
        return "safetensors"
    if start.startswith((ZIP, b"\x80")):  # a zip since PyTorch 1.6, bare pickles before
        return "pytorch"
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    return "other"


def read_safetensors(path: str | Path) -> dict[str, Stored]:
    """The arrays of a safetensors file, by name; those of a file of ours are verified."""
    check_tensors(path)
    try:
        file = safe_open(path, "pt")
        return {
            name: Stored(tuple(file.get_slice(name).get_shape()), partial(file.get_tensor, name))
            for name in file.keys()  # noqa: SIM118
        }
    except SafetensorError as error:
        raise ValueError(f"damaged or cut short ({error})") from error


def read_pytorch(path: str | Path) -> dict[str, Stored]:
    """The tensors of a state dict written by `torch.save`, in its zip or its older form."""
    with reading(path) as file:
        zipped = file.read(len(ZIP)) == ZIP
    if zipped:
        _check_zip(path)

    @cache
    def values() -> dict[str, torch.Tensor]:
        return _state_dict(path, mmap=zipped)

    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():  # shapes without values, in both forms
        tensors = _state_dict(path)
    storages = [tensor.untyped_storage() for tensor in tensors.values()]
    if (
        sum({storage._cdata: storage.nbytes() for storage in storages}.values())
        > Path(path).stat().st_size
    ):
        raise ValueError("cut short: its tensors need more bytes than it has")
    return {
        name: Stored(tuple(tensor.shape), partial(lambda name: values()[name], name))
        for name, tensor in tensors.items()
    }


def _check_zip(path: str | Path) -> None:
    """Raise ValueError for entries that could unfold to more than the file, or are damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("a zip with compressed entries, which PyTorch never writes")
            if sum(entry.file_size for entry in entries) > Path(path).stat().st_size:
                raise ValueError("a zip whose entries claim more bytes than it has")
            damaged = archive.testzip()
    except ValueError:
        raise
    except Exception as error:  # zipfile raises more than its own errors
        raise ValueError(f"damaged or cut short: a zip that cannot be listed ({error})") from error
    if damaged:
        raise ValueError(f"damaged: {damaged} in it has not the checksum that it should have")


def unwrapped(arrays: dict[str, Stored]) -> dict[str, Stored]:
    """The arrays by the names that they have without WRAPPERS, wherever these stand in them.

    Raises ValueError if two have the same name then.
    """
    names = [".".join(w for w in name.split(".") if w not in WRAPPERS) for name in arrays]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"it has {twice[0]} with and without {' or '.join(WRAPPERS)}")
    return dict(zip(names, arrays.values(), strict=True))


def _state_dict(path: str | Path, mmap: bool = False) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a stranger's pickle can make the unpickler raise anything
        if code := re.search(r"(?:GLOBAL|function) (\S+)", str(error)):
            raise ValueError(
                f"it holds the Python object {code[1]}, which could run code, so it was not opened;"
                " what is needed is the state dict alone, as torch.save(net.state_dict()) writes it"
            ) from error
        first_line = str(error).partition("\n")[0][:200]
        raise ValueError(f"damaged or cut short ({type(error).__name__}: {first_line})") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        for tensor in content.values()
    ):
        raise ValueError("no state dict: a dictionary of dense tensors was expected")
    return {str(name): tensor for name, tensor in content.items()}


def read_keras(path: str | Path) -> dict[str, Stored]:
    """The arrays of a Keras file: "block1_conv1.weight", "block1_conv1.bias", …, by layer and rank.

    Finds `layer/layer_W_1:0`, `layer/layer/kernel:0` and `layer/layer/kernel`, the three ways in
    which Keras has named datasets, at the top or below `model_weights`; and those of Keras 3's
    `.weights.h5`, such as `layers/conv2d_1/vars/0`, whose group has the layer's name as attribute.
    Links are not followed.
    """
    arrays = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        words = name.split("/")
        if not isinstance(item, h5py.Dataset) or words[0] in OPTIMIZERS:
            return
        if item.external or item.is_virtual:
            raise ValueError(f"{name} refers to other files")
        if words[-2:-1] == ["vars"]:  # Keras 3's, whose path tells the kind of layer only
            words.append(str(item.parent.attrs.get("name")))
        layers = [word for word in words if re.fullmatch(LAYER, word)]
        if words[-3:-2] == ["vars"] and not layers:
            raise ValueError(
                f"{name} does not say the name of its layer, as the first Keras 3 wrote files; "
                'load it in Keras and write it by model.save("name.h5")'
            )
        if layers and item.ndim:
            name = f"{layers[0]}.{'bias' if item.ndim == 1 else 'weight'}"
        if name in arrays:
            raise ValueError(f"two arrays for {name}")
        arrays[name] = Stored(item.shape, partial(_dataset, item))

    try:
        h5py.File(path, "r").visititems(visit)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"damaged or cut short ({error})") from error
    return arrays


def _dataset(item) -> torch.Tensor:
    values = item[()]
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))
