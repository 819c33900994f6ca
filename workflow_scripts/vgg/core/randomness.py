"""Counter-based random numbers: a draw is a pure function of its key, never of what came before.

Each subject that draws has a stream of its own, so that adding one leaves the others unchanged.
"""

from __future__ import annotations

import enum
import hashlib

import numpy as np


class Stream(enum.IntEnum):
    """The subjects that draw, each with a stream of its own."""

    ORDER = 1
    AUGMENTATION = 2
    DROPOUT = 3
    INITIALISATION = 4
    HELD_OUT = 5
    BOXES = 6
    SAMPLE = 7
    SPLITS = 8
    CLASSES = 9


def model_seed(seed: int, model: str) -> int:
    """A 64-bit seed for one model's training, so that no two models share a batch sequence."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{model}".encode()).digest()[:8], "little")


def generator(seed: int, stream: Stream, counter: int) -> np.random.Generator:
    """Philox generator keyed by (seed, stream), started at `counter` (2^64 apart)."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, counter, 0, 0]))


def torch_seed(seed: int, stream: Stream, counter: int) -> int:
    """A 63-bit seed for a torch generator of any device, from the same key."""
    return int(generator(seed, stream, counter).integers(2**63))
