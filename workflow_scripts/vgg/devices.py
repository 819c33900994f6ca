"""One code path for CPUs and GPUs: the device, the precision, and pixels made into inputs."""

from __future__ import annotations

import ctypes
import platform

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def pick_device(name: str, threads: int) -> torch.device:
    """The device called `name`; "auto" is the GPU where there is one. Sets up the CPU's side."""
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _keep_freed_memory() -> None:
    """Let glibc keep large freed blocks: giving each activation back to the system and faulting it
    in again costs a tenth of the time on a CPU."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library; only slower
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


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
