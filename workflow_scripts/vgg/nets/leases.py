"""Which of a machine's GPUs a process computes on, where no cluster hands them out.

Snakemake counts GPUs (`--resources gpu=4`) but does not say which job has which. So a process takes
the card that the fewest others have, and holds it by a lock that ends with the process, however
that dies.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from filelock import FileLock

from ..core.files import InputError
from ..core.locks import Held, give_back, take_lock

_held: list[FileLock] = []  # until this process ends


def lease(cards: Sequence[str], training: str = "", folder: Path | None = None) -> int:
    """The place in `cards` of the one that this process has from now on.

    cards: their lasting names, such as UUIDs. training: whose processes must all have different
    cards, as NCCL wants it; empty for a process that computes alone.
    folder: of the locks; one of the user's own among the system's temporary files if not given.
    Raises InputError if the training's other processes have all cards already.
    """
    folder = folder or Path(tempfile.gettempdir(), f"vgg-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    choosing = take_lock(folder / "choosing", wait=True)  # one process chooses at a time
    if choosing is None:
        raise InputError(
            f"{folder}: its file system knows no locks, by which processes share GPUs; set "
            "TMPDIR to a folder on a disk of this machine"
        )
    try:
        holders = {place: _holders(folder, card) for place, card in enumerate(cards)}
        free = [place for place in holders if not training or training not in holders[place]]
        if not free:
            raise InputError(
                f"the {len(cards)} GPUs of this machine are fewer than the processes of a "
                "training; lower train.processes"
            )
        chosen = min(free, key=lambda place: len(holders[place]))
        path = next(p for n in count() if not (p := folder / f"{cards[chosen]}.{n}").exists())
        if lock := take_lock(path, training):
            _held.append(lock)
    finally:
        give_back(choosing)
    return chosen


def _holders(folder: Path, card: str) -> list[str]:
    """The training of each process that has the card; files of ended processes are deleted."""
    found = []
    for path in folder.glob(f"{card}.*"):
        try:
            give_back(take_lock(path))
        except Held as held:
            found.append(str(held))
    return found
