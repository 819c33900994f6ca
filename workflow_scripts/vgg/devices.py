"""One code path for CPUs and GPUs: the device, the precision, and pixels made into inputs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator

import torch

from .costs import processor
from .files import InputError

PRECISIONS = ("auto", "float32", "bfloat16", "float64")


def pick_device(name: str, threads: int, place: int = 0) -> torch.device:
    """The device called `name`; "auto" is the GPU where there is one. Sets up the CPU's side.

    place: of this process among those on its node, each of which takes a GPU of its own.
    Raises InputError if there are fewer GPUs, if it is no CPU or GPU, or if there is no thread.
    """
    if threads < 1:
        raise InputError(f"{threads} CPU threads: at least one is needed")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"{name}: no device of this name; give auto, cpu, cuda or cuda:1, …")
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if name == "auto":
        name = f"cuda:{place}" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise InputError(
                f"{name}: the job has {torch.cuda.device_count()} GPUs on this node; every process "
                "of a training needs its own, lower train.processes or ask for more"
            )
        torch.cuda.set_device(device)
        _same_result_each_time()
    return device


def _same_result_each_time() -> None:
    """GPU kernels that give the same bits each time, and float32 that is float32.

    Max-pooling's backward pass has no kernel that PyTorch calls deterministic, because it adds
    atomically; windows that do not overlap, as here, add one number each.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


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


def parameter_type(precision: str) -> torch.dtype:
    """What a net in training keeps its parameters in: float32, also under mixed precision.

    "float64" is for checks: computations that differ by rounding only stay together in it, where in
    float32 a ReLU or a maximum that tips over drives them apart within a few iterations.
    """
    return torch.float64 if precision == "float64" else torch.float32


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """`values` in float32, or in float64 if they are that."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


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


@contextlib.contextmanager
def explained_memory(load: str, cure: str) -> Iterator[None]:
    """Turn running out of memory into an InputError: with what load, and what to do about it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"out of memory with {load}: {cure}. {reason}") from error


def describe_hardware(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
