"""The processes that read ahead for a command, and the shared memory that their batches need.

They come from a server process that is started before anything else, so that none is a copy of a
process that has CUDA, NCCL and threads, of which a copy may hang.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path

from ..core.files import InputError
from ..core.signals import WATCHED, leave_signals_to_the_main_process

SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps it
PRELOADED = ["workflow_scripts.vgg.data.loader", "workflow_scripts.vgg.data.rescaled_images"]


def start_server() -> None:
    """Start the server in the background, if it does not run; it imports what workers need once.

    It and its workers ignore the signals that a cluster sends to all processes of a job, since the
    main process decides when they end. They end when it does, however it dies.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    atexit.unregister(_end_workers)
    atexit.register(_end_workers)
    # Ignored signals stay so in what is started meanwhile.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in WATCHED}
    try:
        resource_tracker.ensure_running()
        forkserver.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def loading(workers: int, shared_bytes: int) -> dict:
    """The options of a DataLoader that say how its workers are made; none of it for no workers.

    shared_bytes: that all of their batches take in shared memory at a time.
    Raises InputError if there is less.
    """
    if not workers:
        return {"num_workers": 0}
    check_shared_memory(shared_bytes, workers)
    start_server()
    return {
        "num_workers": workers,
        "multiprocessing_context": "forkserver",
        "worker_init_fn": _begin,
    }


def _end_workers() -> None:
    """At the end of a process, before Python waits for its workers, which ignore its SIGTERM.

    An error that leaves a loop leaves them waiting for work.
    """
    for worker in multiprocessing.active_children():
        worker.kill()


@contextlib.contextmanager
def told_by_workers() -> Iterator[None]:
    """Raise what a worker has to tell the user without the traceback that torch puts before it."""
    try:
        yield
    except InputError as error:
        *traceback, message = str(error).split(f"{InputError.__name__}: ")
        if not (traceback and traceback[0].startswith("Caught ")):
            raise
        raise InputError(message.rstrip()) from error


def _begin(worker: int) -> None:
    """Make a new worker leave signals to the main process, and end when that does.

    PyTorch's own watch is for workers that are children of the main process.
    """
    leave_signals_to_the_main_process()
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()


def _end_with_the_main_process() -> None:
    if parent := multiprocessing.parent_process():
        connection.wait([parent.sentinel])
        os._exit(1)


def check_shared_memory(needed: int, workers: int) -> None:
    """Raise InputError if so many bytes are not free where processes share memory.

    Without the check, a worker would die of a bus error when it writes what is not there.
    """
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return  # no Linux, or a system that keeps it elsewhere
    free = found.f_bavail * found.f_frsize
    if free < needed:
        used = found.f_blocks * found.f_frsize - free
        size = f"{math.ceil((used + needed) / 2**30)}g"
        raise InputError(
            f"{SHARED_MEMORY}: the batches of {workers} loader processes need "
            f"{needed / 1e6:,.0f} MB of shared memory, and {free / 1e6:,.0f} MB are free. "
            f"Enlarge it (docker run --shm-size={size}, or mount -o remount,size={size} "
            f"{SHARED_MEMORY}), or use fewer threads: there is room for "
            f"{workers * free // needed} of these processes"
        )
