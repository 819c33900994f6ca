"""The device that a command computes on, and pixels made into inputs: one path for CPUs, GPUs."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from ..core.costs import processor
from ..core.files import InputError
from . import leases

# Variables by which a cluster or a user says that a job has GPUs.
ALLOCATING = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
NO_GPUS = ("", "-1", "NoDevFiles")  # their values that say that it has none
DRIVER = Path("/proc/driver/nvidia/version")
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|_STATUS_ALLOC_FAILED", re.I)


def pick_device(name: str, threads: int, place: int = 0) -> torch.device:
    """The device called `name`, a GPU always with its number. Sets up the CPU's side.

    name: "auto" is a GPU where there is one, and "cuda" insists on it. Which one: under Slurm
    the job's `place`-th; elsewhere, of several, the one that the fewest other jobs use.
    place: of this process among those on its node, each of which takes a GPU of its own.
    Raises InputError if there are fewer GPUs, if it is no CPU or GPU, if there is no thread, if
    GPUs were allocated that cannot be used, or if torch is not built for the GPU.
    """
    if threads < 1:
        raise InputError(f"{threads} CPU threads: at least one is needed")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"{name}: no device of this name; give auto, cpu, cuda or cuda:1, …")
    torch.set_num_threads(threads)
    _keep_freed_memory()
    if name == "cpu" or (name == "auto" and not _gpu_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError(f"{name}: {why_no_gpu()}")
    device = torch.device(name if ":" in name else f"cuda:{_card(place)}")
    if device.index >= torch.cuda.device_count():
        raise InputError(
            f"{device}: the job has {torch.cuda.device_count()} GPUs on this node; every process "
            "of a training needs its own, lower train.processes or ask for more"
        )
    _check_built_for(device)
    torch.cuda.set_device(device)
    _same_result_each_time()
    return device


def _gpu_available() -> bool:
    """True if CUDA is there. Raises InputError if it is not although the job was given GPUs."""
    with warnings.catch_warnings():  # it is told below, with the cure
        warnings.simplefilter("ignore")
        if torch.cuda.is_available():
            return True
    for variable in ALLOCATING:
        if (given := os.environ.get(variable, "").strip()) not in NO_GPUS:
            raise InputError(
                f"this job was given a GPU ({variable}={given}), but {why_no_gpu()}. To compute on "
                "the CPU all the same, set device: cpu in the configuration (--device cpu)"
            )
    if DRIVER.exists():
        logging.warning("WARNING: computing on the CPU, because %s", why_no_gpu())
    return False


def why_no_gpu() -> str:
    """Why CUDA cannot be used here: the versions of driver and wheel, and what to do."""
    built_for = torch.version.cuda
    if built_for is None:
        return (
            f"torch {torch.__version__} is built for CPUs only; install its build for CUDA "
            "(docs/gpu.md)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()
        said = "torch says that there is none"
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
    found = driver_version()
    driver = f"the NVIDIA driver is {found}" if found else "no NVIDIA driver is loaded"
    return (
        f"CUDA cannot be used on {os.uname().nodename}: {driver}, and torch {torch.__version__} is "
        f"built for CUDA {built_for} ({said}). Update the driver, or install torch for a CUDA that "
        "this driver knows (docs/gpu.md)"
    )


def _check_built_for(device: torch.device) -> None:
    """Raise InputError for a GPU older than all that this wheel has kernels for."""
    major, minor = torch.cuda.get_device_capability(device)
    names = torch.cuda.get_arch_list()  # such as sm_80
    built = [int(number) for name in names for number in re.findall(r"\d+", name)[:1]]
    if built and 10 * major + minor < min(built):
        oldest = min(built)
        raise InputError(
            f"{device}: {torch.cuda.get_device_name(device)} has compute capability "
            f"{major}.{minor}, and torch {torch.__version__} is built for {oldest // 10}."
            f"{oldest % 10} and later; install torch for an older CUDA (docs/gpu.md)"
        )


def driver_version() -> str | None:
    """The version of the NVIDIA driver that Linux has loaded, such as 535.104.05."""
    try:
        match = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", DRIVER.read_text())
    except OSError:
        return None
    return match and match[0]


def _card(place: int) -> int:
    """The number of the GPU that this process takes of those that it sees."""
    cards = torch.cuda.device_count()
    if cards == 1 or "SLURM_JOB_ID" in os.environ:
        return place
    names = [str(torch.cuda.get_device_properties(card).uuid) for card in range(cards)]
    return leases.lease(names, os.environ.get("TORCHELASTIC_RUN_ID", ""))


def _same_result_each_time() -> None:
    """GPU kernels that give the same bits each time, and float32 that is float32.

    Max-pooling's backward pass has no kernel that PyTorch calls deterministic, because it adds
    atomically; windows that do not overlap, as here, add one number each.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
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


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`values` on a device; a GPU takes them while the caller goes on."""
    if device.type == "cuda" and not values.is_pinned():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


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
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"out of memory with {load}: {cure}. {reason}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    PyTorch has a type for what its own allocator lacks. CUDA's libraries and a CPU's allocator
    raise a RuntimeError, as for everything else, and only their words tell.
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY.search(str(error)))
    )


def describe_hardware(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor()
