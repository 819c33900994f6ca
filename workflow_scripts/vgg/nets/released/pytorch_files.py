"""Tensors of PyTorch's files, of a state dict alone or of a training's checkpoint around it.

No code is executed: what could run some is refused, in words for a user.
"""

from __future__ import annotations

import logging
import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from ...core.files import reading
from .arrays import ZIP, Stored

MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # with it torch.save's older form begins
WRAPPERS = ("module", "_orig_mod")  # of DistributedDataParallel and torch.compile
ATTRIBUTE = "model"  # that a LightningModule has its net in, most often
AVERAGED = "n_averaged"  # of torch.optim.swa_utils.AveragedModel, beside `module`
# Where checkpoints have the state dict, the likelier one first: Lightning and timm; torchvision's
# references, DeiT, detectron; PyTorch's tutorials. Last those of averages over a training.
HOLDERS = ("state_dict", "model", "model_state_dict", "model_ema", "state_dict_ema")
DEEPEST = 3  # checkpoints in checkpoints
CURE = "torch.save(net.state_dict(), 'name.pth')"


def read_pytorch(path: str | Path) -> dict[str, Stored]:
    """The tensors of a state dict written by `torch.save`, in its zip or its older form.

    It may be an entry of a checkpoint, by one of the names HOLDERS.
    """
    with reading(path) as file:
        start = file.read(64)
    zipped = start.startswith(ZIP)
    if zipped:
        _check_zip(path)
    elif MAGIC not in start:
        raise ValueError(
            "it is a pickle that torch.save did not write (pickle.dump did?), which could run "
            f"code, so it was not opened; write the state dict by {CURE} where it was made"
        )

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


def _state_dict(path: str | Path, mmap: bool = False) -> dict[str, torch.Tensor]:
    try:
        # A command's options, as torchvision's references and DeiT save them beside the weights.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a stranger's pickle can make the unpickler raise anything
        raise ValueError(_why_not_loaded(error)) from error
    return {str(name): tensor for name, tensor in _held(path, content).items()}


def _why_not_loaded(error: Exception) -> str:
    """What torch.load's error means, without its advice to load the file unsafely."""
    text = str(error)
    if code := re.search(r"(?:GLOBAL|function) (\S+)", text):
        return (
            f"it holds the Python object {code[1]}, which could run code, so it was not opened;"
            f" what is needed is the state dict alone, as {CURE} writes it"
        )
    if "Unsupported operand 149" in text:  # FRAME, which pickles have since protocol 4
        return f"it is written by a newer pickle protocol, which is not read; write it by {CURE}"
    _, _, reason = text.rpartition("WeightsUnpickler error:")
    first_line = reason.strip().partition("\n")[0][:200]
    return f"damaged or cut short ({type(error).__name__}: {first_line})"


def _held(path: str | Path, content: Any) -> Mapping[Any, torch.Tensor]:
    """The state dict that a file's content is, or that it has under one of HOLDERS."""
    for _ in range(DEEPEST):
        if _is_state(content):
            return content
        if not isinstance(content, dict):
            break
        held = [key for key in HOLDERS if isinstance(content.get(key), dict)]
        held = [key for key in held if _is_state(content[key])] or held
        if not held:
            break
        taken, *others = held
        if others or taken.endswith("ema"):
            _tell_once(str(path), taken, tuple(others))
        content = content[taken]
    raise ValueError(
        "no state dict: a dictionary of dense tensors was expected, by itself or in a checkpoint "
        f"by the name {', '.join(HOLDERS[:-1])} or {HOLDERS[-1]}"
    )


def _is_state(content: Any) -> bool:
    """Whether that is a dictionary of dense tensors, and of some."""
    if not isinstance(content, dict) or not content:
        return False
    values = content.values()
    return all(isinstance(v, torch.Tensor) and v.layout == torch.strided for v in values)


@cache
def _tell_once(path: str, taken: str, others: tuple[str, ...]) -> None:
    """Log which weights of a checkpoint are read; a file may be opened several times."""
    rest = f", not {', '.join(others)}" if others else ""
    logging.info("%s: of the checkpoint %s is read%s", path, taken, rest)


def unwrapped(arrays: Mapping[str, Stored]) -> dict[str, Stored]:
    """The arrays by the names that they have without WRAPPERS, wherever these stand in them, and
    without ATTRIBUTE, if all begin with it.

    Raises ValueError if two have the same name then.
    """
    if all(name == AVERAGED or name.startswith(f"{WRAPPERS[0]}.") for name in arrays):
        arrays = {name: array for name, array in arrays.items() if name != AVERAGED}
    names = [plain_name(name) for name in arrays]
    while names and all(name.startswith(f"{ATTRIBUTE}.") for name in names):
        names = [name.removeprefix(f"{ATTRIBUTE}.") for name in names]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"it has {twice[0]} with and without {' or '.join(WRAPPERS)}")
    return dict(zip(names, arrays.values(), strict=True))


def plain_name(name: str) -> str:
    """A parameter's name without WRAPPERS."""
    return ".".join(word for word in name.split(".") if word not in WRAPPERS)
