"""The cost of a job: noted while it runs, and written as JSON beside its log.

Wall time counts from the start of the process, its imports included. Of several processes of one
training, rank 0 writes, of itself. Nothing here may make a job fail whose work is done.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .text_artefacts import write_json

SUFFIX = ".log.json"  # of a record; its job's log ends in .log
_IMPORTED = time.monotonic()
_noted: dict = {}


def started() -> None:
    """Note that the process has started: its imports are done, and its work begins."""
    _noted["startup_seconds"] = seconds_since_start()


def note(
    *,
    images: int | None = None,
    seconds: float | None = None,
    earlier_seconds: float | None = None,
    attempts: int | None = None,
) -> None:
    """Add to what the record of this process will say; None leaves a fact as it is.

    images: that the job worked on, in all attempts and processes; a training's count once an epoch.
    seconds: wall time of that work if it is much less than the job's, whose start and end then do
        not enter the rate.
    earlier_seconds: wall time of interrupted attempts that this one continues.
    attempts: number of attempts, this one included.
    """
    facts = {
        "images": images,
        "seconds": seconds,
        "earlier_seconds": earlier_seconds,
        "attempts": attempts,
    }
    _noted.update({name: fact for name, fact in facts.items() if fact is not None})


@contextlib.contextmanager
def working_on(images: int) -> Iterator[None]:
    """Note that the block works on so many images, and how long it takes."""
    started = time.monotonic()
    yield
    note(images=images, seconds=time.monotonic() - started)


def write_record(path: str | Path) -> None:
    """Write what this process has cost; whatever is in the way is a warning, no error.

    Of the processes of one training (RANK, as torchrun sets it), only rank 0 writes.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    try:
        write_json(path, record())
    except Exception as error:  # a record is not worth a failed job
        logging.warning("no record of this job's cost: %s", error)


def record() -> dict:
    """The cost of this process until now. Times in seconds, memory in MB, dates in UTC.

    peak_memory_mb: of the largest of this process and those that it has waited for.
    """
    running = seconds_since_start()
    wall = running + _noted.get("earlier_seconds", 0.0)
    images = _noted.get("images")
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    finished = datetime.now(UTC)
    return {
        "command": Path(sys.argv[0]).stem,
        "arguments": _arguments(),
        "started": _iso(finished - timedelta(seconds=running)),
        "finished": _iso(finished),
        "wall_seconds": round(wall, 3),
        "startup_seconds": round(_noted.get("startup_seconds", 0.0), 3),
        "cpu_seconds": round(sum(usage.ru_utime + usage.ru_stime for usage in usages), 3),
        "attempts": _noted.get("attempts", 1),
        "images": images,
        "images_per_second": None if images is None else images / _noted.get("seconds", wall),
        "peak_memory_mb": round(peak_memory() / 1024, 1),
        **_device(),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "node": platform.node(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }


def seconds_since_start() -> float:
    """Seconds since this process began; since this module was imported where Linux does not say."""
    since_import = time.monotonic() - _IMPORTED
    try:
        # Behind the command's name, which may hold anything, field 22 is the start in clock ticks.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        since_start = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return since_import
    # A container whose clock does not fit its process table would give nonsense.
    return since_start if since_import <= since_start < since_import + 3600 else since_import


def peak_memory() -> int:
    """The largest resident memory in kB, of this process or one that it has waited for.

    Of itself, Linux's usage may tell what the process that started it held: VmHWM does not.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _arguments() -> list[str]:
    """The arguments of this process, but for the record's own."""
    words = sys.argv[1:]
    if "--cost" in words:
        place = words.index("--cost")
        del words[place : place + 2]
    return words


def _device() -> dict:
    """The device, its name and its peak memory; a GPU only if this process has used one."""
    torch = sys.modules.get("torch")  # never imported for this alone
    if torch is None or not torch.cuda.is_initialized():
        return {"device": "cpu", "hardware": processor(), "gpu_peak_memory_mb": None}
    peak = max(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count())))
    return {
        "device": "cuda",
        "hardware": torch.cuda.get_device_name(),
        "gpu_peak_memory_mb": round(peak / 2**20, 1),
    }


def processor() -> str:
    """The processor's name as Linux knows it, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
