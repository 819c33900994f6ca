"""One code path for CPUs and GPUs: the device, the precision, and pixels made into inputs."""

from __future__ import annotations

import platform

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def pick_device(name: str, threads: int) -> torch.device:
    """The device called `name`; "auto" is the GPU where there is one. Sets the CPU's threads."""
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision: "auto" computes in bfloat16 on GPUs and in float32 on CPUs."""
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def to_input(
    images: torch.Tensor,
    mean: torch.Tensor,
    input_scale: float,
    shifts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Pixels as the nets take them: minus the mean, plus each image's RGB colour shift.

    images: uint8 [N, 3, height, width]; stays channels-last. mean: float [3], RGB 0–255.
    shifts: float [N, 3]. The result is divided by `input_scale`.
    """
    offset = -mean if shifts is None else shifts - mean
    return (images.to(mean.dtype) + offset.view(-1, 3, 1, 1)).div_(input_scale)


def describe_hardware(device: torch.device) -> str:
    """The processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()
