"""Training checkpoints: written aside and renamed, the last two kept, a corrupt one passed over.

Their names are iterations. Files of other names in their folder are a user's, and stay as they are.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from ..core.files import whole_file
from ..nets.devices import is_out_of_memory
from .signs import checkpoints_in

KEPT = 2


def save_checkpoint(directory: Path, iteration: int, state: dict, kept: int = KEPT) -> None:
    """Write `state` as the checkpoint of `iteration` and delete all but the newest `kept`."""
    # Of a file that Python has opened, torch's error knows that the disk is full; of a path, not.
    with whole_file(directory / f"{iteration:09d}.pt") as temporary, open(temporary, "wb") as file:
        torch.save(state, file)
    for old in checkpoints_in(directory)[:-kept]:
        old.unlink()


class CheckpointWriter:
    """Writes a training's checkpoints while it goes on; the end of its block waits for the last.

    A checkpoint is of the moment when `write` was called, and whole or absent whenever the process
    is killed.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.thread = ThreadPoolExecutor(1, "checkpoint")
        self.writing: Future | None = None

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        try:
            self.wait()
        except Exception:
            if kind is None:
                raise
            logging.exception("the last checkpoint could not be written")
        finally:
            self.thread.shutdown()

    def write(self, iteration: int, state: dict, kept: int = KEPT) -> None:
        """Begin to write `state`, once the one before is written; takes as long as to copy it.

        Raises what has kept the one before from being written, such as OSError for a full disk.
        """
        self.wait()
        copy = _on_cpu(state)
        self.writing = self.thread.submit(save_checkpoint, self.directory, iteration, copy, kept)

    def wait(self) -> None:
        """Return when all checkpoints are whole, or raise what one of them met with."""
        if self.writing is not None:
            written, self.writing = self.writing, None
            written.result()


def _on_cpu(value):
    """A copy of nested dicts, lists and tuples, with copies of their tensors on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_on_cpu, value))
    return value


def newest_checkpoint(directory: Path, settings: str) -> Path | None:
    """The newest whole checkpoint made with the same settings; None if there is none.

    settings: fingerprint of all that decides the result. Checkpoints of other settings are deleted;
    a corrupt one is set aside as `.corrupt`, with a warning.
    """
    for path in reversed(checkpoints_in(directory)):
        try:
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():  # torch.load does not check the sums
                    raise zipfile.BadZipFile(f"bad checksum of {damaged}")
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            made_with = state["settings"]
        except Exception as error:  # of damaged ones, zipfile and torch raise many kinds
            # A disk or memory that fails is no fault of the checkpoint's; a place to read from that
            # does not exist is, as are a link to nowhere and a folder.
            own = (errno.EINVAL, errno.ENOENT, errno.EISDIR, errno.ELOOP)
            failing = isinstance(error, OSError) and error.errno not in own
            if failing or is_out_of_memory(error):
                raise
            logging.warning(
                "WARNING: checkpoint %s is corrupt (%s); falling back to the one before",
                path,
                error,
            )
            path.replace(path.with_suffix(".corrupt"))
            continue
        if made_with != settings:
            logging.warning("%s was made with other settings or data; starting anew", path)
            delete_checkpoints(directory)
            return None
        return path
    if any(directory.glob("*.corrupt")):
        logging.warning("WARNING: no whole checkpoint is left in %s; starting anew", directory)
    return None


def load_checkpoint(path: Path) -> dict:
    """The state in a checkpoint, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def delete_checkpoints(directory: Path) -> None:
    """Remove all checkpoints of a directory, also those set aside or half written."""
    for path in directory.iterdir():
        if path.name.removeprefix(".").partition(".")[0].isdecimal():
            with contextlib.suppress(OSError):
                path.unlink()
