"""Arrays in downloaded files: names and shapes first, values on demand, no code is executed.

The readers, here and in `pytorch_files.py` and `caffemodel.py`, raise ValueError, in words for a
user, if a file is damaged or holds anything that could run code; a file must be there and not be
empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import torch
from safetensors import SafetensorError, safe_open

from ...core.files import reading
from ..safetensors_checks import check_tensors

ZIP = b"PK\x03\x04"
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
KERAS_ENTRY = b"metadata.json"  # a .keras file's first; its name ends at byte 43 of the zip
LAYER = r"block\d_conv\d|fc\d|predictions"  # as Keras calls them
OPTIMIZERS = ("optimizer", "optimizer_weights")


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
    if start.startswith((ZIP, *PICKLES)):  # a zip since PyTorch 1.6, bare pickles before
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
