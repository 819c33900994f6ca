"""Training checkpoints: written aside and renamed, the last two kept, a corrupt one passed over."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path

import torch

from .files import whole_file

KEPT = 2


def save_checkpoint(directory: Path, iteration: int, state: dict) -> None:
    """Write `state` as the checkpoint of `iteration` and delete all but the newest two."""
    with whole_file(directory / f"{iteration:09d}.pt") as temporary:
        torch.save(state, temporary)
    for old in sorted(directory.glob("*.pt"))[:-KEPT]:
        old.unlink()


def load_checkpoint(directory: Path, settings: str) -> dict | None:
    """The newest readable checkpoint made with the same settings; None if there is none.

    settings: fingerprint of all that decides the result. Checkpoints of other settings are deleted.
    """
    for path in sorted(directory.glob("*.pt"), reverse=True):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            logging.warning("%s is corrupt (%s); falling back to the one before", path, error)
            continue
        if state["settings"] != settings:
            logging.warning("%s was made with other settings or data; starting anew", path)
            delete_checkpoints(directory)
            return None
        return state
    return None


def delete_checkpoints(directory: Path) -> None:
    """Remove the directory with all checkpoints."""
    shutil.rmtree(directory, ignore_errors=True)
