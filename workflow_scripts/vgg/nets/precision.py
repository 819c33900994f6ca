"""The precision of a net's computation: float32, or less where that is faster and good enough.

Parameters stay in float32 whatever it is, and so do score averages, soft-max, losses and updates.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..core.files import InputError

# "auto" is what `resolved` makes of it; "float64" is for checks.
OF_TRAINING = ("auto", "float32", "bfloat16", "float16", "float64")
# "tf32" rounds the operands of float32 products to 10 bits behind the point, on GPUs that can.
OF_EVALUATION = ("float32", "tf32", "bfloat16", "float16")
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
AMPERE = (8, 0)  # compute capability from which on a GPU has bfloat16 and TF32


def resolved(name: str, device: torch.device) -> str:
    """The precision that `name` stands for on a device.

    "auto" is 16 bits on a GPU, and float32 on a CPU. 16 bits are bfloat16, whose range is
    float32's, or float16 on GPUs that lack it (compute capability below 8.0); its gradients need
    `gradient_scaler`. "tf32" is float32 where there is no TF32: on CPUs and on the same GPUs.
    Raises InputError for bfloat16 on a GPU that lacks it.
    """
    modern = device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
    if device.type == "cpu":
        return "float32" if name in ("auto", "tf32") else name
    if name == "auto":
        return "bfloat16" if modern else "float16"
    if name == "tf32" and not modern:
        return "float32"
    if name == "bfloat16" and not modern:
        raise InputError(
            f"{torch.cuda.get_device_name(device)} has no bfloat16 (compute capability below 8.0); "
            "set the precision to auto, float16 or float32"
        )
    return name


@contextlib.contextmanager
def computing(device: torch.device, name: str) -> Iterator[None]:
    """Inside the block, nets on the device compute in that precision: autocast, or TF32."""
    name = resolved(name, device)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    _set_tf32(name == "tf32", name == "tf32")
    try:
        with torch.autocast(
            device.type, AUTOCAST.get(name, torch.bfloat16), enabled=name in AUTOCAST
        ):
            yield
    finally:
        _set_tf32(*before)


def _set_tf32(convolutions: bool, products: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products


def gradient_scaler(device: torch.device, name: str) -> torch.amp.GradScaler:
    """A scaler that keeps small gradients above float16's smallest number; idle in other types.

    A step whose gradients overflow under the scale is left out, and the scale halved.
    """
    return torch.amp.GradScaler(device.type, enabled=resolved(name, device) == "float16")


def parameter_type(name: str) -> torch.dtype:
    """The type of a net's parameters in training: float32, also under mixed precision.

    "float64" is for checks: computations that differ by rounding only stay together in it, where in
    float32 a ReLU or a maximum that tips over drives them apart within a few iterations.
    """
    return torch.float64 if name == "float64" else torch.float32


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """`values` in float32, or in float64 if they are that."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
