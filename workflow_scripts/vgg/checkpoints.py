"""Training checkpoints: written aside and renamed, the last two kept, a corrupt one passed over."""

from __future__ import annotations

import logging
import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from .files import whole_file

KEPT = 2


def save_checkpoint(directory: Path, iteration: int, state: dict, kept: int = KEPT) -> None:
    """Write `state` as the checkpoint of `iteration` and delete all but the newest `kept`."""
    with whole_file(directory / f"{iteration:09d}.pt") as temporary:
        torch.save(state, temporary)
    for old in sorted(directory.glob("*.pt"))[:-kept]:
        old.unlink()


def newest_checkpoint(directory: Path, settings: str) -> Path | None:
    """The newest whole checkpoint made with the same settings; None if there is none.

    settings: fingerprint of all that decides the result. Checkpoints of other settings are deleted;
    a corrupt one is set aside as `.corrupt`, with a warning.
    """
    for path in sorted(directory.glob("*.pt"), reverse=True):
        try:
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():  # torch.load does not check the sums
                    raise zipfile.BadZipFile(f"bad checksum of {damaged}")
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (zipfile.BadZipFile, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            logging.warning(
                "WARNING: checkpoint %s is corrupt (%s); falling back to the one before",
                path,
                error,
            )
            path.replace(path.with_suffix(".corrupt"))
            continue
        if state["settings"] != settings:
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
    """Remove the directory with all checkpoints."""
    shutil.rmtree(directory, ignore_errors=True)
